//! Whether the brokers take us and have the topic: asked without bringing it about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer;
use tracing::info;

use super::context::Context;
use super::explain::missing;
use super::{Connected, Kafka};
use crate::DeliveryError;

const TIMEOUT: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_secs(1);

/// What the brokers say.
struct Answer {
    /// One of them, to be asked further.
    broker: Option<i32>,
    /// What is wrong with the topic, if it was asked for and something is.
    wrong: Option<Code>,
}

impl Kafka {
    /// Asks with a client of its own: where brokers make topics by themselves, a producer's question is enough.
    pub(super) async fn ask(&self) -> Result<(), DeliveryError> {
        let mut client = self.client.clone();
        client.set("allow.auto.create.topics", "false");
        let producer = self.connect(&client)?;
        let context = Arc::clone(producer.client().context());
        let answer = self.answer(&producer, &context).await;
        // Its thread is waited for when it goes.
        drop(tokio::task::spawn_blocking(move || drop(producer)));
        let Answer { broker, wrong } = answer?;
        let Some(code) = wrong else { return Ok(()) };
        if !matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition) {
            return Err(self.explain(code, &context));
        }
        match self.makes_topics(&client, broker).await {
            Some(true) => {
                info!(sink = %self, "there is no such topic yet: the brokers make it for the first record");
                Ok(())
            }
            told => Err(missing(code, &self.config.topic, told.is_some())),
        }
    }

    async fn answer(&self, producer: &Connected, context: &Context) -> Result<Answer, DeliveryError> {
        let give_up = Instant::now() + TIMEOUT;
        loop {
            // In short turns: a refusal is known long before the question has timed out, and a thread that is still
            // asking would keep the process from ending.
            let producer = Arc::clone(producer);
            let topic = self.config.topic.literal().map(str::to_owned);
            let turn = tokio::task::spawn_blocking(move || metadata(&producer, topic.as_deref()));
            match turn.await.unwrap_or(Err(Code::Fail)) {
                Ok(answer) => return Ok(answer),
                Err(code) if context.is_refused() || Instant::now() > give_up => {
                    return Err(self.explain(code, context));
                }
                Err(_) => {}
            }
        }
    }

    /// Whether the brokers make a topic for its first record; `None` if they do not tell us.
    async fn makes_topics(&self, client: &ClientConfig, broker: Option<i32>) -> Option<bool> {
        let admin: AdminClient<Context> = client.create_with_context(Context::new(self.to_string())).ok()?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let described = admin.describe_configs(&[ResourceSpecifier::Broker(broker?)], &options).await;
        drop(tokio::task::spawn_blocking(move || drop(admin)));
        let described = described.ok()?.pop()?.ok()?;
        described.get("auto.create.topics.enable")?.value.as_ref()?.parse().ok()
    }
}

fn metadata(producer: &Connected, topic: Option<&str>) -> Result<Answer, Code> {
    let metadata = producer.client().fetch_metadata(topic, TURN);
    let metadata = metadata.map_err(|error| error.rdkafka_error_code().unwrap_or(Code::Fail))?;
    let asked = metadata.topics().first().filter(|_| topic.is_some());
    Ok(Answer {
        broker: metadata.brokers().first().map(|broker| broker.id()),
        wrong: asked.and_then(|topic| topic.error()).map(Code::from),
    })
}
