//! Servers that answer as no healthy one would, for the tests of sinks that speak HTTP.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditline_sinks::contract::chain;
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub async fn deliver(sink: &dyn Sink, batch: &Batch) -> Result<Delivery, DeliveryError> {
    sink.deliver(batch).await
}

/// Message and hint of an error that needs a person.
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, String) {
    match outcome {
        Err(DeliveryError::Refused { message, hint, .. }) => (message, hint),
        other => panic!("{other:?}"),
    }
}

/// Message and wait of one that may pass.
pub fn retryable<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, Option<Duration>) {
    match outcome {
        Err(error @ DeliveryError::Retryable { retry_after, .. }) => (chain(&error), retry_after),
        other => panic!("{other:?}"),
    }
}

/// One answer: status, more headers, body.
pub type Answer = (u16, &'static str, String);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body, unpacked.
    pub fn text(&self) -> String {
        use std::io::Read;
        let mut text = String::new();
        match self.header("content-encoding") {
            Some("gzip") => drop(flate2::read::GzDecoder::new(&*self.body).read_to_string(&mut text).unwrap()),
            _ => text = String::from_utf8(self.body.clone()).unwrap(),
        }
        text
    }

    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let mut body = read.split_off(end);
        let mut request = Self { head: String::from_utf8(read).unwrap(), body: Vec::new() };
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        request.body = body;
        Some(request)
    }
}

async fn write(stream: &mut TcpStream, (status, headers, body): &Answer) {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok();
}

/// Gives the answers it was told, one after the other, and the last one again and again.
pub struct Mock {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Mock {
    pub async fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answers) = (Arc::clone(&requests), Arc::new(Mutex::new(VecDeque::from(answers))));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
                tokio::spawn(async move {
                    while let Some(request) = Request::read(&mut stream).await {
                        seen.lock().unwrap().push(request);
                        let answer = {
                            let mut answers = answers.lock().unwrap();
                            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
                        };
                        write(&mut stream, &answer).await;
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Of the last request.
    pub fn path(&self) -> String {
        self.requests().last().unwrap().path().to_owned()
    }

    /// Of the last request.
    pub fn header(&self, name: &str) -> Option<String> {
        self.requests().last().unwrap().header(name).map(str::to_owned)
    }
}

/// Stands before a server and lets no request pass with a larger body than this.
pub struct Gate {
    address: SocketAddr,
}

impl Gate {
    pub async fn before(url: &str, largest: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = url.to_owned();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let url = url.clone();
                tokio::spawn(async move {
                    let client = reqwest::Client::new();
                    while let Some(request) = Request::read(&mut stream).await {
                        if request.body.len() > largest {
                            write(&mut stream, &(413, "", "<title>413 Request Entity Too Large</title>".to_owned()))
                                .await;
                            continue;
                        }
                        let method = request.head.split(' ').next().unwrap().parse().unwrap();
                        let mut passed = client.request(method, format!("{url}{}", request.path()));
                        for name in ["content-type", "content-encoding", "authorization", "x-splunk-request-channel"] {
                            if let Some(value) = request.header(name) {
                                passed = passed.header(name, value);
                            }
                        }
                        let answer = passed.body(request.body).send().await.unwrap();
                        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
                        write(&mut stream, &(status, "", text)).await;
                    }
                });
            }
        });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
