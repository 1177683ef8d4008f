//! What is switched on, what an operator's own pattern does, and what a policy needs.

use super::*;

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
