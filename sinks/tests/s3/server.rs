//! A server that answers as it is told, whatever it is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The head of a request; what follows it was read and is not kept.
pub struct Request(pub String);

impl Request {
    /// `PUT /audit/name?partNumber=1`
    pub fn line(&self) -> &str {
        self.0.lines().next().unwrap_or_default().rsplit_once(' ').map_or("", |(line, _)| line)
    }

    /// `PUT`
    pub fn method(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

/// Status line and headers, and the body. `None` closes the connection when the head was read.
pub type Answer = Option<(String, String)>;

/// A server that runs until it is dropped.
pub struct Server {
    pub endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, answer) = (seen.clone(), Arc::new(answer));
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(async move {
                    let Some(request) = head(&mut stream).await else { return };
                    locked(&noted).push(request.line().to_owned());
                    let Some(answer) = answer(&request) else { return };
                    body(&mut stream, &request).await;
                    say(&mut stream, answer).await;
                });
            }
        });
        Self { endpoint, seen, serving }
    }

    /// The requests' first lines so far that begin so.
    pub fn seen(&self, start: &str) -> Vec<String> {
        locked(&self.seen).iter().filter(|line| line.starts_with(start)).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(seen: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn head(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(Request(String::from_utf8_lossy(&head).into_owned()))
}

async fn body(stream: &mut TcpStream, request: &Request) {
    let headers = request.0.to_lowercase();
    if headers.contains("\r\nexpect: 100-continue") {
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: u64 = length.map_or(0, |length| length.parse().unwrap());
    let _ = tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await;
}

async fn say(stream: &mut TcpStream, (head, body): (String, String)) {
    let told = head.contains("\r\ncontent-length: ");
    let length = if told { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let answer = format!("HTTP/1.1 {head}\r\n{length}connection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A server that answers one request so, whatever it is.
pub async fn one_answer(head: &str, body: &str) -> (String, JoinHandle<()>) {
    let (endpoint, answering) = answers(vec![(head.to_owned(), body.to_owned())]).await;
    (endpoint, tokio::spawn(async move { drop(answering.await.unwrap()) }))
}

/// A server that answers request after request so; in the end, the requests' heads.
pub async fn answers(answers: Vec<(String, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = head(&mut stream).await.unwrap();
            body(&mut stream, &request).await;
            heads.push(request.0);
            say(&mut stream, answer).await;
        }
        heads
    });
    (endpoint, answering)
}
