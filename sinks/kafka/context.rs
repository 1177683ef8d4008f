//! What librdkafka tells us on its own thread: answers to messages, errors of no message, log lines.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;
use tracing::{debug, trace};

use super::explain::{Fate, fate};
use super::token::{TokenError, Tokens};
use crate::DeliveryError;

/// Collects the errors that belong to no message. A wrong password is only ever told here: the messages themselves just
/// run out of time.
pub(super) struct Context {
    sink: String,
    // Held for a line, never across an await.
    last_error: Mutex<Option<(Code, String)>>,
    tokens: Option<Arc<Tokens>>,
    // Held for a line, never across an await.
    token_error: Mutex<Option<TokenError>>,
}

/// Travels with a message through librdkafka and brings its answer back.
pub(super) struct Ticket {
    at: usize,
    answers: mpsc::UnboundedSender<(usize, Option<Code>)>,
}

impl Ticket {
    pub fn new(at: usize, answers: &mpsc::UnboundedSender<(usize, Option<Code>)>) -> Box<Self> {
        Box::new(Self { at, answers: answers.clone() })
    }
}

impl Context {
    pub fn new(sink: String, tokens: Option<Arc<Tokens>>) -> Self {
        Self { sink, last_error: Mutex::new(None), tokens, token_error: Mutex::new(None) }
    }

    /// The last error of no message, since the last batch that arrived. librdkafka repeats itself at most every thirty
    /// seconds, so it is kept and not only handed out.
    pub fn last_error(&self) -> Option<(Code, String)> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget_errors(&self) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a broker has refused us, since the last batch that arrived, or there is no token to show it.
    pub fn is_refused(&self) -> bool {
        match self.token_trouble() {
            Some(trouble) => matches!(trouble, DeliveryError::Refused { .. }),
            None => self.last_error().is_some_and(|(code, _)| fate(code) == Fate::Refused),
        }
    }

    /// Why there is no token, where one is needed and the last attempt to get one failed.
    pub fn token_trouble(&self) -> Option<DeliveryError> {
        let error = self.token_error.lock().unwrap_or_else(PoisonError::into_inner);
        error.as_ref().map(|error| error.explain())
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("`sasl` asks for no token")?;
        let fetched = tokens.fetch();
        let error = fetched.as_ref().err().cloned();
        *self.token_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        fetched.map_err(Into::into)
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes back as an error of a batch; librdkafka's own account is for whoever looks closely.
        trace!(sink = %self.sink, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(sink = %self.sink, %error, reason, "librdkafka reports an error");
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if let (Code::Authentication | Code::SaslAuthenticationFailed, Some(tokens)) = (code, &self.tokens) {
            tokens.forget();
        }
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // What follows a refusal, such as "all brokers are down", must not hide it.
        let hides =
            last.as_ref().is_some_and(|(before, _)| code == Code::AllBrokersDown || fate(*before) == Fate::Refused);
        if fate(code) == Fate::Refused || !hides {
            *last = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let code = match result {
            // librdkafka calls a message delivered once a later one is, whatever it had heard of it. But a broker that has
            // no record of ours yet takes a later request although it has refused the one before.
            Ok(message) if Offset::from_raw(message.offset()) == Offset::Invalid => {
                Some(Code::OutOfOrderSequenceNumber)
            }
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        // Nobody listens where the delivery's future was dropped.
        let _ = ticket.answers.send((ticket.at, code));
    }
}
