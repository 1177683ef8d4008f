//! Lines of JSON on standard output, for pipes, containers whose log is collected, and trying things out.
//!
//! At least once: a crash between the write and the journal's note repeats a batch.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use crate::{Batch, BatchLimits, Delivery, DeliveryError, Sink};

/// A person may be watching, so batches are small and quick.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 500, max_bytes: 1024 * 1024, max_wait: Duration::from_millis(200) };

/// `[sinks.NAME.stdout]`. Takes no keys.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Config {}

/// Writes to standard output, or in tests to something like it.
pub struct Stdout {
    // Held while one batch is written and flushed; never across an await.
    out: Arc<Mutex<dyn Write + Send>>,
}

impl Config {
    /// Cannot fail.
    #[must_use]
    pub fn build(&self) -> Stdout {
        Stdout { out: Arc::new(Mutex::new(io::stdout())) }
    }
}

#[async_trait]
impl Sink for Stdout {
    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let mut lines = Vec::with_capacity(batch.bytes() + batch.records.len());
        for record in &batch.records {
            lines.extend_from_slice(&record.json);
            lines.push(b'\n');
        }
        let out = Arc::clone(&self.out);
        let written = tokio::task::spawn_blocking(move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(&lines)?;
            out.flush()
        });
        match written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => Ok(Delivery::default()),
            Err(error) => Err(explain(error)),
        }
    }
}

impl fmt::Display for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout")
    }
}

fn explain(error: io::Error) -> DeliveryError {
    if error.kind() == ErrorKind::BrokenPipe {
        return DeliveryError::refused(
            "nobody reads our standard output any more",
            "keep the program at the other end of the pipe running",
            error,
        );
    }
    DeliveryError::retryable("cannot write to standard output", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Destination, Guarantees};

    #[derive(Clone, Default)]
    struct Pipe {
        lines: Arc<Mutex<Vec<u8>>>,
    }

    #[async_trait]
    impl Destination for Pipe {
        fn sink(&self) -> Arc<dyn Sink> {
            let lines: Arc<Mutex<Vec<u8>>> = Arc::clone(&self.lines);
            Arc::new(Stdout { out: lines })
        }

        async fn read_back(&self, _expected: usize) -> Vec<String> {
            let lines = self.lines.lock().unwrap();
            let text = std::str::from_utf8(&lines).unwrap();
            text.lines().map(str::to_owned).collect()
        }

        fn guarantees(&self) -> Guarantees {
            Guarantees::default()
        }
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::all(async |_| Pipe::default()).await;
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_closed_pipe_needs_a_person() {
        let sink = Stdout { out: Arc::new(Mutex::new(Closed)) };
        let error = sink.deliver(&contract::batch_of("p", 1, ["{}"])).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Refused { .. }), "{error}");
    }
}
