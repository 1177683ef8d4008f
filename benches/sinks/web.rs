//! What the plain programs share that speak HTTP: a body in memory, packed with gzip, posted with reqwest.

use std::io::Write;

use auditline_sinks::Batch;
use flate2::write::GzEncoder;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use tokio::runtime::Runtime;

use super::race::Plain;

/// A request, before its body is packed.
pub struct Request {
    pub url: String,
    pub content_type: &'static str,
    pub authorization: Option<&'static str>,
    pub body: Vec<u8>,
}

/// Posts a request for each batch.
pub struct Posts<T> {
    client: Client,
    runtime: Runtime,
    prepare: fn(&Batch) -> T,
    request: Box<dyn Fn(&T) -> Request>,
    /// Whether the answer says that all was taken.
    is_taken: fn(&[u8]) -> bool,
    batches: Vec<T>,
}

impl<T: 'static> Posts<T> {
    pub fn new(
        prepare: fn(&Batch) -> T,
        request: impl Fn(&T) -> Request + 'static,
        is_taken: fn(&[u8]) -> bool,
    ) -> Box<Self> {
        let client = Client::builder().no_proxy().build().expect("a client");
        Box::new(Self {
            client,
            runtime: runtime(),
            prepare,
            request: Box::new(request),
            is_taken,
            batches: Vec::new(),
        })
    }

    async fn post(&self, Request { url, content_type, authorization, body }: Request) {
        let mut to = GzEncoder::new(Vec::new(), flate2::Compression::default());
        let packed = to.write_all(&body).and_then(|()| to.finish()).expect("memory takes everything");
        let mut request = self.client.post(&url).header(CONTENT_TYPE, content_type);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.header(CONTENT_ENCODING, "gzip").body(packed);
        let answer = request.send().await.expect("the server answers");
        let status = answer.status();
        let said = answer.bytes().await.expect("the server answers");
        let is_taken = status.is_success() && (self.is_taken)(&said);
        assert!(is_taken, "{url}: {status}: {:.400}", String::from_utf8_lossy(&said));
    }
}

impl<T: 'static> Plain for Posts<T> {
    fn prepare(&mut self, batches: &[Batch]) {
        self.batches = batches.iter().map(self.prepare).collect();
    }

    fn push(&mut self) {
        self.runtime.block_on(async {
            for batch in &self.batches {
                self.post((self.request)(batch)).await;
            }
        });
    }
}

/// As plain as there are.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
