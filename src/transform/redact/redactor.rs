//! Finds what a policy names, and replaces it.

use std::sync::Arc;

use super::encoded::{Decoded, Text};
use super::fields::Tree;
use super::pattern::Pattern;
use super::policy::{Detector, Policy, PolicyError, Treatment};
use super::{Found, Tally, What, api_key, card, email, ip, jwt, ours, phone, scan};

/// A pseudonym with an epoch of five digits; room for one spares nearly every text a second allocation.
const LONGEST_STAND_IN: usize = 50;

/// How often a text is looked at again after a replacement in an unclear place.
const ROUNDS: usize = 16;

/// What is left of a text in which the stand-ins make something new over and over, as a pattern can.
const RESTLESS: &str = "masked";

/// Finds addresses and secrets and replaces them, by one policy. Pure: the same text gives the same result.
#[derive(Debug, Clone)]
pub struct Redactor {
    pub(super) emails: Option<Treatment>,
    pub(super) ips: Option<Treatment>,
    pub(super) more: Option<Arc<More>>,
    /// What becomes of fields; the redactor itself knows texts only.
    pub(super) fields: Arc<Tree>,
    pub(super) hides_fields: bool,
}

/// What has to be switched on.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) phones: Option<Treatment>,
    pub(super) jwts: Option<Treatment>,
    pub(super) api_keys: Option<Treatment>,
    pub(super) cards: Option<Treatment>,
    pub(super) patterns: Vec<(Pattern, Treatment)>,
}

impl More {
    fn new(policy: &Policy) -> Result<Option<Arc<Self>>, PolicyError> {
        let key = policy.key.as_ref();
        let treatment = |action: Option<_>, detector: Detector| {
            action.map(|action| Treatment::new(action, detector.name(), key)).transpose()
        };
        let patterns = policy.patterns.iter().map(|pattern| {
            let treatment = Treatment::new(pattern.action, &pattern.name, key)?;
            Ok((pattern.clone(), treatment))
        });
        let more = Self {
            phones: treatment(policy.phones, Detector::Phone)?,
            jwts: treatment(policy.jwts, Detector::Jwt)?,
            api_keys: treatment(policy.api_keys, Detector::ApiKey)?,
            cards: treatment(policy.cards, Detector::Card)?,
            patterns: patterns.collect::<Result<_, _>>()?,
        };
        let none = more.phones.is_none() && more.jwts.is_none() && more.api_keys.is_none() && more.cards.is_none();
        Ok((!none || !more.patterns.is_empty()).then(|| Arc::new(more)))
    }

    /// Whether anything could be found in a text without escapes.
    fn may_find(&self, text: &[u8], traits: &scan::Traits) -> bool {
        (self.phones.is_some() && memchr::memchr(b'+', text).is_some())
            || (self.jwts.is_some() && traits.jwt())
            || (self.cards.is_some() && card::may_be_in(text))
            || (self.api_keys.is_some() && api_key::may_be_in(text))
            || self.patterns.iter().any(|(pattern, _)| pattern.may_be_in(text))
    }

    fn find(&self, text: &Text<'_>, traits: &scan::Traits, found: &mut Vec<Found>) {
        if self.phones.is_some() {
            phone::find(text, found);
        }
        if self.jwts.is_some() && traits.jwt() {
            jwt::find(text, found);
        }
        if self.api_keys.is_some() {
            api_key::find(text, found);
        }
        if self.cards.is_some() {
            card::find(text, found);
        }
        let before = found.len();
        for (index, (pattern, _)) in self.patterns.iter().enumerate() {
            pattern.find(index, text, found);
        }
        if found.len() > before {
            let names = self.patterns.iter().map(|(pattern, _)| pattern.name.as_str());
            ours::find(text, names, |start, end, _| found.push(Found { start, end, what: What::Ours }));
        }
    }

    pub(super) fn treatment(&self, detector: Detector) -> Option<&Treatment> {
        match detector {
            Detector::Phone => self.phones.as_ref(),
            Detector::Jwt => self.jwts.as_ref(),
            Detector::ApiKey => self.api_keys.as_ref(),
            Detector::Card => self.cards.as_ref(),
            Detector::Email | Detector::Ip | Detector::Pattern | Detector::Field => None,
        }
    }
}

impl Redactor {
    /// # Errors
    ///
    /// When an action needs a key and the policy has none.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        let key = policy.key.as_ref();
        Ok(Redactor {
            emails: policy.emails.map(|action| Treatment::new(action, "emails", key)).transpose()?,
            ips: policy.ips.map(|action| Treatment::new(action, "ips", key)).transpose()?,
            more: More::new(&policy)?,
            fields: Arc::new(policy.fields.compile(key)?),
            hides_fields: policy.fields.hide_something(),
        })
    }

    /// The text with everything replaced that was found, or `None` when nothing was: the caller keeps its
    /// text and nothing is copied.
    ///
    /// `tally` is told what was replaced. Redacting the result again gives `None`.
    #[inline]
    pub fn text(&self, text: &str, tally: &mut impl Tally) -> Option<String> {
        let traits = scan::traits(text.as_bytes());
        if traits.harmless(self.emails.is_some(), self.ips.is_some())
            && self.more.as_ref().is_none_or(|more| !more.may_find(text.as_bytes(), &traits))
        {
            return None;
        }
        self.settle(text, traits, tally)
    }

    /// The text of a number, where a detector that is on could find something in it.
    pub(super) fn number(&self, digits: &str, tally: &mut impl Tally) -> Option<String> {
        let more = self.more.as_ref()?;
        if more.cards.is_none() && more.patterns.is_empty() {
            return None;
        }
        self.text(digits, tally)
    }

    /// Redacts until nothing changes.
    ///
    /// One round is nearly always enough. Where a stand-in touches what could be read together with
    /// it (`1:` and `:5` around a removed address are `1::5`), only another look can tell.
    fn settle(&self, text: &str, traits: scan::Traits, tally: &mut impl Tally) -> Option<String> {
        let mut done = self.round(text, traits, tally)?;
        // What a pattern leaves may match it once more, wherever it stands.
        let is_restless = self.more.as_ref().is_some_and(|more| !more.patterns.is_empty());
        for _ in 1..ROUNDS {
            if done.calm && !is_restless {
                return Some(done.text);
            }
            match self.round(&done.text, scan::traits(done.text.as_bytes()), tally) {
                Some(next) => done = next,
                None => return Some(done.text),
            }
        }
        let comes_to_rest = self.round(&done.text, scan::traits(done.text.as_bytes()), tally).is_none();
        Some(if comes_to_rest { done.text } else { RESTLESS.to_owned() })
    }

    fn round(&self, text: &str, traits: scan::Traits, tally: &mut impl Tally) -> Option<Redacted> {
        if traits.written_otherwise()
            && let Some(decoded) = Decoded::of(text)
        {
            let traits = scan::traits(&decoded.bytes);
            return self.replace(&Text::decoded(text, &decoded), traits, tally);
        }
        self.replace(&Text::plain(text), traits, tally)
    }

    fn replace(&self, text: &Text<'_>, traits: scan::Traits, tally: &mut impl Tally) -> Option<Redacted> {
        let found = self.find(text, &traits);
        if found.is_empty() {
            return None;
        }
        let mut out = Redacted { text: String::with_capacity(text.raw.len() + LONGEST_STAND_IN), calm: true };
        let (mut copied, mut changed) = (0, false);
        for item in found.iter().filter(|item| item.what != What::Ours) {
            let span = text.written(item.start..item.end);
            out.text.push_str(&text.raw[copied..span.start]);
            let stand_in = out.text.len();
            self.write(text, item, &mut out.text);
            copied = span.end;
            let written = &text.raw[span.clone()];
            // What is there already is written again: to begin the copy anew behind it would copy the rest many times.
            if out.text[stand_in..] == *written {
                continue;
            }
            changed = true;
            tally.hit(item.what.detector(), written, &out.text[stand_in..]);
            out.calm &= is_calm(text.raw, span.start, span.end);
        }
        if !changed {
            return None;
        }
        out.text.push_str(&text.raw[copied..]);
        Some(out)
    }

    /// All that is to be replaced, from left to right; none overlaps with the next.
    fn find(&self, text: &Text<'_>, traits: &scan::Traits) -> Vec<Found> {
        let mut found = Vec::new();
        if self.emails.is_some() && traits.email() {
            email::find(text, &mut found);
        }
        let emails = found.len();
        if self.ips.is_some() {
            if traits.ipv6() {
                ip::find_v6(text, &mut found);
            }
            if traits.ipv4() {
                ip::find_v4(text, &mut found);
            }
            if traits.ip6_arpa() {
                ip::find_ip6_arpa(text, &mut found);
            }
        }
        if let Some(more) = &self.more {
            more.find(text, traits, &mut found);
        }
        if found.len() > emails.max(1) { merged(found) } else { found }
    }
}

/// A text after one round.
struct Redacted {
    text: String,
    /// No stand-in touches anything it could be read together with.
    calm: bool,
}

fn is_calm(raw: &str, start: usize, end: usize) -> bool {
    let raw = raw.as_bytes();
    let calm =
        |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\n' | b'\t' | b'"' | b'<' | b'>' | b'(' | b')' | b','));
    // `"@`, however the `@` is written, could make a local part of what stands before the quote.
    let quotes = raw.get(end) == Some(&b'"') && matches!(raw.get(end + 1), Some(b'@' | b'%' | b'\\' | b'&' | 0x80..));
    calm(raw[..start].last()) && calm(raw.get(end)) && !quotes
}

/// Puts what was found in order; of two that overlap one remains, and covers both.
fn merged(mut found: Vec<Found>) -> Vec<Found> {
    // Stable, so that of two with one beginning the e-mail address stays first.
    found.sort_by_key(|item| item.start);
    let mut apart: Vec<Found> = Vec::with_capacity(found.len());
    for item in found {
        match apart.last_mut() {
            Some(last) if item.start < last.end => {
                last.what = of_both(last, &item);
                last.end = last.end.max(item.end);
            }
            _ => apart.push(item),
        }
    }
    apart
}

/// What two are that overlap, `first` beginning first.
fn of_both(first: &Found, second: &Found) -> What {
    let holds = second.end <= first.end;
    let is_held = first.start == second.start && first.end < second.end;
    match (first.what, second.what) {
        // A stand-in that is whole stays, one that is only a part of something goes with it.
        (What::Ours, _) if holds => What::Ours,
        (_, What::Ours) if is_held => What::Ours,
        (What::Ours, what) | (what, What::Ours) => what,
        // What an expression spans is what the operator means, whatever else is in it.
        (what @ What::Pattern(_), _) if holds => what,
        (_, what @ What::Pattern(_)) if is_held => what,
        (What::Email { at } | What::EmailWithMore { at }, _) | (_, What::Email { at } | What::EmailWithMore { at }) => {
            What::EmailWithMore { at }
        }
        (_, what) if is_held => what,
        (what, _) => what,
    }
}
