//! Servers that answer as no healthy one would, for the tests of sinks that speak HTTP.

#![allow(dead_code, reason = "each test uses its part")]

pub mod moody;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditline_sinks::contract::chain;
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

/// What a server does about a request.
pub enum Act {
    Say(Answer),
    /// Closes without a word.
    Break,
    /// Keeps the connection and says nothing.
    Hang,
    /// Says it once that is told.
    After(watch::Receiver<bool>, Answer),
}

/// Does what it was told about each request, and keeps them.
pub struct Mock {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Mock {
    /// Gives these answers one after the other, and the last one again and again.
    pub async fn answering(answers: Vec<Answer>) -> Self {
        Self::acting(answers.into_iter().map(Act::Say).collect()).await
    }

    /// Does one after the other, and says the last answer again and again.
    pub async fn acting(acts: Vec<Act>) -> Self {
        let mut acts = VecDeque::from(acts);
        Self::minding(move |_| match (acts.len(), acts.front()) {
            (1, Some(Act::Say(answer))) => Act::Say(answer.clone()),
            _ => acts.pop_front().expect("a request more than the test expects"),
        })
        .await
    }

    /// Looks at each request, one after the other in the order of their arrival.
    pub async fn minding(act: impl FnMut(&Request) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, act) = (Arc::clone(&requests), Arc::new(Mutex::new(act)));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, act) = (Arc::clone(&seen), Arc::clone(&act));
                tokio::spawn(async move {
                    while let Some(request) = Request::read(&mut stream).await {
                        let act = {
                            let mut act = act.lock().unwrap();
                            seen.lock().unwrap().push(request.clone());
                            act(&request)
                        };
                        match act {
                            Act::Say(answer) => write(&mut stream, &answer).await,
                            Act::Break => return,
                            Act::Hang => drop(stream.read_to_end(&mut Vec::new()).await),
                            Act::After(mut told, answer) => {
                                told.wait_for(|is_told| *is_told).await.unwrap();
                                write(&mut stream, &answer).await;
                            }
                        }
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

/// Stands before a server, and does not let every request pass.
pub struct Gate {
    address: SocketAddr,
}

impl Gate {
    /// Lets no request pass with a larger body than this.
    pub async fn before(url: &str, largest: usize) -> Self {
        let too_large = move |request: &Request| {
            let answer = || (413, "", "<title>413 Request Entity Too Large</title>".to_owned());
            (request.body.len() > largest).then(answer)
        };
        Self::keeping_out(url, too_large).await
    }

    /// Has no time for these requests, the first being 0.
    pub async fn busy_at(url: &str, numbers: &'static [usize]) -> Self {
        let mut all = 0..;
        Self::keeping_out(url, move |_| {
            let is_busy = numbers.contains(&all.next().unwrap());
            is_busy.then(|| (503, "", "<title>503 Service Unavailable</title>".to_owned()))
        })
        .await
    }

    /// Gives these answers in the server's place.
    async fn keeping_out(url: &str, answer: impl FnMut(&Request) -> Option<Answer> + Send + 'static) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = url.to_owned();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (url, answer) = (url.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let client = reqwest::Client::new();
                    while let Some(request) = Request::read(&mut stream).await {
                        let kept_out = answer.lock().unwrap()(&request);
                        if let Some(answer) = kept_out {
                            write(&mut stream, &answer).await;
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
