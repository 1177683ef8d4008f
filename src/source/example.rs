//! What becomes of a connector's examples: each answer is taken as a source takes one, up to the OCSF events.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::decode::{self, Found, Raw};
use super::verdict::{Answer, judge, sentence};
use crate::connector::Connector;
use crate::connector::model::{Example, Format, Read};
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Value, mend};
use crate::transform::normalize::{Form, Normalize};
use crate::transform::redact;
use crate::transform::{Notes, Transform};

/// What became of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is a page, or a file.
    Records {
        /// The OCSF events, in the order of the answer.
        events: Vec<Json>,
        /// Why each of the other records became a dead letter.
        dead_letters: Vec<String>,
    },
    /// It is an error: the sentence that a person sees.
    Error(String),
}

/// By what name an example's own reading goes, where a connector leaves out the entries that this makes.
const USER_AGENT: &str = "auditline";
/// The time of a record that has none: in an example there is no window that ends.
const NO_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// One record of an example's answer, as the transforms get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The record, as JSON.
    pub body: String,
}

/// Takes the answer of an example of that connector.
#[must_use]
pub fn run(connector: &Arc<Connector>, example: &Example) -> Outcome {
    match taken(connector, example) {
        Ok(taken) => Outcome::Records { events: taken.events, dead_letters: taken.dead_letters },
        Err(sentence) => Outcome::Error(sentence),
    }
}

/// The records in the answer of an example of that connector. An error has none.
#[must_use]
pub fn samples(connector: &Arc<Connector>, example: &Example) -> Vec<Sample> {
    taken(connector, example).map(|taken| taken.samples).unwrap_or_default()
}

/// What was taken of an answer, or the sentence that a person sees.
fn taken(connector: &Arc<Connector>, example: &Example) -> Result<Taken, String> {
    let definition = &connector.definition;
    let answer = answer(example);
    let error = |what: &str| Err(format!("{} {what}", definition.connector.vendor));
    let arena = Arena::new();
    let body = json::decode(&answer.body, &arena).ok();
    if let Some(verdict) = judge(&answer, body, &definition.errors, false, NO_TIME) {
        return Err(sentence(&definition.connector.vendor, &redact::masked(&verdict.said)));
    }
    let mut taken = Taken::new(connector);
    if read(connector, example).job.is_some() {
        return match decode::whole_csv(&answer.body, None, &definition.decode, &arena) {
            Ok(records) => {
                records.into_iter().for_each(|record| taken.record(record, &arena));
                Ok(taken)
            }
            Err(flaw) => error(&format!("sends a file {flaw}")),
        };
    }
    match page(connector, &answer.body, &mut taken) {
        Ok(Some(_)) => Ok(taken),
        Ok(None) => error(&decode::no_list(&definition.decode)),
        Err(broken) => error(&decode::no_page(&answer.body, &broken)),
    }
}

/// Hands the records of a page on, and returns how many it has.
fn page(connector: &Arc<Connector>, body: &[u8], taken: &mut Taken) -> Result<Option<usize>, JsonError> {
    let rules = &connector.definition.decode;
    let mut decode = |body: &[u8]| {
        let mut records = Taken::new(connector);
        let mut each = |found: Found<'_>, arena: &Arena| match found {
            Found::Value(record) => records.record(record, arena),
            Found::Unreadable { reason, .. } => records.dead_letters.push(reason.to_owned()),
        };
        let page = decode::page(body, rules, &Arena::new(), &mut each)?.items;
        *taken = records;
        Ok(page)
    };
    match decode(body) {
        Err(_) if rules.format == Format::Json => decode(&mend(body)),
        page => page,
    }
}

fn answer(example: &Example) -> Answer {
    let status = example.status.as_ref().and_then(|status| StatusCode::from_u16(status.value).ok());
    // What is no status and no header was told when the connector was read.
    let header =
        |(name, value): (&str, &str)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?));
    let headers = example.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Answer {
        status: status.unwrap_or(StatusCode::OK),
        headers: headers.filter_map(header).collect::<HeaderMap>(),
        body: example.answer.as_bytes().to_vec(),
    }
}

/// The way to read that the example is of.
fn read<'a>(connector: &'a Connector, example: &Example) -> &'a Read {
    let reads = &connector.definition.read;
    let named = example.read.as_ref().and_then(|name| reads.get(name.as_str()));
    let first = || reads.values().find(|read| read.job.is_none()).or_else(|| reads.values().next());
    named.or_else(first).expect("a connector has at least one way to read")
}

/// The records of one answer, and what became of them.
struct Taken {
    connector: Arc<Connector>,
    normalize: Normalize,
    samples: Vec<Sample>,
    events: Vec<Json>,
    dead_letters: Vec<String>,
}

impl Taken {
    fn new(connector: &Arc<Connector>) -> Self {
        let normalize = Normalize::new(Form::Ocsf, Arc::clone(&connector.map), connector.identity.clone());
        let connector = Arc::clone(connector);
        Self { connector, normalize, samples: Vec::new(), events: Vec::new(), dead_letters: Vec::new() }
    }

    fn record(&mut self, record: Value<'_>, arena: &Arena) {
        let rules = &self.connector.definition.decode;
        if rules.own_reads.as_ref().is_some_and(|own| decode::is_own_read(record, own, USER_AGENT)) {
            return;
        }
        match decode::record(record, rules, NO_TIME, arena) {
            Raw::Event(event) => {
                let body = json::to_string(&event.body);
                self.samples.push(Sample { id: event.id.to_owned(), time: event.time, body });
                match self.normalize.apply(event, arena, &mut Notes::default()) {
                    Ok(event) => {
                        let text = json::to_string(&event.body);
                        // A number that no JSON library of ours can hold is compared as it is written.
                        self.events.push(serde_json::from_str(&text).unwrap_or(Json::String(text)));
                    }
                    Err(unfit) => self.dead_letters.push(unfit.to_string()),
                }
            }
            Raw::Unreadable { reason, .. } => self.dead_letters.push(reason.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
