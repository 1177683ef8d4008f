//! RFC 5424 messages to a syslog receiver, over UDP, TCP or TLS.
//!
//! At least once as far as TCP can tell: syslog itself has no acknowledgement. A batch counts when the receiver's system
//! has acknowledged all of it and the receiver did not close, reset or refuse our certificate; one that dies with our
//! bytes in its memory is not seen by anyone. UDP arrives or does not. Where each record counts, use a destination that
//! answers.

mod connection;
mod frame;
mod unacknowledged;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;

use self::connection::Connection;
use self::frame::Header;
pub use self::frame::{AppName, Facility, Hostname};
use crate::address::Address;
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Rejected, Sink};

/// Receivers work message by message; smaller batches lose and repeat less when a connection breaks.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 500, max_bytes: 1024 * 1024, max_wait: Duration::from_millis(500) };

/// What a UDP datagram over IPv4 can carry.
const LARGEST_DATAGRAM: u64 = 65_507;

/// `[sinks.NAME.syslog]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The receiver's `host:port`.
    pub address: Address,
    /// `"udp"`, `"tcp"` or `"tls"`. TCP and TLS frames are octet-counted (RFC 6587, RFC 5425).
    pub transport: Transport,
    /// With `transport = "tls"`.
    pub tls: Option<TlsConfig>,
    /// `"audit"` (13) unless set.
    #[serde(default)]
    pub facility: Facility,
    /// This machine's name unless set.
    #[serde(default)]
    pub hostname: Hostname,
    /// `auditline` unless set.
    #[serde(default)]
    pub app_name: AppName,
    /// The largest message the receiver takes, header included: `"64KiB"` unless set, `"2KiB"` with UDP.
    pub max_size: Option<ByteSize>,
    /// Cuts larger messages short, which leaves broken JSON, in place of rejecting them.
    #[serde(default)]
    pub truncate: bool,
    /// How long connecting and sending a batch, up to its acknowledgement by TCP, may take, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One datagram each. Lost ones are not noticed.
    Udp,
    /// A connection anybody between can read.
    Tcp,
    /// An encrypted connection.
    Tls,
}

/// Sends batches over one connection, one after the other.
pub struct Syslog {
    config: Config,
    header: Header,
    max_size: usize,
    // Taken out while in use: a delivery that fails or is dropped leaves half a frame, and so must leave no connection.
    connection: Mutex<Option<Connection>>,
}

impl Config {
    /// Checks the keys against each other, and the TLS files.
    pub fn build(&self) -> Result<Syslog, BuildError> {
        let udp = self.transport == Transport::Udp;
        let max_size = self.max_size.map_or(if udp { 2048 } else { 64 * 1024 }, |size| size.0);
        if max_size < 1024 || (udp && max_size > LARGEST_DATAGRAM) {
            return Err(BuildError::new(
                "max_size",
                "`max_size` is out of bounds",
                "choose at least `1KiB`; with UDP, at most `63KiB`",
            ));
        }
        match (&self.tls, self.transport) {
            (Some(tls), Transport::Tls) => {
                tls.client()?;
            }
            (None, Transport::Tls) => {
                TlsConfig::default().client()?;
            }
            (Some(_), _) => {
                return Err(BuildError::new("tls", "`tls` without its transport", "set `transport = \"tls\"`"));
            }
            (None, _) => {}
        }
        Ok(Syslog {
            config: self.clone(),
            header: Header::new(self.facility, &self.hostname, &self.app_name),
            max_size: usize::try_from(max_size).unwrap_or(usize::MAX),
            connection: Mutex::new(None),
        })
    }
}

#[async_trait]
impl Sink for Syslog {
    async fn check(&self) -> Result<(), DeliveryError> {
        self.in_time(Connection::open(&self.config)).await.map(drop)
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let mut messages = Vec::with_capacity(batch.records.len());
        let mut rejected = Vec::new();
        for (at, record) in batch.records.iter().enumerate() {
            let mut message = self.header.message(batch, record);
            if message.len() > self.max_size && !self.config.truncate {
                let reason = format!("{} bytes are more than the {} of `max_size`", message.len(), self.max_size);
                rejected.push(Rejected { at, reason });
                continue;
            }
            frame::truncate(&mut message, self.max_size);
            messages.push(message);
        }
        if !messages.is_empty() {
            // Waited for outside of the time that a batch has: each one before us has its own, so it comes to an end.
            let mut kept = self.connection.lock().await;
            self.in_time(self.send(&mut kept, &messages)).await?;
        }
        Ok(Delivery { rejected })
    }
}

impl Syslog {
    async fn send(&self, kept: &mut Option<Connection>, messages: &[Vec<u8>]) -> Result<(), DeliveryError> {
        // A receiver that was restarted has closed: what we wrote there would be lost without a word.
        let open = kept.take().and_then(Connection::if_open);
        let mut connection = match open {
            Some(connection) => connection,
            None => Connection::open(&self.config).await?,
        };
        connection.send(messages).await?;
        *kept = Some(connection);
        Ok(())
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>> + Send,
    ) -> Result<T, DeliveryError> {
        match tokio::time::timeout(self.config.timeout.0, work).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                Err(DeliveryError::retryable(format!("`{}` did not answer in time", self.config.address), elapsed))
            }
        }
    }
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "syslog {}://{}", self.config.transport, self.config.address)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}
