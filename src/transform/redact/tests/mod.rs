//! What is found and what is left alone, example by example.

mod cost;
mod detectors;
mod emails;
mod fields;
mod ips;
mod stand_ins;
mod surroundings;
mod writings;

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
    for at in [
        "@", "%40", "%2540", r"\u0040", r"\\u0040", "&#64;", "＠", r"\@", r"\\\@", "[@]", "[at]", "[AT]", "(@)",
        "&#64", "&commat;",
    ] {
        out = out.replace(&format!("masked{at}masked.invalid"), "<E>");
    }
    out.replace("0.0.0.0", "<4>")
}
