//! What librdkafka's codes mean for a batch.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

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

pub(super) fn fate(code: Code) -> Fate {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize | Code::InvalidRecord => {
            Fate::Rejected
        }
        _ if hint(code).is_some() => Fate::Refused,
        _ => Fate::Retryable,
    }
}

/// What a person has to do, where waiting does not help.
fn hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "create the topic, or correct `topic`"
        }
        Code::InvalidTopic => "correct `topic`: at most 249 letters, digits, `.`, `_` and `-`",
        Code::TopicAuthorizationFailed => "grant this user Write and Describe on the topic",
        Code::ClusterAuthorizationFailed => "grant this user IdempotentWrite on the cluster",
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

/// The error as the engine takes it. `last` is what librdkafka said outside of any message.
pub(super) fn explain(code: Code, last: Option<(Code, String)>, brokers: &str, topic: &Template) -> DeliveryError {
    if let Some(hint) = hint(code) {
        let message = format!("Kafka refused topic `{topic}`");
        return DeliveryError::refused(message, hint, KafkaError::MessageProduction(code));
    }
    match last {
        Some((cause, reason)) if timed_out(code) => match hint(cause) {
            Some(hint) => DeliveryError::refused(format!("Kafka at `{brokers}` refused us"), hint, reason),
            None => DeliveryError::retryable(format!("Kafka at `{brokers}` does not answer"), reason),
        },
        _ if timed_out(code) => DeliveryError::retryable(
            format!("Kafka at `{brokers}` does not answer"),
            KafkaError::MessageProduction(code),
        ),
        _ => DeliveryError::retryable(
            format!("Kafka did not take records for topic `{topic}`"),
            KafkaError::MessageProduction(code),
        ),
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
        let last = last.map(|(code, reason)| (code, reason.to_owned()));
        explain(code, last, "kafka-1:9092", &"audit".parse().unwrap())
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
