//! Confirming destination and credentials without writing.
//!
//! HTTP has no request that says "would you take this?". A `HEAD` writes nothing anywhere; its answer proves name, port,
//! TLS and that a server speaks HTTP there, and where the server looks at credentials first, those. Where a service has
//! something to ask for that proves more, `check` says what.

use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::sending::HINTS;
use super::{Config, Http};
use crate::address::Endpoint;
use crate::http_client::{Client, LARGEST_ANSWER, Settings, Verdict};
use crate::{BuildError, DeliveryError};

/// `check = { method = "GET", url = "https://api.example.com/validate" }`
#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    /// Where to ask, with the same credentials; `url` without `secret_path`, unless set.
    pub url: Option<Endpoint>,
    /// `"HEAD"`, `"GET"` or `"OPTIONS"`.
    pub method: CheckMethod,
    /// The statuses that mean that all is well; every 2xx unless set.
    pub accept: Option<Vec<u16>>,
}

/// Requests that write nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum CheckMethod {
    /// HEAD
    #[serde(rename = "HEAD")]
    Head,
    /// GET
    #[serde(rename = "GET")]
    Get,
    /// OPTIONS
    #[serde(rename = "OPTIONS")]
    Options,
}

/// Asks what `check` says.
pub(super) struct Checker {
    url: url::Url,
    method: reqwest::Method,
    /// For another server than that of `url`.
    client: Option<Client>,
    /// `None`: every answer but one that refuses us.
    accept: Option<Vec<u16>>,
    is_asked_for: bool,
}

impl Checker {
    pub fn new(config: &Config) -> Result<Self, BuildError> {
        let own = config.url.sample();
        let Some(check) = &config.check else {
            return Ok(Self {
                url: own.clone(),
                method: reqwest::Method::HEAD,
                client: None,
                accept: None,
                is_asked_for: false,
            });
        };
        let url = match &check.url {
            Some(endpoint) => {
                endpoint.keep_private("check.url", config.allow_http)?;
                endpoint.url().clone()
            }
            None => own.clone(),
        };
        let is_elsewhere = url.origin() != own.origin();
        let tls = config.tls.as_ref().filter(|_| url.scheme() == "https");
        let settings = Settings {
            url: &url,
            tls,
            timeout: config.timeout.0,
            largest_answer: LARGEST_ANSWER,
            secrets: config.secrets(),
        };
        Ok(Self {
            client: is_elsewhere.then(|| Client::new(settings)).transpose()?,
            method: match check.method {
                CheckMethod::Head => reqwest::Method::HEAD,
                CheckMethod::Get => reqwest::Method::GET,
                CheckMethod::Options => reqwest::Method::OPTIONS,
            },
            url,
            accept: check.accept.clone(),
            is_asked_for: true,
        })
    }

    pub async fn check(&self, sink: &Http) -> Result<(), DeliveryError> {
        let mut headers = HeaderMap::new();
        sink.headers.add_secrets(&mut headers);
        let used = sink.authenticator.add(&mut headers).await?;
        let client = self.client.as_ref().unwrap_or(&sink.client);
        let request = client.request(self.method.clone(), self.url.clone())?;
        let mut answer = client.send(request.headers(headers)).await?;
        answer.keep_secret(used.token());
        let status = answer.status.as_u16();
        if let Some(accept) = &self.accept {
            return match accept.contains(&status) {
                true => Ok(()),
                false => Err(answer.refused("by `check.accept` this does not say that all is well")),
            };
        }
        match (answer.judge(&HINTS), self.is_asked_for) {
            (Verdict::Taken, _) => Ok(()),
            // A server that only takes what is sent need not know how to be asked.
            (_, false) if matches!(status, 400 | 404 | 405 | 406 | 411 | 415 | 422 | 501) => {
                tracing::debug!(status, "the server answers, which tells nothing about what it takes");
                Ok(())
            }
            // The credential is in the path, and we have not shown it.
            (_, false) if sink.config.secret_path.is_some() && matches!(status, 401 | 403) => Ok(()),
            (Verdict::Failed(error), _) => Err(error),
            (Verdict::Malformed | Verdict::TooLarge, true) => Err(answer.refused("check `check`")),
            (Verdict::Malformed | Verdict::TooLarge, false) => {
                Err(answer.refused("check `url`, and what the server says: it was asked by an empty `HEAD`"))
            }
        }
    }
}
