//! What librdkafka's codes mean for a batch.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use serde::{Deserialize, Serialize};

use super::Config;
use super::context::Context;
use super::options::Mechanism;
use crate::DeliveryError;
use crate::template::Template;

/// What an error says of the message that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The broker will never take this message.
    Rejected,
    /// No message will be taken until a person changes something.
    Refused,
    /// It may be taken later.
    Retryable,
}

/// Why a message will never be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    /// librdkafka itself finds it too large.
    Producer,
    TooLarge,
    TooLargeTogether,
    InvalidSize,
    Invalid,
}

impl Why {
    /// What a broker's code says of the message; `None` if it is about something else.
    pub fn of(code: Code) -> Option<Self> {
        Some(match code {
            Code::MessageSizeTooLarge => Self::TooLarge,
            Code::MessageBatchTooLarge => Self::TooLargeTogether,
            Code::InvalidMessageSize => Self::InvalidSize,
            Code::InvalidRecord => Self::Invalid,
            _ => return None,
        })
    }

    /// For the dead letter of a record with so much JSON.
    pub fn reason(self, bytes: usize) -> String {
        let code = match self {
            Self::Producer => return format!("{bytes} bytes are more than the producer's `message.max.bytes`"),
            Self::TooLarge => Code::MessageSizeTooLarge,
            Self::TooLargeTogether => Code::MessageBatchTooLarge,
            Self::InvalidSize => Code::InvalidMessageSize,
            Self::Invalid => Code::InvalidRecord,
        };
        code.to_string()
    }
}

pub(super) fn fate(code: Code) -> Fate {
    if Why::of(code).is_some() {
        Fate::Rejected
    } else if hint(code).is_some() || is_fenced(code) {
        Fate::Refused
    } else {
        Fate::Retryable
    }
}

/// Somebody else has our `transactional.id` now, or Kafka has ended a transaction that took too long.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// What a person has to do, where waiting does not help.
fn hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "create the topic, or correct `topic`"
        }
        Code::InvalidTopic => "correct `topic`: at most 249 letters, digits, `.`, `_` and `-`",
        Code::TopicAuthorizationFailed => {
            "grant this user Write and Describe on the topic, and for `exactly_once` Read on the topic that keeps the position"
        }
        Code::TransactionalIdAuthorizationFailed => {
            "grant this user Write and Describe on the transactional ids that begin with `transactional_id_prefix`"
        }
        Code::GroupAuthorizationFailed => {
            "grant this user Read on the consumer groups that begin with `transactional_id_prefix`: they keep the position"
        }
        Code::InvalidTransactionTimeout => {
            "lower `timeout`: four times as long, at most `15m`, must not be more than the brokers' \
             `transaction.max.timeout.ms`"
        }
        Code::OffsetMetadataTooLarge => "set the brokers' `offset.metadata.max.bytes` to 4096 or more",
        Code::InvalidTimestamp => "set the clocks of this machine and of the brokers",
        Code::UnsupportedFeature | Code::UnsupportedVersion => {
            "use brokers of version 0.11 or later, or `delivery = \"at_least_once\"`"
        }
        // Whoever may write to any topic may write to it idempotently, since Kafka 2.8 (KIP-679).
        Code::ClusterAuthorizationFailed => {
            "grant this user Write and Describe on the topic, and on brokers before 2.8 IdempotentWrite on the cluster"
        }
        Code::Authentication | Code::SaslAuthenticationFailed | Code::IllegalSASLState => {
            "correct `sasl.username` and `sasl.password`"
        }
        Code::UnsupportedSASLMechanism => "set `sasl.mechanism` to one the brokers offer",
        Code::SSL => {
            "check `tls.ca` (who signed the broker's certificate), `tls.cert` and `tls.key`, and that \
                      `brokers` uses names in that certificate"
        }
        Code::SecurityDisabled => "leave out `sasl`: this port does not ask for it",
        Code::PolicyViolation => "see the topic's policy on the brokers",
        Code::UnsupportedCompressionType => "set another `compression`",
        Code::UnsupportedForMessageFormat => "use brokers of version 0.11 or later: headers are needed",
        _ => return None,
    })
}

/// The error as the engine takes it, by what librdkafka said outside of any message too.
pub(super) fn explain(code: Code, context: &Context, config: &Config) -> DeliveryError {
    let brokers = config.brokers();
    let hint = |code| hint_for(code, config);
    if let Some(hint) = hint(code) {
        let message = format!("Kafka refused topic `{}`", config.topic);
        return DeliveryError::refused(message, hint, KafkaError::MessageProduction(code));
    }
    if !timed_out(code) {
        let message = format!("Kafka did not take records for topic `{}`", config.topic);
        return DeliveryError::retryable(message, KafkaError::MessageProduction(code));
    }
    // Without a token no broker is even asked.
    if let Some(trouble) = context.token_trouble() {
        return trouble;
    }
    match context.last_error() {
        Some((cause, reason)) => match hint(cause) {
            Some(hint) => DeliveryError::refused(format!("Kafka at `{brokers}` refused us"), hint, reason),
            None => DeliveryError::retryable(format!("Kafka at `{brokers}` does not answer"), reason),
        },
        None => DeliveryError::retryable(
            format!("Kafka at `{brokers}` does not answer"),
            KafkaError::MessageProduction(code),
        ),
    }
}

fn hint_for(code: Code, config: &Config) -> Option<&'static str> {
    let by_token = config.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::OauthBearer);
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::IllegalSASLState if by_token => Some(
            "the brokers do not take the token: check `sasl.scope`, and that they trust the issuer behind `sasl.token_url`",
        ),
        _ => hint(code),
    }
}

/// There is no such topic, and the brokers do not make it by themselves, unless they only have not told.
pub(super) fn missing(code: Code, topic: &Template, told: bool) -> DeliveryError {
    let hint = if told {
        "create the topic, or correct `topic`: the brokers do not make it by themselves"
    } else {
        "create the topic, or correct `topic`; where the brokers make topics by themselves, which they did not tell, the \
         first record brings it about"
    };
    DeliveryError::refused(format!("Kafka has no topic `{topic}`"), hint, KafkaError::MessageProduction(code))
}

/// The codes of having waited, which say nothing of the reason.
fn timed_out(code: Code) -> bool {
    matches!(
        code,
        Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::QueueFull
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(code: Code, last: Option<(Code, &str)>) -> DeliveryError {
        let config = serde_json::json!({ "brokers": ["kafka-1:9092"], "topic": "audit" });
        let context = Context::new("kafka".to_owned(), None);
        if let Some((code, reason)) = last {
            rdkafka::ClientContext::error(&context, KafkaError::Global(code), reason);
        }
        explain(code, &context, &serde_json::from_value(config).unwrap())
    }

    #[test]
    fn a_timeout_is_explained_by_what_was_said_before() {
        let error = explained(Code::MessageTimedOut, Some((Code::Authentication, "SASL failed")));
        assert!(matches!(error, DeliveryError::Refused { .. }));
        let error = explained(Code::MessageTimedOut, Some((Code::Resolve, "no such host")));
        assert!(matches!(error, DeliveryError::Retryable { .. }));
        assert_eq!(crate::contract::chain(&error), "Kafka at `kafka-1:9092` does not answer: no such host");
        // An old error of another kind does not explain a broker's plain answer.
        let error = explained(Code::NotEnoughReplicas, Some((Code::Authentication, "SASL failed")));
        assert!(matches!(error, DeliveryError::Retryable { .. }));
    }

    #[test]
    fn only_what_is_wrong_with_the_message_rejects_it() {
        assert_eq!(fate(Code::MessageSizeTooLarge), Fate::Rejected);
        assert_eq!(fate(Code::TopicAuthorizationFailed), Fate::Refused);
        for code in [Code::NotEnoughReplicas, Code::Fatal, Code::PurgeQueue, Code::InvalidMessage, Code::Fail] {
            assert_eq!(fate(code), Fate::Retryable, "{code:?}");
        }
    }
}
