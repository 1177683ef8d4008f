//! What a text costs that is made to cost much.

use super::*;

// Where a finder looked back over what it had read, each of these would take hours, not moments.
#[test]
fn a_mebibyte_of_the_worst_is_read_in_one_walk() {
    let redactors = [
        redactor(Some(EmailAction::Mask), Some(IpAction::Mask)),
        redactor(Some(EmailAction::Remove), Some(IpAction::Remove)),
        everything(EmailAction::Pseudonym, IpAction::Encrypt, TextAction::Mask),
    ];
    let patterns = [
        "a@",
        "@",
        "a@a.",
        "\"@",
        "\\\"@",
        "a=",
        "a+=",
        "'a'@",
        "1.",
        "1.1.1.1.",
        "1.1.1.1..",
        ".",
        ":",
        "::",
        "1:",
        "a::",
        "1::1::",
        "::1.1.1.1",
        "%",
        "%25",
        "%25%40",
        "\\",
        "\\\\u004",
        "\\.",
        "\\u{",
        "&#",
        "&#64;",
        "&#64",
        "&uuml;",
        "&abcdefghijklmnop",
        "[.]",
        "[",
        "1[.]",
        "[:]",
        "a[at]",
        "(@)",
        "\u{200E}",
        "1\u{200E}",
        "1.2.3.4\u{200E}",
        "\"\u{200E}@",
        "․",
        "1․",
        "%20@",
        "a%20@",
        "a%20@b.c",
        "a@1.1.1.1:",
        "[",
        "a@[",
        "６",
        "\"a",
        "a@b.c@",
        "6",
        "-",
        "1.2.3.4-",
        "a/1.2.3.4 ",
        "fe80::1%",
        "%10.1.2.3",
        "::1%51",
        "%ada@a.b",
        "%25",
        "%2510.1.2.3%20::1",
        ".ip6.arpa",
    ];
    let of_what_is_switched_on = [
        "+49 ",
        "+1",
        "+49151234567",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9.",
        "eyJ.eyJ.",
        "sk-",
        "ghp_",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----a|",
        "-----BEGIN PRIVATE KEY-----a-----END ",
        "-----BEGIN PRIVATE KEY-----\"-----BEGIN -----END ",
        "\u{1b}[1",
        "4111",
        "4111 ",
        "4111-1111-",
        "EMP-1234",
        "EMP-12345 ",
        "x1-",
        "e1-a",
        "masked",
        "::%x1-",
    ];
    let all = patterns.iter().map(|pattern| (pattern, &redactors[..]));
    for (pattern, redactors) in all.chain(of_what_is_switched_on.iter().map(|pattern| (pattern, &redactors[2..]))) {
        let mut text = pattern.repeat((1 << 20) / pattern.len());
        text.push('@');
        for redactor in redactors {
            if let Some(once) = redactor.text(&text, &mut Hits::default()) {
                assert_ne!(once, text, "{pattern}");
            }
        }
    }
}
