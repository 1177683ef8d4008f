//! What stands in an address' place, by each action.

use super::*;

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

// Where an address was gone, the quote behind it opened what it had not opened before.
#[test]
fn a_quote_behind_a_stand_in_is_read_again() {
    for emails in [EmailAction::Remove, EmailAction::Mask, EmailAction::Pseudonym] {
        let redactor = redactor(Some(emails), None);
        for text in [r#"<A@0"1.0.0.1"@ada"#, r#"<ada@db1", x"@db2>"#, r#"bob@[203.0.113.4]"ada.l"@corp"#] {
            let once = redact(&redactor, text);
            assert_eq!(redactor.text(&once, &mut Hits::default()), None, "{text} became {once}");
        }
    }
}
