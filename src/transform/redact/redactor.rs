//! Finds what a policy names, and replaces it.

use std::cell::LazyCell;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};

use super::encoded::{Decoded, Text};
use super::fields::Tree;
use super::key::Key;
use super::pattern::Pattern;
use super::policy::{Detector, Policy, PolicyError, Treatment};
use super::{Found, Hits, Tally, What, api_key, card, email, ip, jwt, ours, phone, scan, stand_in};
use crate::event::RecordKey;

/// A pseudonym with an epoch of five digits; room for one spares nearly every text a second allocation.
const LONGEST_STAND_IN: usize = 50;

/// Names, of which nearly all of an event consists, are no longer. They are looked at in the way that suits them.
const NAME: usize = 64;

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
    pub(super) key: Option<Key>,
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
        (self.phones.is_some() && memchr(b'+', text).is_some())
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
            key: policy.key,
        })
    }

    /// The text with everything replaced that was found, or `None` when nothing was: the caller keeps its
    /// text and nothing is copied.
    ///
    /// `tally` is told what was replaced. Redacting the result again gives `None`.
    #[inline]
    pub fn text(&self, text: &str, tally: &mut impl Tally) -> Option<String> {
        self.suspicion(text).and_then(|traits| self.settle(text, traits, tally))
    }

    /// What stands for a record's id in which something was found, `None` when nothing was. Ids that were different stay
    /// different, whatever the actions: by them destinations tell records apart.
    ///
    /// With a key it is a pseudonym. Without one it is the digest that the journal knows the record by, from which an id that
    /// is no more than an address could be guessed.
    pub(super) fn id(&self, id: &str) -> Option<String> {
        self.text(id, &mut Hits::default())?;
        Some(match &self.key {
            Some(key) => key.pseudonym("id", id.as_bytes()),
            None => RecordKey::of(id).to_string(),
        })
    }

    /// What makes the text worth a second look; `None` where nothing can be in it.
    #[inline]
    pub(super) fn suspicion(&self, text: &str) -> Option<scan::Traits> {
        if self.more.is_none() && text.len() <= NAME && !scan::is_telling(text.as_bytes()) {
            return None;
        }
        let traits = scan::traits(text.as_bytes());
        let is_harmless = traits.harmless(self.emails.is_some(), self.ips.is_some())
            && self.more.as_ref().is_none_or(|more| !more.may_find(text.as_bytes(), &traits));
        (!is_harmless).then_some(traits)
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
    pub(super) fn settle(&self, text: &str, traits: scan::Traits, tally: &mut impl Tally) -> Option<String> {
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
        let Some(decoded) = traits.written_otherwise().then(|| Decoded::of(text)).flatten() else {
            let plain = Text::plain(text);
            return self.replace(text, items(&plain, self.find(&plain, &traits, true)), tally);
        };
        let means = Text::decoded(text, &decoded);
        let found = self.find(&means, &scan::traits(&decoded.bytes), true);
        if memchr(b'%', text.as_bytes()).is_none() {
            return self.replace(text, items(&means, found), tally);
        }
        // A `%` may be one: of a pattern (`%10.20.30.40%`), before a zone, behind a number. So both readings are searched.
        let otherwise = Decoded::but_percent(text);
        let says = otherwise.as_ref().map_or_else(|| Text::plain(text), |otherwise| Text::decoded(text, otherwise));
        let plain = Text::plain(text);
        let found = items(&means, found).into_iter().map(|item| item.in_utf8(&plain)).collect();
        let literal = self.find(&says, &scan::traits(says.bytes), false);
        let mut literal = items(&says, literal);
        literal.retain(Item::has_to_do_with_percent);
        self.without_ours(&mut literal, &means);
        self.replace(text, of_both_readings(found, literal), tally)
    }

    /// `%20::` is a blank and a stand-in, and no `20::`.
    fn without_ours(&self, literal: &mut Vec<Item<'_>>, means: &Text<'_>) {
        if literal.is_empty() {
            return;
        }
        let names = self.more.iter().flat_map(|more| more.patterns.iter().map(|(pattern, _)| pattern.name.as_str()));
        let mut spans = Vec::new();
        ours::find(means, names, |start, end, _| spans.push(means.written(start..end)));
        spans.sort_by_key(|span| span.end);
        literal.retain(|item| {
            let first = spans.partition_point(|span| span.end <= item.span.start);
            spans.get(first).is_none_or(|span| span.start >= item.span.end)
        });
    }

    fn replace(&self, raw: &str, items: Vec<Item<'_>>, tally: &mut impl Tally) -> Option<Redacted> {
        if items.is_empty() {
            return None;
        }
        let mut out = Redacted { text: String::with_capacity(raw.len() + LONGEST_STAND_IN), calm: true };
        let (mut copied, mut changed) = (0, false);
        let quotes = LazyCell::new(|| may_quote_a_local_part(raw.as_bytes()));
        for Item { span, text, found } in items.iter().filter(|item| item.found.what != What::Ours) {
            // Two that are written apart may share a character.
            let start = span.start.max(copied);
            out.text.push_str(&raw[copied..start]);
            let stand_in = out.text.len();
            self.write(text, found, &mut out.text);
            copied = span.end.max(start);
            let written = &raw[start..copied];
            // What is there already is written again: to begin the copy anew behind it would copy the rest many times.
            if out.text[stand_in..] == *written {
                continue;
            }
            changed = true;
            tally.hit(found.what.detector(), written, &out.text[stand_in..]);
            out.calm = out.calm && is_calm(raw, start, copied) && !(raw[copied..].starts_with('"') && *quotes);
        }
        if !changed {
            return None;
        }
        out.text.push_str(&raw[copied..]);
        Some(out)
    }

    /// All that is to be replaced, from left to right; none overlaps with the next.
    fn find(&self, text: &Text<'_>, traits: &scan::Traits, emails: bool) -> Vec<Found> {
        let mut found = Vec::new();
        if emails && self.emails.is_some() && traits.email() {
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

/// Something to be replaced: where it is written, and in which reading of the text it was found.
struct Item<'t> {
    span: Range<usize>,
    text: &'t Text<'t>,
    found: Found,
}

fn items<'t>(text: &'t Text<'t>, found: Vec<Found>) -> Vec<Item<'t>> {
    found.into_iter().map(|found| Item { span: text.written(found.start..found.end), text, found }).collect()
}

impl<'t> Item<'t> {
    /// `%ada@example.com` is no letter and `a@example.com`: what decodes to no UTF-8 was not encoded.
    fn in_utf8(self, plain: &'t Text<'t>) -> Self {
        let (What::Email { at } | What::EmailWithMore { at }) = self.found.what else { return self };
        if self.text.unit(at) != "@" || std::str::from_utf8(&self.text.bytes[self.found.start..self.found.end]).is_ok()
        {
            return self;
        }
        let at = self.text.written(at..at + 1).start;
        let local = &plain.bytes[self.span.start..at];
        let start = self.span.start + usize::from(local.len() > 1 && local[0] == b'%');
        let end = self.span.end;
        let what = match self.found.what {
            _ if stand_in::is_email(&plain.bytes[start..at], &plain.bytes[at + 1..end]) => What::Ours,
            What::Email { .. } => What::Email { at },
            _ => What::EmailWithMore { at },
        };
        Item { span: start..end, text: plain, found: Found { start, end, what } }
    }

    /// Found where a `%` is a `%`, whether it would be without one is not known: directly behind it, or with it inside.
    fn has_to_do_with_percent(&self) -> bool {
        let Found { start, end, .. } = self.found;
        memchr(b'%', &self.text.bytes[start.saturating_sub(1)..end]).is_some()
    }

    /// Whether the other reading only takes an escape before it or behind it, as `%20`, for a part of it.
    fn is_all_of(&self, other: &Self) -> bool {
        let ends = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_punctuation() || b.is_ascii_whitespace());
        let Found { start, end, .. } = self.found;
        let (before, behind) =
            (&self.text.raw.as_bytes()[..self.span.start], &self.text.raw.as_bytes()[self.span.end..]);
        let escape = before.len().checked_sub(3).map(|at| before[at]);
        let begins =
            other.span.start >= self.span.start || (escape == Some(b'%') && ends(self.text.bytes[..start].last()));
        begins && (other.span.end <= self.span.end || (behind.first() == Some(&b'%') && ends(self.text.bytes.get(end))))
    }
}

/// What was found where escapes mean something, and where `%` is a `%`: in order, and none overlaps with the next.
fn of_both_readings<'t>(meant: Vec<Item<'t>>, mut literal: Vec<Item<'t>>) -> Vec<Item<'t>> {
    literal.retain(|item| {
        let first = meant.partition_point(|meant| meant.span.end <= item.span.start);
        let overlaps = meant[first..].iter().take_while(|meant| meant.span.start < item.span.end);
        !overlaps.into_iter().any(|meant| meant.is_all_of(item))
    });
    if literal.is_empty() {
        return meant;
    }
    // Of two that say different things, the one that takes the `%` for one knows both ends.
    let mut all: Vec<(bool, Item<'t>)> = literal.into_iter().map(|item| (true, item)).collect();
    all.extend(meant.into_iter().map(|item| (false, item)));
    all.sort_by_key(|(_, item)| item.span.start);
    let mut apart: Vec<(bool, Item<'t>)> = Vec::with_capacity(all.len());
    for (is_literal, item) in all {
        let overlaps = apart.last_mut().filter(|(_, last)| item.span.start < last.span.end);
        let Some((last_is_literal, last)) = overlaps else {
            apart.push((is_literal, item));
            continue;
        };
        let span = last.span.start..last.span.end.max(item.span.end);
        if (is_literal && !*last_is_literal) || last.found.what == What::Ours {
            (*last_is_literal, *last) = (is_literal, item);
        }
        last.span = span;
    }
    apart.into_iter().map(|(_, item)| item).collect()
}

/// A text after one round.
struct Redacted {
    text: String,
    /// No stand-in touches anything it could be read together with.
    calm: bool,
}

fn is_calm(raw: &str, start: usize, end: usize) -> bool {
    let raw = raw.as_bytes();
    let calm = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\n' | b'\t' | b'"' | b'<' | b'>' | b','));
    // A closing parenthesis before it, or an opening one behind it, may be of `(@)`.
    let (before, behind) = (raw[..start].last(), raw.get(end));
    // The word that says that a number is a version may have gone.
    let told_version = behind == Some(&b' ') && ip::is_called_version(&raw[..end]);
    (calm(before) || before == Some(&b'(')) && (calm(behind) || behind == Some(&b')')) && !told_version
}

/// `"@`, however the `@` is written, makes a local part of what stands before it in quotes. What stands before them, too,
/// says whether they do.
fn may_quote_a_local_part(raw: &[u8]) -> bool {
    memchr_iter(b'"', raw).any(|quote| matches!(raw.get(quote + 1), Some(b'@' | b'%' | b'\\' | b'&' | 0x80..)))
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
