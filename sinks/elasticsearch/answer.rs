//! What a bulk request's answer says of each record.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::document::Documents;
use crate::http_client::Answer;
use crate::{DeliveryError, Rejected};

/// An answer to a bulk request, one item for each record.
pub(super) struct Fates<'a> {
    answer: &'a Answer,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Bulk {
    /// Every bulk answer says whether there were any.
    #[serde(rename = "errors")]
    _errors: bool,
    items: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    create: Item,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(rename = "_index")]
    index: Option<String>,
    /// `used`: the server took it for one that it could not index, and kept it apart (Elasticsearch 9.1).
    failure_store: Option<String>,
    error: Option<Fault>,
}

/// Why a record was not taken. Before version 5, and from what stands between, it was a text.
#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    caused_by: Option<Box<Fault>>,
    #[serde(rename = "header")]
    _header: Option<IgnoredAny>,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is there, now or already.
    Done,
    /// It will never be taken.
    Rejected,
    /// It may be taken later.
    Retryable,
    /// No record will be taken there until a person does this.
    Refused(&'static str),
}

impl<'a> Fates<'a> {
    /// The answer to a request of `count` records, or that it is none. Then nothing is known of them.
    pub fn of(answer: &'a Answer, count: usize) -> Result<Self, DeliveryError> {
        let bulk: Result<Bulk, _> = serde_json::from_slice(&answer.body);
        match bulk {
            Ok(bulk) if bulk.items.len() == count => {
                Ok(Self { answer, items: bulk.items.into_iter().map(|action| action.create).collect() })
            }
            Ok(bulk) => {
                let told = bulk.items.len();
                let message = format!("`{}` told of {told} records where {count} were sent", answer.origin);
                Err(DeliveryError::Retryable { message, retry_after: answer.retry_after(), source: None })
            }
            Err(error) => {
                let said = answer.excerpt();
                let message = format!("`{}` answered what is no answer to a bulk request: {said}", answer.origin);
                Err(DeliveryError::retryable(message, error))
            }
        }
    }

    /// The rejected ones, once all others are there. `first` is the place of the first record in its batch.
    ///
    /// What needs a person goes before what may pass: waiting alone would never be enough.
    pub fn sorted(self, documents: &Documents<'_>, first: usize) -> Result<Vec<Rejected>, DeliveryError> {
        let is_stream = documents.target().is_stream;
        let mut rejected = Vec::new();
        let mut retryable = None;
        for (at, item) in self.items.iter().enumerate() {
            let at = first + at;
            match item.fate(is_stream) {
                Fate::Done if is_stream => self.expect_stream(item, &documents.name(at))?,
                Fate::Done => {}
                Fate::Rejected => rejected.push(Rejected { at, reason: self.reason(item) }),
                Fate::Retryable => retryable = retryable.or(Some(at)),
                Fate::Refused(hint) => {
                    let message = format!("`{}` refused {}", self.answer.origin, self.sentence(item, documents, at));
                    return Err(DeliveryError::Refused { message, hint: hint.to_owned(), source: None });
                }
            }
        }
        let Some(at) = retryable else { return Ok(rejected) };
        let item = &self.items[at - first];
        let waiting = self.items.iter().filter(|item| item.fate(is_stream) == Fate::Retryable).count();
        let of = self.items.len();
        let sentence = self.sentence(item, documents, at);
        let message = format!("`{}` did not take {waiting} of {of} records: {sentence}", self.answer.origin);
        Err(DeliveryError::Retryable { message, retry_after: self.answer.retry_after(), source: None })
    }

    fn sentence(&self, item: &Item, documents: &Documents<'_>, at: usize) -> String {
        format!("a record for `{}` ({}): {}", documents.name(at), item.status, self.reason(item))
    }

    fn reason(&self, item: &Item) -> String {
        let otherwise = || match &item.failure_store {
            Some(_) => "it went to the data stream's failure store, which says why".to_owned(),
            None => format!("status {}", item.status),
        };
        let said = item.error.as_ref().map_or_else(otherwise, Fault::sentence);
        self.answer.fit_to_print(&said)
    }

    /// Where no template makes a data stream of the name, an index comes into being, and no rollover ever ends it.
    fn expect_stream(&self, item: &Item, name: &str) -> Result<(), DeliveryError> {
        if item.index.as_deref() != Some(name) {
            return Ok(());
        }
        Err(DeliveryError::Refused {
            message: format!("`{name}` at `{}` is an index and no data stream", self.answer.origin),
            hint: format!(
                "put an index template with `data_stream` for that name (`auditline schema index-template` prints one), \
                 delete the index `{name}`, and the records are delivered again; or use `index` in place of \
                 `data_stream`"
            ),
            source: None,
        })
    }
}

impl Item {
    fn fate(&self, is_stream: bool) -> Fate {
        let kind = self.error.as_ref().map_or("", |error| error.kind.as_str());
        let own = || self.error.as_ref().and_then(|error| error.reason.clone()).unwrap_or_default();
        let said = || self.error.as_ref().map(Fault::sentence).unwrap_or_default();
        match (self.status, kind) {
            // Success, and still not where it was sent.
            (200..=299, _) if self.failure_store.as_deref() == Some("used") => Fate::Rejected,
            (200..=299, _) if self.error.is_none() => Fate::Done,
            // Our id is there: this very record was delivered before.
            (409, "version_conflict_engine_exception") => Fate::Done,
            (401 | 403, "cluster_block_exception") => Fate::Refused(
                "the index takes no writing: see its `index.blocks` and, if they came by themselves, the free space on \
                 the server's disks",
            ),
            (401 | 403, _) => Fate::Refused(super::HINTS.credentials),
            (404, "index_not_found_exception") => Fate::Refused(
                "create the index, or let the server do it: `action.auto_create_index`, and the privilege \
                 `auto_configure`",
            ),
            (404, _) => Fate::Refused("correct `index` or `data_stream`"),
            (400, "invalid_index_name_exception") => Fate::Refused("correct `index` or `data_stream`"),
            (400, "index_closed_exception") => Fate::Refused("open the index, or name another one"),
            (400, "validation_exception" | "action_request_validation_exception") => {
                Fate::Refused("this is about the whole cluster or index and no fault of a record: see what it says")
            }
            (400, "illegal_argument_exception") if said().contains("pipeline with id") => {
                Fate::Refused("create the ingest pipeline, or correct `ingest_pipeline` or the index's default one")
            }
            // Elasticsearch and OpenSearch say it in other words. To a data stream each record goes with one, so there it
            // is the record's own that is at fault.
            (400, _) if !is_stream && said().contains("timestamp field") && said().contains("@timestamp") => {
                Fate::Refused("the name is that of a data stream: set `data_stream` in place of `index`")
            }
            (400, "illegal_argument_exception") if own().contains("op_type") => {
                Fate::Refused("correct `index` or `data_stream`")
            }
            (400, "illegal_argument_exception") if own().contains("no write index") => {
                Fate::Refused("give the alias a write index, or name the index itself")
            }
            (400, "routing_missing_exception") => {
                Fate::Refused("the index demands a routing, which auditline does not give: name another index")
            }
            (400, _) if said().contains("Limit of total fields") => Fate::Refused(
                "raise `index.mapping.total_fields.limit`, or use the index template that `auditline schema \
                 index-template` prints",
            ),
            // An ingest pipeline says of a document what it would say again, and under whatever status.
            (400 | 500, _) if self.error.as_ref().is_some_and(Fault::is_of_ingest) => Fate::Rejected,
            // The whole of a document is at fault, or a field of it, or it has too many of them.
            (400 | 413, _) => Fate::Rejected,
            _ => Fate::Retryable,
        }
    }
}

impl Fault {
    /// Whether a processor of an ingest pipeline could not do with the document. Only its own words are looked at where
    /// the fault is wrapped.
    fn is_of_ingest(&self) -> bool {
        let is_known =
            ["fail_processor_exception", "dissect_exception", "script_exception"].contains(&self.kind.as_str());
        is_known || self.caused_by.as_ref().is_some_and(|cause| cause.is_of_ingest())
    }

    /// `mapper_parsing_exception: failed to parse field [time] of type [date]: …`, causes behind it.
    fn sentence(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let own = if self.kind.is_empty() { reason.to_owned() } else { format!("{}: {reason}", self.kind) };
        match &self.caused_by {
            Some(cause) => format!("{own}: {}", cause.sentence()),
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(status: u16, kind: &str, reason: &str) -> Fate {
        let error = Fault { kind: kind.to_owned(), reason: Some(reason.to_owned()), caused_by: None, _header: None };
        Item { status, index: None, failure_store: None, error: (!kind.is_empty()).then_some(error) }.fate(false)
    }

    #[test]
    fn each_item_finds_its_fate() {
        assert_eq!(fate(201, "", ""), Fate::Done);
        assert_eq!(fate(409, "version_conflict_engine_exception", "document already exists"), Fate::Done);
        assert_eq!(fate(409, "something_else", ""), Fate::Retryable);
        for (status, kind) in [
            (429, "es_rejected_execution_exception"),
            (429, "circuit_breaking_exception"),
            (429, "cluster_block_exception"),
            (503, "unavailable_shards_exception"),
            (500, "illegal_state_exception"),
            (503, "script_exception"),
            (502, ""),
            (200, "odd_exception"),
        ] {
            assert_eq!(fate(status, kind, ""), Fate::Retryable, "{status} {kind}");
        }
        for kind in [
            "mapper_parsing_exception",
            "document_parsing_exception",
            "strict_dynamic_mapping_exception",
            "illegal_argument_exception",
        ] {
            assert_eq!(fate(400, kind, "no such thing"), Fate::Rejected, "{kind}");
        }
        for (status, kind, reason) in [
            (401, "security_exception", ""),
            (403, "security_exception", ""),
            (403, "cluster_block_exception", ""),
            (404, "index_not_found_exception", ""),
            (400, "invalid_index_name_exception", ""),
            (400, "index_closed_exception", ""),
            (400, "validation_exception", "this cluster currently has [1000]/[1000] maximum shards open"),
            (400, "illegal_argument_exception", "no write index is defined for alias [a]"),
            (400, "mapper_parsing_exception", "Limit of total fields [1000] has been exceeded"),
            (400, "routing_missing_exception", "routing is required for [a]/[b]"),
            (400, "illegal_argument_exception", "pipeline with id [geo] does not exist"),
            (400, "illegal_argument_exception", "data stream timestamp field [@timestamp] is missing"),
            (400, "mapper_parsing_exception", "documents must contain a single-valued timestamp field '@timestamp'"),
        ] {
            assert!(matches!(fate(status, kind, reason), Fate::Refused(_)), "{status} {kind} {reason}");
        }
    }

    // An ingest pipeline that failed on one record stopped all those behind it for good.
    #[test]
    fn a_record_that_an_ingest_processor_fails_on_is_rejected() {
        for kind in ["fail_processor_exception", "dissect_exception", "script_exception"] {
            assert_eq!(fate(500, kind, "no"), Fate::Rejected, "{kind}");
            assert_eq!(fate(400, kind, "no"), Fate::Rejected, "{kind}");
        }
        let text = r#"{"create":{"status":500,"error":{"type":"exception","reason":"x","caused_by":{"type":"dissect_exception","reason":"y"}}}}"#;
        let action: Action = serde_json::from_str(text).unwrap();
        assert_eq!(action.create.fate(false), Fate::Rejected);
    }

    #[test]
    fn causes_stand_behind_what_they_caused() {
        let text = r#"{"type":"mapper_parsing_exception","reason":"failed to parse","caused_by":{"type":"parse_exception","reason":"not a date"},"index":"a"}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.sentence(), "mapper_parsing_exception: failed to parse: parse_exception: not a date");
    }
}
