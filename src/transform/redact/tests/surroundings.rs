//! What stands directly before or within an address, and does not hide it.

use super::*;

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
