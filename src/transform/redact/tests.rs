//! What is found and what is left alone, example by example.

use super::*;

pub(super) fn key() -> Key {
    Key::new(1, b"an invented secret of 32 bytes!!").expect("long enough")
}

pub(super) fn redactor(emails: Option<EmailAction>, ips: Option<IpAction>) -> Redactor {
    Redactor::new(Policy { emails, ips, key: Some(key()), ..Policy::default() }).expect("a policy with a key")
}

/// Every detector with these actions, and an own pattern.
pub(super) fn everything(emails: EmailAction, ips: IpAction, texts: TextAction) -> Redactor {
    let pattern = Pattern::new("employee", r"\bEMP-[0-9]{5}\b", texts).expect("a sound pattern");
    let policy = Policy {
        emails: Some(emails),
        ips: Some(ips),
        phones: Some(texts),
        jwts: Some(texts),
        api_keys: Some(texts),
        cards: Some(texts),
        patterns: vec![pattern],
        key: Some(key()),
        ..Policy::default()
    };
    Redactor::new(policy).expect("a policy with a key")
}

fn redact(redactor: &Redactor, text: &str) -> String {
    redactor.text(text, &mut Hits::default()).unwrap_or_else(|| text.to_owned())
}

fn masked(text: &str) -> String {
    redact(&redactor(Some(EmailAction::Mask), Some(IpAction::Mask)), text)
}

/// Writes `E`, `4` and `6` for what was masked, so that a table of expectations can be read.
fn shape(text: &str) -> String {
    let mut out = masked(text);
    for at in ["@", "%40", "%2540", r"\u0040", r"\\u0040", "&#64;", "＠"] {
        out = out.replace(&format!("masked{at}masked.invalid"), "<E>");
    }
    out.replace("0.0.0.0", "<4>")
}

#[test]
fn finds_emails_in_every_form() {
    for (text, expected) in [
        ("ada@example.com", "<E>"),
        ("Ada.Lovelace+audit@Mail.Example.co.uk", "<E>"),
        ("mail ada@example.com, bob@example.org.", "mail <E>, <E>."),
        ("ada@example.com...", "<E>..."),
        ("<ada@example.com>;(bob@example.org)!", "<<E>>;(<E>)!"),
        ("'ada@example.com' \"bob@example.org\" `eve@example.net`", "'<E>' \"<E>\" `<E>`"),
        ("mailto:ada@example.com?subject=x", "mailto:<E>?subject=x"),
        ("https://x.example/?user=ada@example.com&n=1", "https://x.example/?user=<E>&n=1"),
        ("https://x.example/?user=ada%2Bx%40example.com&n=1", "https://x.example/?user=<E>&n=1"),
        ("ada%40example%2Ecom", "<E>"),
        ("to%3Dada%2540example.com%26", "to%3D<E>%26"),
        ("https://ada:pw@example.com/x", "https://ada:<E>/x"),
        ("git@github.com:org/repo", "<E>:org/repo"),
        ("\"ada lovelace\"@example.com", "<E>"),
        (r#"{\"to\":\"ada@example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r#"{\"to\":\"ada\u0040example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r#"{\"to\":\"\\\"ada lovelace\\\"@example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r"line\nada@example.com\nline", r"line\n<E>\nline"),
        (r"CORP\ada@example.com", r"CORP\<E>"),
        ("o'brien@example.com", "<E>"),
        ("user%relay.example@example.com", "<E>"),
        ("host!user@example.com", "<E>"),
        ("bounces+ada=example.com@lists.example", "<E>"),
        ("SRS0=HHH=TT=example.com=ada@forward.example", "<E>"),
        ("#!$%&'*+-/=?^_`{}|~@example.org", "<E>"),
        ("user-@example.org", "<E>"),
        ("ada@xn--bcher-kva.example", "<E>"),
        ("ädä@bücher.example", "<E>"),
        ("用户@例子.example。谢谢", "<E>。谢谢"),
        ("“ada@example.com”", "“<E>”"),
        ("ada＠example．com", "<E>"),
        ("ada&#64;example.com", "<E>"),
        ("ada@[203.0.113.4]", "<E>"),
        ("ada@[IPv6:2001:db8::1]", "<E>"),
        ("root@203.0.113.4:22", "<E>:22"),
        ("ada@localhost", "<E>"),
        ("ada.lovelace@corp", "<E>"),
        ("Root <root@db1>", "Root <<E>>"),
        ("ada@163.com", "<E>"),
        ("@ada@social.example", "@<E>"),
        ("ada@relay@example.com", "<E>"),
        ("\"bob@example.org\"@example.com", "<E>"),
        ("a@b.example@", "<E>@"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn long_parts_do_not_save_an_address() {
    let local = "a".repeat(5000);
    let host = "b.".repeat(5000);
    assert_eq!(shape(&format!("x {local}@example.com y")), "x <E> y");
    assert_eq!(shape(&format!("ada@{host}example y")), "<E> y");
}

#[test]
fn leaves_what_is_no_email() {
    for text in [
        "@",
        "@ada",
        "a @ b",
        "name@1.2.3",
        "lodash@^4.17.21",
        "react@18",
        "react@18.x",
        "ci.yml@main",
        ".github/workflows/ci.yaml@refs/tags/v1",
        "react@18.2.0-rc.1",
        "next@canary",
        "pkg@1.2.x",
        "@types/node@20.11.5",
        "actions/checkout@v4",
        "actions/checkout@v4.1.2",
        "actions/checkout@main",
        "image:1.2@sha256:9f2c41d07be84a6f",
        "golang.org/x/net@v0.0.0-20240101120000-abcdef123456",
        "logo@2x.png",
        "HEAD@{1}",
        "root@db1",
        "@example.com",
        r#"{"domains": ["@example.com"]}"#,
        "['@example.com']",
        "*@example.com",
        "user@",
        "user@ example.com",
        "user@-",
        "user@[nothing]",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn finds_ipv4_in_every_form() {
    for (text, expected) in [
        ("203.0.113.4", "<4>"),
        ("203.0.113.4:443", "<4>:443"),
        ("203.0.113.0/24", "<4>/24"),
        ("from 203.0.113.4.", "from <4>."),
        ("203.0.113.4...", "<4>..."),
        ("[203.0.113.4]", "[<4>]"),
        ("203.0.113.4,198.51.100.7-198.51.100.9", "<4>,<4>-<4>"),
        ("http://203.0.113.4/", "http://<4>/"),
        ("https%3A%2F%2F203.0.113.4%2F", "https%3A%2F%2F<4>%2F"),
        ("203%2E0%2E113%2E4", "<4>"),
        ("203%252e0%252e113%252e4", "<4>"),
        ("010.001.1.1", "<4>"),
        ("1.2.3.4", "<4>"),
        ("x/203.0.113.4", "x/<4>"),
        ("GET /hosts/203.0.113.4", "GET /hosts/<4>"),
        ("Client/203.0.113.4", "Client/<4>"),
        ("src:203.0.113.4", "src:<4>"),
        ("12:203.0.113.4", "12:<4>"),
        ("ip_203.0.113.4_", "ip_<4>_"),
        ("地址203.0.113.4地址", "地址<4>地址"),
        ("203.0.113.4.nip.example", "<4>.nip.example"),
        ("4.113.0.203.in-addr.arpa", "<4>"),
        (r#"{\"ip\":\"203.0.113.4\"}"#, r#"{\"ip\":\"<4>\"}"#),
        (r"x\n203.0.113.4\t", r"x\n<4>\t"),
        ("203．0．113．4", "<4>"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn leaves_what_is_no_ipv4() {
    for text in [
        "v1.2.3.4",
        "V1.2.3.4",
        "1.2.3.4.5",
        "1.2.3",
        "1.3.6.1.4.1",
        "1.3.6.1.4.1.311.21.20",
        "256.1.1.1",
        "1.2.3.1000",
        "12.1.2.3-beta",
        "12.1.2.3-rc.1",
        "version1.2.3.4",
        "1.2.3.4rc1",
        "1.2.3.4.443",
        "203.0.113.4.99999",
        "1..2.3.4",
        "...",
        "0.0.0.0:80",
        "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2.4",
        "Slack/4.35.131.0",
        "Thing/2.0.0.0 (x)",
        "2024.01.02.03",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn finds_ipv6_in_every_form() {
    for (text, expected) in [
        ("2001:db8::1", "::"),
        ("2001:DB8:0:0:0:0:0:1", "::"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "::"),
        ("at ::1, fe80::1 and 2001:db8:: too", "at ::, :: and :: too"),
        ("fe80::1%eth0.", "::."),
        ("fe80::1%25eth0/64", "::/64"),
        ("fe80::1%12", "::"),
        ("::ffff:203.0.113.4", "::"),
        ("64:ff9b::192.0.2.33.", "::."),
        ("0:0:0:0:0:ffff:203.0.113.4", "::"),
        ("[2001:db8::1]:443", "[::]:443"),
        ("https://[2001:db8::1]/x", "https://[::]/x"),
        ("2001:db8::/32", "::/32"),
        ("2001%3Adb8%3A%3A1", "%3A%3A"),
        ("2001%253Adb8%253A%253A1&", "%253A%253A&"),
        (r#"{\"ip\":\"2001:db8::1\"}"#, r#"{\"ip\":\"::\"}"#),
        (r"2001\u003adb8\u003a\u003a1", r"\u003a\u003a"),
        ("src:2001:db8::1", "src:::"),
        ("src=2001:db8::1;dst=2001:db8::2", "src=::;dst=::"),
        ("addr:::1", "addr:::"),
        ("2001:db8:1:2:3:4:5:6:443", "[::]:443"),
        ("dead:beef::cafe", "::"),
        ("2001:db8::1.", "::."),
        ("2001:db8::1地址", "::地址"),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "::"),
    ] {
        assert_eq!(masked(text), expected, "{text}");
    }
}

#[test]
fn leaves_what_is_no_ipv6() {
    for text in [
        "08:22:31",
        "2024-01-01T08:22:31+00:00",
        "2024-01-01T08:22:31.123456Z",
        "10/Oct/2000:13:55:36 -0700",
        "12:30",
        "16:9",
        "00:1a:2b:3c:4d:5e",
        "00:1A:2B:FF:FE:3C:4D:5E",
        "a1b2c3d4-0000-4000-8000-1234567890ab",
        "a::b",
        "std::vec::Vec",
        "::",
        "f64::EPSILON",
        "f::1",
        "B::C1",
        "e2e::abc1",
        "a::before",
        "SHA1 AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01",
        "sha256:9f2c41d07be84a6f",
        "*/5:0:0",
        "arn:aws:iam::123456789012:role/x",
        "urn:ietf:rfc:2648",
        "key: value: x",
        ":::::",
        "1:2:3",
        "{\"a\":{\"b\":1}}",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn pseudonyms_are_of_the_address_not_of_its_writing() {
    let redactor = redactor(Some(EmailAction::Pseudonym), Some(IpAction::Pseudonym));
    let of = |text: &str| redact(&redactor, text);
    assert_eq!(of("ADA@Example.com"), of("ada@example.com"));
    assert_eq!(of("ada%40example.com").replace("%40", "@"), of("ada@example.com"));
    assert_eq!(of("2001:DB8::1"), of("2001:db8:0:0::1"));
    assert_eq!(of("::ffff:203.0.113.4"), of("203.0.113.4"));
    assert_eq!(of("::ffff:cb00:7104"), of("203.0.113.4"));
    assert_eq!(of("fe80::1%eth0"), of("fe80::1"));
    assert_eq!(of("4.113.0.203.in-addr.arpa"), of("203.0.113.4"));
    assert_ne!(of("203.0.113.4"), of("203.0.113.5"));
}

#[test]
fn an_ipv6_stand_in_does_not_run_into_its_surroundings() {
    let redactor = redactor(None, Some(IpAction::Pseudonym));
    let of = |text: &str| redact(&redactor, text);
    let alone = of("203.0.113.4");
    assert_eq!(of("203.0.113.4:443"), format!("[{alone}]:443"));
    assert_eq!(of("http://203.0.113.4/"), format!("http://[{alone}]/"));
    assert_eq!(of("[2001:db8::1]:443"), format!("[{}]:443", of("2001:db8::1")));
    assert_eq!(of("face:203.0.113.4"), format!("face:[{alone}]"));
    assert_eq!(of("src:203.0.113.4/24"), format!("src:{alone}/24"));
}

#[test]
fn truncate_keeps_the_network() {
    let redactor = redactor(None, Some(IpAction::Truncate));
    for (text, expected) in [
        ("203.0.113.4:80", "203.0.113.0:80"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001%3ADB8%3A1%3A%3A5", "2001%3Adb8%3A1%3A%3A"),
        ("::ffff:203.0.113.4", "::ffff:203.0.113.0"),
        ("::ffff:cb00:7104", "::ffff:203.0.113.0"),
        ("2002:cb00:7104::1", "2002:cb00:7100::"),
        ("fe80::1%eth0", "fe80::"),
        ("4.113.0.203.in-addr.arpa", "203.0.113.0"),
    ] {
        assert_eq!(redact(&redactor, text), expected, "{text}");
    }
    assert_eq!(redactor.text("203.0.113.0 and 2001:db8:1::", &mut Hits::default()), None);
}

#[test]
fn keep_domain_keeps_a_domain_and_no_address() {
    let both = redactor(Some(EmailAction::KeepDomain), Some(IpAction::Mask));
    for (text, expected) in [
        ("ada@Example.com.", "masked@Example.com."),
        ("ada%40b%C3%BCcher.example", "masked%40b%C3%BCcher.example"),
        ("ada@[203.0.113.4]", "masked@masked.invalid"),
        ("ada@203.0.113.4.nip.example", "masked@masked.invalid"),
        ("ada@relay@example.com", "masked@example.com"),
    ] {
        assert_eq!(redact(&both, text), expected, "{text}");
    }
    let only_emails = redactor(Some(EmailAction::KeepDomain), None);
    assert_eq!(redact(&only_emails, "ada@203.0.113.4"), "masked@masked.invalid");
}

#[test]
fn remove_leaves_the_rest() {
    let redactor = redactor(Some(EmailAction::Remove), Some(IpAction::Remove));
    assert_eq!(redact(&redactor, "<ada@example.com> at 203.0.113.4:80"), "<> at :80");
    assert_eq!(redact(&redactor, "ada@example.com"), "");
    // What is left must not be an address either.
    assert_eq!(redact(&redactor, "2001:203.0.113.4:5"), "");
}

#[test]
fn each_kind_can_be_left_alone() {
    let text = "ada@example.com 203.0.113.4 2001:db8::1";
    assert_eq!(redact(&redactor(None, Some(IpAction::Mask)), text), "ada@example.com 0.0.0.0 ::");
    assert_eq!(redact(&redactor(Some(EmailAction::Mask), None), text), "masked@masked.invalid 203.0.113.4 2001:db8::1");
    assert_eq!(redact(&redactor(None, None), text), text);
}

#[test]
fn hits_are_counted_and_no_hit_copies_nothing() {
    let redactor = redactor(Some(EmailAction::Mask), Some(IpAction::Mask));
    let mut hits = Hits::default();
    assert!(redactor.text("ada@example.com, bob@example.com at 203.0.113.4", &mut hits).is_some());
    assert_eq!(redactor.text("at 08:22:31 masked@masked.invalid logged in from 0.0.0.0", &mut hits), None);
    assert_eq!((hits[Detector::Email], hits[Detector::Ip], hits.total()), (2, 1, 3));
    hits += hits;
    assert_eq!((hits[Detector::Email], hits[Detector::Ip]), (4, 2));
}

#[test]
fn a_pseudonym_needs_a_key() {
    for (emails, ips, option) in
        [(Some(EmailAction::Pseudonym), None, "emails"), (None, Some(IpAction::Pseudonym), "ips")]
    {
        let error = Redactor::new(Policy { emails, ips, ..Policy::default() }).expect_err("no key");
        assert_eq!(error, PolicyError::MissingKey { option: option.to_owned(), action: "pseudonym" });
        assert_eq!(error.to_string(), format!("`{option} = \"pseudonym\"` needs a key"));
        assert!(error.hint().contains("16 random bytes"), "{}", error.hint());
    }
}

#[test]
fn actions_are_named_in_snake_case() {
    let emails: Vec<EmailAction> =
        serde_json::from_str(r#"["mask", "remove", "pseudonym", "encrypt", "keep_domain"]"#).expect("five actions");
    assert_eq!(emails.last(), Some(&EmailAction::KeepDomain));
    let ips: Vec<IpAction> =
        serde_json::from_str(r#"["mask", "remove", "pseudonym", "encrypt", "truncate"]"#).expect("five actions");
    assert_eq!(ips.last(), Some(&IpAction::Truncate));
}

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
        "&#",
        "&#64;",
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

#[test]
fn one_person_is_one_whatever_the_vendor_writes() {
    let redactor = redactor(Some(EmailAction::Pseudonym), None);
    let of = |text: &str| redact(&redactor, text);
    assert_eq!(of("ada@bücher.example"), of("ada@xn--bcher-kva.example"));
    assert_eq!(of("ADA@BÜCHER.example"), of("ada@XN--BCHER-KVA.EXAMPLE"));
    assert_eq!(of("ada%40xn--bcher-kva.example").replace("%40", "@"), of("ada@bücher.example"));
    // It may be another mailbox.
    assert_ne!(of("ada+ops@example.com"), of("ada@example.com"));
    let phones = everything(EmailAction::Mask, IpAction::Mask, TextAction::Pseudonym);
    assert_eq!(redact(&phones, "+1 (202) 555-0143"), redact(&phones, "+12025550143"));
}

#[test]
fn what_is_switched_on_is_found_in_every_writing() {
    let all = everything(EmailAction::Mask, IpAction::Mask, TextAction::Mask);
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    for (text, expected) in [
        ("call +1 202 555 0143 at 203.0.113.4", "call masked-phone at 0.0.0.0"),
        ("?tel=%2B12025550143&card=4111%201111%201111%201111", "?tel=masked-phone&card=masked-card"),
        (r#"{\"n\":\"4111-1111-1111-1111\"}"#, r#"{\"n\":\"masked-card\"}"#),
        (&format!("Authorization: Bearer {jwt}"), "Authorization: Bearer masked-jwt"),
        ("&#43;12025550143", "masked-phone"),
        ("EMP-12345 and EMP%2D12345, not EMP-123456", "masked-employee and masked-employee, not EMP-123456"),
        ("https://x:ghp_a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2@github.com/y", "https://x:masked@masked.invalid/y"),
    ] {
        assert_eq!(redact(&all, text), expected, "{text}");
    }
}

#[test]
fn of_two_that_overlap_the_longer_goes_whole() {
    let pattern = Pattern::new("user", r"user=\S+", TextAction::Mask).expect("a sound pattern");
    let word = Pattern::new("word", r"\w+", TextAction::Mask).expect("a sound pattern");
    let with = |pattern: Pattern| {
        let policy = Policy { emails: Some(EmailAction::Mask), ips: Some(IpAction::Mask), ..Policy::default() };
        Redactor::new(Policy { patterns: vec![pattern], ..policy }).expect("masking needs no key")
    };
    assert_eq!(redact(&with(pattern), "user=ada@example.com at 203.0.113.4"), "masked-user at 0.0.0.0");
    let text = "ada@example.com, 203.0.113.4, 2001:db8::1";
    assert_eq!(redact(&with(word.clone()), text), "masked@masked.invalid, 0.0.0.0, ::");
    assert_eq!(redact(&with(word), "so it is"), "masked-word masked-word masked-word");
}

// Whatever a pattern leaves, it comes to rest, and hides rather than shows where it does not.
#[test]
fn a_pattern_that_matches_what_it_leaves_comes_to_rest() {
    for expression in ["^.", "a.", "(?s).", "masked", "e1-", "[0-9]"] {
        for action in [TextAction::Mask, TextAction::Remove, TextAction::Pseudonym, TextAction::Encrypt] {
            let patterns = vec![Pattern::new("x", expression, action).expect("a sound pattern")];
            let redactor = Redactor::new(Policy { patterns, key: Some(key()), ..Policy::default() }).expect("a key");
            let once = redact(&redactor, &"aaa 12 masked e1- banana ".repeat(5));
            assert_eq!(redactor.text(&once, &mut Hits::default()), None, "{expression} {action:?} left {once}");
        }
    }
}

#[test]
fn a_text_full_of_matches_is_hidden_from_the_thousandth_on() {
    let patterns = vec![Pattern::new("x", "b", TextAction::Remove).expect("a sound pattern")];
    let redactor = Redactor::new(Policy { patterns, ..Policy::default() }).expect("removing needs no key");
    assert_eq!(redact(&redactor, &"ab".repeat(3000)), "a".repeat(1000));
}

// A `%` of a pattern, of a zone or behind a number was taken for the beginning of an escape.
#[test]
fn a_percent_sign_directly_before_an_address_hides_nothing() {
    for (text, expected) in [
        ("like '%10.20.30.40%'", "like '%<4>%'"),
        ("%20.30.40.50%", "%<4>%"),
        ("CPU 5%10.1.2.3", "CPU 5%<4>"),
        ("q=%2510.20.30.40%25", "q=%25<4>%25"),
        (r#"\"%10.20.30.40%\""#, r#"\"%<4>%\""#),
        ("fe80::1%51", "::"),
        ("[fe80::1%2551]", "[::]"),
        ("::1%51", "::"),
        ("fe80::1c2d:3e4f:5a6b:7c8d%51", "::"),
        ("fe80::1%100", "::"),
        ("fe80::1%12", "::"),
        ("2001:db8::1%20to%202001:db8::2%2Fx", "::%20to%20::%2Fx"),
        ("'%ada@example.com%'", "'%<E>%'"),
        ("%20ada@example.com%20", "%20<E>%20"),
        ("Chrome%2F120.0.1.2", "Chrome%2F120.0.1.2"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
    let all = everything(EmailAction::Pseudonym, IpAction::Pseudonym, TextAction::Mask);
    assert_eq!(redact(&all, "'%4111111111111111%'"), "'%masked-card%'");
    assert_eq!(redact(&all, "'%ada@example.com%'"), format!("'%{}%'", redact(&all, "ada@example.com")));
    assert_eq!(redact(&all, "%61da@example.com"), redact(&all, "ada@example.com"));
}

// The letter that ends a colour was read as the first of a word.
#[test]
fn a_colour_before_an_address_does_not_hide_it() {
    let all = everything(EmailAction::Mask, IpAction::Mask, TextAction::Mask);
    for escape in ["\u{1b}", r"\u001b", r"\x1b", r"\e", r"\033", "%1B"] {
        for (secret, mask) in [
            ("203.0.113.4", "0.0.0.0"),
            ("2001:db8::1", "::"),
            ("ada@example.com", "masked@masked.invalid"),
            ("4111111111111111", "masked-card"),
            ("ghp_a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2", "masked-key"),
        ] {
            let around = |text: &str| format!("at {escape}[1;31m{text}{escape}[0m");
            assert_eq!(redact(&all, &around(secret)), around(mask));
        }
    }
}

// A word that touched an address made a version of it, or left half of it.
#[test]
fn a_word_that_touches_an_address_does_not_hide_it() {
    for (text, expected) in [
        ("from203.0.113.4", "from<4>"),
        ("r10.0.0.1", "r<4>"),
        ("203.0.113.4and", "<4>and"),
        ("10.0.0.1eth0", "<4>eth0"),
        ("::ffff:203.0.113.4x", "[::]x"),
        ("2001:db8::1x", "[::]x"),
        ("2001:db8:1:2:3:4:5:6to", "[::]to"),
        ("h2001:db8::1", "h[::]"),
        ("hostfe80::1", "host[::]"),
        ("IP 203.0.113.4.443 > 198.51.100.7.50000: Flags", "IP <4>.443 > <4>.50000: Flags"),
        ("IP6 ::ffff:203.0.113.4.443", "IP6 ::.443"),
        ("slack/203.0.113.4", "slack/<4>"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
    for ips in [IpAction::Pseudonym, IpAction::Encrypt, IpAction::Truncate, IpAction::Remove] {
        for text in ["from203.0.113.4and", "h2001:db8::1and", "203.0.113.4.443", "::ffff:203.0.113.4.443"] {
            let once = redact(&redactor(None, Some(ips)), text);
            assert!(ips == IpAction::Truncate || !once.contains("113"), "{once}");
            assert_eq!(redact(&redactor(None, Some(ips)), &once), once, "{text}");
        }
    }
}

// Dots of other scripts, and what has no width, hid an address or the end of it.
#[test]
fn what_looks_like_a_dot_is_one_and_what_nobody_sees_is_not_there() {
    for (text, expected) in [
        ("203。0。113。4", "<4>"),
        ("203｡0｡113｡4", "<4>"),
        ("203﹒0﹒113﹒4", "<4>"),
        ("ada﹫example。com", "masked﹫masked.invalid"),
        ("ada@exam\u{ad}ple.com", "<E>"),
        ("a\u{200d}da@exam\u{200b}ple.com", "<E>"),
        ("203.0.\u{200b}113\u{2060}.4", "<4>"),
        ("10.0.0.1\u{200b}10.0.0.2", "<4>\u{200b}<4>"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn names_of_windows_and_rewritten_senders_are_found_whole() {
    for (text, expected) in [
        (r"AzureAD\bob@contoso.com", r"AzureAD\<E>"),
        (r"AzureAD\\bob@contoso.com", r"AzureAD\\<E>"),
        (r"AzureAD\nina@contoso.com", r"AzureAD\<E>"),
        (r"CORP\fay@contoso.com", r"CORP\<E>"),
        ("bounces-ada=example.com@lists.example", "<E>"),
        ("client-email=ada.b@example.com", "client-email=<E>"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
    let bob = redact(&redactor(Some(EmailAction::Pseudonym), None), r"AzureAD\bob@contoso.com");
    assert_eq!(bob, format!(r"AzureAD\{}", redact(&redactor(Some(EmailAction::Pseudonym), None), "bob@contoso.com")));
}

// A field had a pseudonym of its own for what has another in a text.
#[test]
fn a_field_has_the_pseudonym_that_a_text_has() {
    let all = everything(EmailAction::Pseudonym, IpAction::Pseudonym, TextAction::Pseudonym);
    let treatment = policy::Treatment::Pseudonym(key());
    for text in ["+1 (202) 555-0143", "4111 1111 1111 1111", "Ada@example.com", "203.0.113.4"] {
        assert_eq!(stand_in::whole(text, &treatment), Some(redact(&all, text)), "{text}");
    }
    assert_eq!(stand_in::whole(" ada@example.com ", &treatment), Some(redact(&all, "ada@example.com")));
}
