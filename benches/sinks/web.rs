//! What the plain programs share that speak HTTP: a body in memory, packed with gzip, posted with reqwest.

use std::io::Write;

use auditline_sinks::Batch;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, Url};
use tokio::runtime::Runtime;

use super::race::Plain;

/// A request, of which everything is ready but the body.
pub struct Request<B> {
    pub url: Url,
    pub content_type: &'static str,
    pub authorization: Option<String>,
    pub body: B,
}

/// What a body is made of.
pub trait Body {
    fn bytes(&self) -> Vec<u8>;
}

/// Texts that are put one behind the other.
pub type Texts = Vec<bytes::Bytes>;

/// Posts a request for each batch.
pub struct Posts<B> {
    client: Client,
    runtime: Runtime,
    request: Box<dyn Fn(&Batch) -> Request<B>>,
    /// Whether the answer says that all was taken.
    is_taken: fn(&[u8]) -> bool,
    requests: Vec<Request<B>>,
}

impl<B: Body + 'static> Posts<B> {
    pub fn new(request: impl Fn(&Batch) -> Request<B> + 'static, is_taken: fn(&[u8]) -> bool) -> Box<Self> {
        let client = Client::builder().no_proxy().build().expect("a client");
        Box::new(Self { client, runtime: runtime(), request: Box::new(request), is_taken, requests: Vec::new() })
    }
}

impl<B: Body> Plain for Posts<B> {
    fn prepare(&mut self, batches: &[Batch]) {
        self.requests = batches.iter().map(&self.request).collect();
    }

    fn push(&mut self) {
        self.runtime.block_on(async {
            for Request { url, content_type, authorization, body } in &self.requests {
                let mut to = GzEncoder::new(Vec::new(), flate2::Compression::default());
                to.write_all(&body.bytes()).expect("memory takes everything");
                let body = to.finish().expect("memory takes everything");
                let mut request = self.client.post(url.clone()).header(CONTENT_TYPE, *content_type);
                if let Some(authorization) = authorization {
                    request = request.header(AUTHORIZATION, authorization);
                }
                let request = request.header(CONTENT_ENCODING, "gzip").body(body);
                let answer = request.send().await.expect("the server answers");
                let status = answer.status();
                let answer = answer.bytes().await.expect("the server answers");
                let said = || String::from_utf8_lossy(&answer).into_owned();
                assert!(status.is_success() && (self.is_taken)(&answer), "{url}: {status}: {:.400}", said());
            }
        });
    }
}

impl Body for Texts {
    fn bytes(&self) -> Vec<u8> {
        self.concat()
    }
}

/// As plain as there are.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A URL of ours.
pub fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}
