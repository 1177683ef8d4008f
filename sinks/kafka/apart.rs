//! librdkafka's clients, made, asked and let go on threads for what blocks.

use std::ops::Deref;
use std::sync::Arc;

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::ThreadedProducer;

use super::context::Context;

/// A client of librdkafka's. To let one go waits for its threads, so whoever is the last to do so does not do it here.
pub(super) struct Apart<T: Send + Sync + 'static>(Arc<Held<T>>);

/// A producer, with a thread of its own for what the brokers answer.
pub(super) type Connected = Apart<ThreadedProducer<Context>>;

struct Held<T: Send + 'static>(Option<T>);

impl<T: Send + Sync> Apart<T> {
    /// Makes one: files are read, and threads started.
    pub async fn make(make: impl FnOnce() -> KafkaResult<T> + Send + 'static) -> KafkaResult<Self> {
        blocking(move || make().map(|client| Self(Arc::new(Held(Some(client)))))).await
    }
}

impl<T: Send + Sync> Clone for Apart<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(client)));
        }
    }
}

/// Calls on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> KafkaResult<T> {
    tokio::task::spawn_blocking(call).await.unwrap_or(Err(KafkaError::Canceled))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    struct Told(mpsc::Sender<ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[tokio::test]
    async fn the_last_to_let_go_does_not_wait() {
        let (told, heard) = mpsc::channel();
        let told = std::sync::Mutex::new(Told(told));
        let client = Apart::make(move || Ok(told)).await.unwrap();
        let another = client.clone();
        drop(client);
        assert!(heard.try_recv().is_err());
        drop(another);
        assert_ne!(heard.recv().unwrap(), thread::current().id());
    }
}
