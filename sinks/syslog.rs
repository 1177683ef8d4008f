//! Syslog messages to a receiver: RFC 5424 or RFC 3164, over UDP, TCP, TLS or RELP; in them JSON, CEF or LEEF.
//!
//! Over TCP and TLS at least once as far as TCP can tell: syslog itself has no acknowledgement. A batch counts when the
//! receiver's system has acknowledged all of it and the receiver did not close, reset or refuse our certificate; one that
//! dies with our bytes in its memory is not seen by anyone. UDP arrives or does not. RELP answers each message, so there
//! a batch counts when the receiver itself has taken all of it.
//!
//! All batches go over one connection, one after the other, so records arrive in the order they are delivered in.

mod connection;
mod frame;
mod patience;
mod relp;
mod unacknowledged;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;

use self::connection::Connection;
pub use self::frame::{AppName, Facility, Hostname, Rfc, SdId};
use self::frame::{Header, TooLarge};
use self::patience::Patience;
use self::relp::{Answer, Answers};
use crate::address::Address;
use crate::format::leef::Delimiter;
use crate::format::{Format, Options};
use crate::progress::Progress;
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Record, Rejected, Sink};

/// Receivers work message by message; smaller batches lose and repeat less when a connection breaks.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 500, max_bytes: 1024 * 1024, max_wait: Duration::from_millis(500) };

/// What a UDP datagram over IPv4 can carry.
const LARGEST_DATAGRAM: u64 = 65_507;

/// What rsyslog takes unless told otherwise. RFC 5426 section 3.2 has receivers take 2 KiB and encourages more; it also
/// recommends to stay within the network's MTU, into which few events fit whole.
const DATAGRAM: u64 = 8 * 1024;

/// How long a check waits for a greeting, which no syslog receiver has: a round trip to another continent and more.
const GREETING: Duration = Duration::from_millis(500);

/// How long a server that has spoken is listened to after the next batch, before that counts: some look up our name before
/// they greet, and each new connection would cost a batch.
const SLOW_WORDS: Duration = Duration::from_secs(5);

/// How long the receiver is given to read to its end what a delivery has left half done, before the batch comes again over
/// another connection.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// `[sinks.NAME.syslog]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The receiver's `host:port`.
    pub address: Address,
    /// `"udp"`, `"tcp"`, `"tls"` or `"relp"`.
    pub transport: Transport,
    /// With `transport = "tls"`; with `"relp"` it makes that RELP over TLS.
    pub tls: Option<TlsConfig>,
    /// With TCP and TLS: `"octet_counting"` unless set, or `"newline"`.
    pub framing: Option<Framing>,
    /// `"5424"` unless set, or `"3164"`.
    #[serde(default)]
    pub rfc: Rfc,
    /// `"json"` unless set, `"cef"` or `"leef"`.
    #[serde(default)]
    pub format: Format,
    /// With CEF and LEEF: whether the whole JSON travels along, `true` unless set. Without it, what those have no field
    /// for is not sent.
    pub include_json: Option<bool>,
    /// With LEEF: what stands between two attributes, `"tab"` unless set.
    pub leef_delimiter: Option<Delimiter>,
    /// `"audit"` (13) unless set.
    #[serde(default)]
    pub facility: Facility,
    /// This machine's name unless set.
    #[serde(default)]
    pub hostname: Hostname,
    /// `auditline` unless set.
    #[serde(default)]
    pub app_name: AppName,
    /// With RFC 5424: the name of the structured data, `"auditline@32473"` unless set.
    pub sd_id: Option<SdId>,
    /// The largest message the receiver takes, header included: `"64KiB"` unless set, `"8KiB"` with UDP.
    pub max_size: Option<ByteSize>,
    /// What becomes of larger ones: `"reject"` unless set, or `"truncate"`.
    #[serde(default)]
    pub oversize: Oversize,
    /// How long nothing may happen before the receiver is given up: no connection, not a byte of a batch acknowledged, no
    /// message answered. `"30s"` unless set.
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
    /// A connection on which the receiver answers each message.
    Relp,
}

/// How a receiver finds the end of a message in a connection (RFC 6587).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// Each message after its length. Nothing in it can end it.
    #[default]
    OctetCounting,
    /// Each message up to a line feed, for receivers that do not count. Those in a message become blanks.
    Newline,
}

/// What becomes of a message that is larger than `max_size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oversize {
    /// Its record is a dead letter, whole.
    #[default]
    Reject,
    /// It is cut between two characters and ends in `...[truncated]`. JSON is broken then.
    Truncate,
}

/// Sends batches over one connection, one after the other.
pub struct Syslog {
    config: Config,
    header: Header,
    options: Options,
    max_size: usize,
    connection: Mutex<Option<Kept>>,
    /// What we deliver to was last seen to be no syslog receiver, or not to want us.
    is_suspect: AtomicBool,
    /// With RELP.
    progress: Progress<Done>,
}

/// A connection between two deliveries.
struct Kept {
    connection: Connection,
    /// The last delivery over it failed or was dropped: it may end in half a frame, and carries nothing more.
    is_torn: bool,
}

/// What a receiver has answered of a batch's first messages.
#[derive(Clone, Debug, Default)]
struct Done {
    /// All records before this one have their answer.
    upto: usize,
    /// Those among them that the receiver refused.
    rejected: Vec<Rejected>,
}

impl Config {
    /// Checks the keys against each other, and the TLS files.
    pub fn build(&self) -> Result<Syslog, BuildError> {
        let udp = self.transport == Transport::Udp;
        let max_size = self.max_size.map_or(if udp { DATAGRAM } else { 64 * 1024 }, |size| size.0);
        if max_size < 1024 || (udp && max_size > LARGEST_DATAGRAM) {
            return Err(BuildError::new(
                "max_size",
                "`max_size` is out of bounds",
                "choose at least `1KiB`; with UDP, at most `63KiB`",
            ));
        }
        self.check_keys()?;
        match (&self.tls, self.transport) {
            (Some(tls), Transport::Tls | Transport::Relp) => {
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
            header: Header {
                rfc: self.rfc,
                priority: self.facility.priority(),
                hostname: self.hostname.as_str().to_owned(),
                app_name: self.app_name.as_str().to_owned(),
                sd_id: self.sd_id.clone().unwrap_or_default().as_str().to_owned(),
                format: self.format,
            },
            options: Options {
                include_json: self.include_json.unwrap_or(true),
                leef_delimiter: self.leef_delimiter.unwrap_or_default(),
            },
            config: self.clone(),
            max_size: usize::try_from(max_size).unwrap_or(usize::MAX),
            connection: Mutex::new(None),
            is_suspect: AtomicBool::new(false),
            progress: Progress::default(),
        })
    }

    /// A key that would do nothing is a mistake.
    fn check_keys(&self) -> Result<(), BuildError> {
        let streams = matches!(self.transport, Transport::Tcp | Transport::Tls);
        if self.framing.is_some() && !streams {
            return Err(BuildError::new(
                "framing",
                format!("`framing` has no meaning over `{}`", self.transport),
                "take `framing` out, or set `transport` to `\"tcp\"` or `\"tls\"`",
            ));
        }
        if self.sd_id.is_some() && self.rfc == Rfc::Rfc3164 {
            return Err(BuildError::new(
                "sd_id",
                "RFC 3164 has no structured data",
                "take `sd_id` out, or set `rfc = \"5424\"`",
            ));
        }
        if self.include_json.is_some() && self.format == Format::Json {
            return Err(BuildError::new(
                "include_json",
                "`include_json` beside JSON",
                "take `include_json` out, or set `format` to `\"cef\"` or `\"leef\"`",
            ));
        }
        if self.leef_delimiter.is_some() && self.format != Format::Leef {
            return Err(BuildError::new(
                "leef_delimiter",
                "`leef_delimiter` without LEEF",
                "take `leef_delimiter` out, or set `format = \"leef\"`",
            ));
        }
        if self.rfc == Rfc::Rfc3164 && !frame::is_tag(&self.app_name) {
            return Err(BuildError::new(
                "app_name",
                format!("`{}` is no tag of RFC 3164", self.app_name.as_str()),
                "choose up to 32 letters, digits, `_`, `-`, `.` or `/`",
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Syslog {
    async fn check(&self) -> Result<(), DeliveryError> {
        let patience = self.patience();
        let checked = patience.with(async {
            let mut connection = Connection::open(&self.config, &patience).await?;
            connection.listen(self.no_longer_than(GREETING)).await?;
            connection.close().await;
            Ok(())
        });
        checked.await.unwrap_or_else(|| Err(self.in_vain()))
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let mut messages = Vec::with_capacity(batch.records.len());
        // Of each message, its record's place.
        let mut places = Vec::with_capacity(batch.records.len());
        let mut rejected = Vec::new();
        // What the receiver has answered before a failure, it does not get again.
        let mut done = self.progress.of(batch).unwrap_or_default();
        for (at, record) in batch.records.iter().enumerate() {
            match self.message(batch, record) {
                Ok(message) if at >= done.upto => {
                    messages.push(message);
                    places.push(at);
                }
                Ok(_) => {}
                Err(reason) => rejected.push(Rejected { at, reason }),
            }
        }
        if !messages.is_empty() {
            let answers = Answers::expected(messages.len());
            let sent = self.send(&messages, &answers).await;
            let answers = answers.in_a_row();
            let sent = match sent {
                Ok(()) => self.doubt(&done, &answers).await,
                Err(error) => Err(error),
            };
            self.learn(batch, &mut done, &places, answers, sent.is_err());
            sent?;
        }
        self.progress.forget(batch);
        rejected.extend(done.rejected);
        rejected.sort_by_key(|rejected| rejected.at);
        Ok(Delivery { rejected })
    }
}

impl Syslog {
    /// The message of a record, or why there is none.
    fn message(&self, batch: &Batch, record: &Record) -> Result<Vec<u8>, String> {
        let mut message = self.header.message(batch, record, self.options);
        let (length, max) = (message.text.len(), self.max_size);
        if length > max && self.config.oversize == Oversize::Reject {
            return Err(format!("{length} bytes are more than the {max} of `max_size`"));
        }
        message.cut(max).map_err(|TooLarge(least)| {
            format!("its header and the mark of a cut take {least} bytes, more than the {max} of `max_size`")
        })?;
        if self.config.framing == Some(Framing::Newline) {
            message.in_one_line();
        }
        Ok(message.text)
    }

    async fn send(&self, messages: &[Vec<u8>], answers: &Answers) -> Result<(), DeliveryError> {
        // Waited for without a clock: each one before us has its own, so it comes to an end.
        let mut kept = self.connection.lock().await;
        let patience = self.patience();
        let sent = patience.with(async {
            if let Some(Kept { connection, is_torn: true }) = &mut *kept {
                connection.end(self.no_longer_than(LAST_LOOK)).await;
                patience.renew();
            }
            // A receiver that was restarted has closed: what we wrote there would be lost without a word.
            let kept_open = match kept.take() {
                Some(Kept { connection, is_torn: false }) => connection.if_open()?,
                Some(Kept { is_torn: true, .. }) | None => None,
            };
            let connection = match kept_open {
                Some(connection) => connection,
                None => Connection::open(&self.config, &patience).await?,
            };
            let Kept { connection, is_torn } = kept.insert(Kept { connection, is_torn: true });
            connection.send(messages, answers, &patience).await?;
            if self.is_suspect.load(Ordering::Relaxed) {
                patience.renew();
                match connection.listen(self.no_longer_than(SLOW_WORDS)).await {
                    Ok(()) => {}
                    Err(error @ DeliveryError::Refused { .. }) => return Err(error),
                    // It closes what idles: nothing against the batch, which it had for longer than others have theirs.
                    Err(DeliveryError::Retryable { .. }) => return Ok(()),
                }
            }
            *is_torn = false;
            Ok(())
        });
        let sent = sent.await.unwrap_or_else(|| Err(self.in_vain()));
        match &sent {
            Ok(()) => self.is_suspect.store(false, Ordering::Relaxed),
            Err(DeliveryError::Refused { .. }) => {
                self.is_suspect.store(true, Ordering::Relaxed);
                kept.take();
            }
            Err(DeliveryError::Retryable { .. }) => {}
        }
        sent
    }

    /// Half of `timeout` at the most, so that nobody is given up for having been listened to.
    fn no_longer_than(&self, time: Duration) -> Duration {
        time.min(self.config.timeout.0 / 2)
    }

    /// Where only the rest of a batch was sent, and all of it refused, that may be about the session, as "command disabled" is,
    /// and not about these messages. The whole batch will tell, in another session, beside what was taken before.
    async fn doubt(&self, done: &Done, answers: &[Answer]) -> Result<(), DeliveryError> {
        match answers {
            [Err(reason), _, ..] if done.upto > 0 && answers.iter().all(Result::is_err) => {
                self.connection.lock().await.take();
                let message = format!("`{}` refuses every message: see the receiver's log", self.config.address);
                Err(DeliveryError::retryable(message, reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Adds what was answered to `done`, and keeps that for the batch's next delivery if there is to be one.
    ///
    /// Where no message at all was taken there is nothing that could arrive twice, and the whole batch is to tell whether
    /// that is about the messages.
    fn learn(&self, batch: &Batch, done: &mut Done, places: &[usize], answers: Vec<Answer>, has_failed: bool) {
        let has_taken = done.upto > 0 || answers.contains(&Ok(()));
        if has_failed {
            match has_taken && answers.len() < places.len() {
                true => done.upto = places[answers.len()],
                false => return self.progress.forget(batch),
            }
        }
        let refused = places.iter().zip(answers).filter_map(|(at, answer)| Some((*at, answer.err()?)));
        done.rejected.extend(refused.map(|(at, reason)| Rejected { at, reason }));
        if has_failed {
            self.progress.keep(batch, done.clone());
        }
    }

    fn patience(&self) -> Patience {
        Patience::new(self.config.timeout.0)
    }

    fn in_vain(&self) -> DeliveryError {
        let Config { address, timeout, .. } = &self.config;
        let message = format!("`{address}` did not answer within {timeout}: check that it runs, and its port");
        DeliveryError::Retryable { message, retry_after: None, source: None }
    }
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = self.config.transport == Transport::Relp && self.config.tls.is_some();
        let tls = if encrypted { "+tls" } else { "" };
        write!(f, "syslog {}{tls}://{}", self.config.transport, self.config.address)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Relp => "relp",
        })
    }
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}
