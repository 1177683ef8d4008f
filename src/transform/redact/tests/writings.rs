//! In what writings addresses are found, as logs, expressions, tickets and pages have them.

use super::*;

fn table(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(shape(text), *expected, "{text}");
    }
}

// What an expression means by `\.` hid every address of a rule.
#[test]
fn a_backslash_before_a_sign_hides_nothing() {
    table(&[
        (r#"matches "^ada\.love@example\.com$""#, r#"matches "^<E>$""#),
        (r#"matches \"^ada\\.love@example\\.com$\""#, r#"matches \"^<E>$\""#),
        (r#"ip.src matches "^203\.0\.113\.4$""#, r#"ip.src matches "^<4>$""#),
        (r"203\\\\.0\\\\.113\\\\.4", "<4>"),
        (r"ada\@example.com", "<E>"),
        (r"ada\_love\-x\+y@example\-corp.com", "<E>"),
        (r"ada\\@example.com", "masked\\\\@masked.invalid"),
        (r"2001\:db8\:\:1", r"\:\:"),
        (r"ada\u{40}example.com", r"masked\u{40}masked.invalid"),
        (r"ada@\[203\.0\.113\.4\]", "<E>"),
    ]);
    for text in [r"C:\.ssh\:x", r"\\.\pipe\x", r"1\.2\.3", r"08\:22\:31", r"\-\-\.\.", r"std\:\:vec", r"^v\d+\.\d+$"] {
        assert_eq!(masked(text), text);
    }
}

// Marks that nobody sees came with what was copied, and ended a word.
#[test]
fn marks_of_direction_hide_nothing_and_stay_behind_it() {
    table(&[
        ("ada\u{200E}@example.com", "<E>"),
        ("ada@\u{200F}exam\u{2063}ple.com", "<E>"),
        ("203.0.113\u{200E}.4", "<4>"),
        ("203.0.\u{2066}113.4\u{2069} x", "<4>\u{2069} x"),
        ("\u{202A}ada\u{202C}@example.com", "\u{202A}<E>"),
        ("\u{202A}203.0.113.4\u{202C}", "\u{202A}<4>\u{202C}"),
        ("20\u{FE0F}3.0.113.4", "<4>"),
        ("203\u{200B}.0.113.4", "<4>"),
        (r"203.0.113\u200e.4", "<4>"),
        ("203.0.113.4\u{202C}\u{202A}203.0.113.5", "<4>\u{202C}\u{202A}<4>"),
        ("2001:db8\u{200E}::1", "::"),
    ]);
    let both = masked("2001:db8::1\u{200E}2001:db8::2 203.0.113.4\u{200E}2001:db8::1");
    assert!(!both.contains("db8") && !both.contains("113"), "{both}");
}

// `․` is a dot to whoever looks at it.
#[test]
fn a_leader_of_one_dot_is_a_dot() {
    table(&[
        ("203․0․113․4", "<4>"),
        ("ada@example․com", "<E>"),
        ("203.0․113.4, and so on․", "<4>, and so on․"),
        (r"203\u20240\u2024113\u20244", "<4>"),
    ]);
}

// Tickets and threat reports write addresses so that nothing makes links of them.
#[test]
fn defanged_addresses_are_found() {
    table(&[
        ("ada@example[.]com", "<E>"),
        ("ada[@]example[.]com", "<E>"),
        ("ada[at]example[dot]com", "<E>"),
        ("ada[AT]example(.)com", "<E>"),
        ("ada(@)example.com", "<E>"),
        ("203[.]0[.]113[.]4", "<4>"),
        ("203(.)0(.)113(.)4", "<4>"),
        ("203[dot]0[dot]113[dot]4", "<4>"),
        ("hxxp://203[.]0.113.4/", "hxxp://<4>/"),
        ("hxxps[:]//203.0.113[.]4/", "hxxps[:]//<4>/"),
        ("2001[:]db8[:][:]1", "[:][:]"),
        ("ada%5B%40%5Dexample%5B.%5Dcom", "masked%5B%40%5Dmasked.invalid"),
        (r"203\[.\]0\[.\]113\[.\]4", "<4>"),
        (r"^203[.]0[.]113[.]\d+ ada@example[.]com$", r"^203[.]0[.]113[.]\d+ <E>$"),
    ]);
    for text in
        ["1[.]3[.]6[.]1[.]4[.]1", "08[:]22[:]31", "${all[@]}", "x[:]", "[.]", "f(.)", "name[@]1.2.3", "[dot][at]"]
    {
        assert_eq!(masked(text), text);
    }
}

// The word made a version of the address.
#[test]
fn a_word_behind_a_number_makes_no_version_of_an_address() {
    table(&[
        ("203.0.113.4-dev", "<4>-dev"),
        ("203.0.113.4-build host", "<4>-build host"),
        ("203.0.113.4-preview", "<4>-preview"),
        ("203.0.113.4-beta", "<4>-beta"),
        ("host-203.0.113.4-ga", "host-<4>-ga"),
        ("10.0.0.1-dev", "<4>-dev"),
        ("12.1.2.3-dev", "<4>-dev"),
        ("203.0.113.4dev", "<4>dev"),
        ("Zoom/203.0.113.4", "Zoom/<4>"),
        ("Version/203.0.113.4", "Version/<4>"),
        ("Mozilla/5.0 hosts/203.0.113.4 x", "Mozilla/5.0 hosts/<4> x"),
    ]);
    for text in [
        "1.2.3.4-dev",
        "4.0.0.1rc2",
        "12.1.2.3-beta",
        "release-203.0.113.4-ga",
        "version 40.1.2.3-dev",
        "Chrome/143.0.0.0",
        "Zoom/5.17.5.2",
        "Mozilla/5.0 (X11) Chrome/143.0.0.0 Edg/143.0.2.4 Thing/4.1.1.1",
    ] {
        assert_eq!(masked(text), text);
    }
}

// Half of `m&uuml;ller@…` stayed where it was.
#[test]
fn entities_hide_no_letter_and_no_sign() {
    table(&[
        ("m&uuml;ller@example.com", "<E>"),
        ("ada&plus;x@example.com", "<E>"),
        ("ada&lowbar;love&hyphen;x@example&period;com", "<E>"),
        ("ada&#64example.com", "<E>"),
        ("ada&#x40zexample.com", "masked&#x40masked.invalid"),
        ("o&apos;brien&commat;example.com", "<E>"),
        ("ada&shy;love&ZeroWidthSpace;@example.com", "<E>"),
        ("k&ccaron;x@example.com", "<E>"),
        ("203&period;0&period;113&period;4", "<4>"),
        ("a=1&#10.0.0.1", "a=1&#<4>"),
        ("&lt;ada@example.com&gt;&nbsp;&copy;bob@example.org&reg;", "&lt;<E>&gt;&nbsp;&copy;<E>&reg;"),
    ]);
    let pseudonym = |text: &str| redact(&redactor(Some(EmailAction::Pseudonym), None), text);
    assert_eq!(pseudonym("m&uuml;ller@example.com"), pseudonym("müller@example.com"));
}

// A blank before the `@` came from a form, and saved the name before it.
#[test]
fn an_encoded_blank_before_the_at_saves_no_name() {
    table(&[
        ("?u=ada.lovelace%20@example.com&x", "?u=<E>&x"),
        ("?u=ada.lovelace%20%40example.com", "?u=<E>"),
        ("@example.com%20@example.org", "@example.com%20@example.org"),
        ("a @example.com", "a @example.com"),
    ]);
    let pseudonym = |text: &str| redact(&redactor(Some(EmailAction::Pseudonym), None), text);
    assert_eq!(pseudonym("ada%20@example.com"), pseudonym("ada@example.com"));
}
