//! Whether the brokers take us and have the topic: asked without bringing it about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use tracing::info;

use super::apart::{Apart, Connected};
use super::context::Context;
use super::explain::missing;
use super::transaction::Transactional;
use super::{Guarantee, Kafka};
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
        let producer = self.connect(&client).await?;
        self.ask_for_topics(&client, &producer).await?;
        match self.config.delivery {
            Guarantee::AtLeastOnce => Ok(()),
            Guarantee::ExactlyOnce => self.ask_for_transactions().await,
        }
    }

    async fn ask_for_topics(&self, client: &ClientConfig, producer: &Connected) -> Result<(), DeliveryError> {
        let context = producer.client().context();
        let topic = self.config.topic.literal();
        let Answer { broker, wrong } = self.answer(producer, context, topic).await?;
        match wrong {
            Some(code @ (Code::UnknownTopic | Code::UnknownTopicOrPartition)) => {
                match self.makes_topics(client, broker).await {
                    Some(true) => {
                        info!(sink = %self, "there is no such topic yet: the brokers make it for the first record")
                    }
                    told => return Err(missing(code, &self.config.topic, told.is_some())),
                }
            }
            Some(code) => return Err(self.explain(code, context)),
            None => {}
        }
        // Nothing is ever written there, so nobody makes this one by writing.
        let Some(positions) = self.config.positions_topic.as_deref() else { return Ok(()) };
        match self.answer(producer, context, Some(positions)).await?.wrong {
            Some(code) => Err(DeliveryError::refused(
                format!("Kafka does not have topic `{positions}` for us, beside which positions are to be kept"),
                "create the topic, or correct `positions_topic`",
                KafkaError::MessageProduction(code),
            )),
            None => Ok(()),
        }
    }

    /// Begins as a lane would, under a name that no lane has: a delivery under way must not be shut out.
    async fn ask_for_transactions(&self) -> Result<(), DeliveryError> {
        let prefix = &self.config.transactional_id_prefix;
        let producer = self.connect(&self.transactional(&format!("{prefix}/check"))).await?;
        let context = Arc::clone(producer.client().context());
        let opened = Transactional::init(producer, Instant::now() + TIMEOUT).await;
        opened.map_err(|code| self.explain(code, &context))?;
        // Where each pipeline has a topic of its own, none is known here.
        match self.config.positions_topic.as_deref().or(self.config.topic.literal()) {
            Some(topic) => self.position(format!("{prefix}/check"), topic.to_owned()).await.map(drop),
            None => Ok(()),
        }
    }

    async fn answer(
        &self,
        producer: &Connected,
        context: &Context,
        topic: Option<&str>,
    ) -> Result<Answer, DeliveryError> {
        let give_up = Instant::now() + TIMEOUT;
        loop {
            // In short turns: a refusal is known long before the question has timed out, and a thread that is still
            // asking would keep the process from ending.
            let producer = producer.clone();
            let topic = topic.map(str::to_owned);
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

    /// Whether the brokers make a topic for its first record; `None` if they do not tell us. With a token they cannot be
    /// asked: this kind of client asks nobody for one.
    async fn makes_topics(&self, client: &ClientConfig, broker: Option<i32>) -> Option<bool> {
        if self.tokens.is_some() {
            return None;
        }
        let (client, context) = (client.clone(), self.context());
        let admin: Apart<AdminClient<Context>> = Apart::make(move || client.create_with_context(context)).await.ok()?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let described = admin.describe_configs(&[ResourceSpecifier::Broker(broker?)], &options).await;
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
