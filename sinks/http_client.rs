//! The room that all sinks share which speak HTTP: a client that keeps credentials on their host, answers of bounded
//! size, and what a failed request or a status means.
//!
//! A sink builds a [`Client`] of its configuration, sends with [`Client::send`], and hands the [`Answer`] to
//! [`Answer::judge`]. What is left to it is what its own protocol says in the body, and how a batch is cut.

mod answer;
mod body;
mod broken;
mod proxy;
pub(crate) mod retry_after;
mod search;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Method, Request, RequestBuilder, Response};
use url::Url;

pub(crate) use self::answer::spellings;
pub use self::answer::{Answer, Hints, Verdict};
pub use self::body::Compression;
pub use self::search::{Search, halves};
use crate::address::is_loopback;
use crate::secret::Secret;
use crate::tls::TlsConfig;
use crate::{BuildError, DeliveryError};

/// How long a connection may take, the TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// As much of an answer as we read where it says nothing of single records.
pub const LARGEST_ANSWER: usize = 256 * 1024;

/// What a client is made of.
pub struct Settings<'a> {
    /// Where requests go. Its scheme, and whether it is this machine, count for all of them.
    pub url: &'a Url,
    /// The sink's `tls`.
    pub tls: Option<&'a TlsConfig>,
    /// The longest a request may take, from connecting to the end of its answer.
    pub timeout: Duration,
    /// As much of an answer as is read; [`LARGEST_ANSWER`] unless answers tell of single records.
    pub largest_answer: usize,
    /// What may go out with a request and never into an error, even when the server repeats it.
    pub secrets: Vec<Secret>,
}

/// Sends requests, and follows no redirect: a token is bound to its host.
///
/// Connections are kept and shared. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`), and none for this
/// machine itself.
pub struct Client {
    encrypted: bool,
    loopback: bool,
    tls: TlsConfig,
    timeout: Duration,
    largest_answer: usize,
    secrets: Arc<[String]>,
    /// Made anew when a file of `tls` was written. Held for a look at their times, and never over an await.
    built: Mutex<Built>,
}

struct Built {
    written: [Option<SystemTime>; 3],
    client: reqwest::Client,
}

impl Client {
    /// A client, or which key of the configuration is at fault. Reads the files of `tls`.
    pub fn new(settings: Settings<'_>) -> Result<Self, BuildError> {
        let encrypted = settings.url.scheme() == "https";
        if settings.tls.is_some() && !encrypted {
            return Err(BuildError::new("tls", "`tls` beside an `http://` URL", "use `https://`, or leave out `tls`"));
        }
        let tls = settings.tls.cloned().unwrap_or_default();
        let loopback = is_loopback(settings.url.host_str().unwrap_or_default());
        let built = Mutex::new(Built::new(&tls, encrypted, loopback, settings.timeout)?);
        let proxy = proxy::secrets(|name| std::env::var(name).ok());
        let secrets = settings.secrets.iter().map(Secret::expose).chain(proxy.iter().map(String::as_str));
        let secrets = spellings(secrets);
        Ok(Self {
            encrypted,
            loopback,
            tls,
            timeout: settings.timeout,
            largest_answer: settings.largest_answer,
            secrets,
            built,
        })
    }

    /// A request to be filled with headers and a body, and then sent by [`send`](Self::send).
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, DeliveryError> {
        Ok(self.current()?.request(method, url))
    }

    /// Sends a request once and reads its answer, whatever its status. An error means that there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, DeliveryError> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| broken::unmakeable(error.without_url()))?;
        let origin = request.url().origin().ascii_serialization();
        let broken = |error| self.broken(error, &origin);
        let mut response = client.execute(request).await.map_err(broken)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        let mut is_whole = true;
        // Unpacked while it comes, so that what was packed to burst does not.
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            let room = self.largest_answer - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                is_whole = false;
                break;
            }
        }
        Ok(Answer { origin, status, headers, body: Bytes::from(body), is_whole, secrets: Arc::clone(&self.secrets) })
    }

    /// Sends a request that somebody else has made, and leaves it to them to read the answer.
    pub async fn execute(&self, request: Request) -> Result<Response, DeliveryError> {
        let origin = request.url().origin().ascii_serialization();
        self.current()?.execute(request).await.map_err(|error| self.broken(error, &origin))
    }

    fn broken(&self, error: reqwest::Error, origin: &str) -> DeliveryError {
        let anonymous = self.encrypted && self.tls.cert.is_none();
        broken::explain(error.without_url(), origin, self.timeout, anonymous)
    }

    /// The client by the files as they are now. Those that cannot be read need a person, even if older ones would do.
    fn current(&self) -> Result<reqwest::Client, DeliveryError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tls.written() != built.written {
            *built = Built::new(&self.tls, self.encrypted, self.loopback, self.timeout).map_err(|error| {
                let message = format!("`{}`: {}", error.key, error.message);
                match error.source {
                    Some(cause) => DeliveryError::refused(message, error.hint, cause),
                    None => DeliveryError::Refused { message, hint: error.hint, source: None },
                }
            })?;
        }
        Ok(built.client.clone())
    }
}

impl Built {
    fn new(tls: &TlsConfig, encrypted: bool, loopback: bool, timeout: Duration) -> Result<Self, BuildError> {
        let written = tls.written();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("auditline/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // The engine tries again, and counts.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            // Servers and what stands between close what idles for a minute; a request must not meet that.
            .pool_idle_timeout(Duration::from_secs(30));
        if loopback {
            builder = builder.no_proxy();
        }
        builder = match encrypted {
            true => builder.tls_backend_preconfigured(tls.http_client()?),
            // It meets no TLS, and to read all of the machine's certificates takes its time.
            false => builder.tls_certs_only([]),
        };
        let client = builder.build().map_err(|error| BuildError {
            source: Some(error.into()),
            ..BuildError::new("url", "no HTTP client can be made", "check the proxy in the environment")
        })?;
        Ok(Self { written, client })
    }
}
