//! `auditline run` when a record, a sink or the disk's room is the trouble: it stays where it is.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auditline::simulator::{Vendor, World};
use auditline_sinks::contract::closed_port;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use common::{FILES, Installation, Pipeline, expect_once, expected, id, simulate, world};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;

fn syslog(address: &str) -> String {
    format!("{FILES}[sinks.collector.syslog]\naddress = \"{address}\"\ntransport = \"tcp\"\nmax_size = \"1MiB\"\n")
}

/// Takes octet-counted syslog messages and keeps their events.
#[derive(Clone, Default)]
struct Receiver {
    ids: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn listen(socket: TcpSocket) -> Self {
        let listener = socket.listen(64).unwrap();
        let receiver = Self::default();
        let kept = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(kept.clone().take(stream));
            }
        });
        receiver
    }

    async fn take(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut length = Vec::new();
            stream.read_until(b' ', &mut length).await.unwrap();
            if length.is_empty() {
                return;
            }
            let length = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).await.unwrap();
            let event = message.iter().position(|byte| *byte == b'{').unwrap();
            let event: Json = serde_json::from_slice(&message[event..]).unwrap();
            self.ids.lock().await.push(id(&event));
        }
    }

    /// Syslog is at least once: every id, some perhaps again.
    async fn distinct(&self) -> BTreeSet<String> {
        self.ids.lock().await.iter().cloned().collect()
    }
}

#[tokio::test]
async fn a_vendor_that_repeats_its_cursor_is_given_up_and_what_it_gave_is_delivered() {
    let time = (chrono::Utc::now() - chrono::TimeDelta::hours(2)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let entry = format!(r#"{{"id":"{}","action":{{"time":"{time}","type":"create"}}}}"#, "7".repeat(32));
    let page = format!(r#"{{"success":true,"errors":[],"result":[{entry}],"result_info":{{"cursor":"again"}}}}"#);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(async move || page.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let installation = Installation::new(FILES, &[Pipeline::at(Vendor::Cloudflare, &address)]);
    let ended = installation.run_once().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("Cloudflare repeats its cursor, so that its pages have no end"), "{}", ended.stderr);
    assert_eq!(installation.ids("cloudflare"), ["7".repeat(32)]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_becomes_a_dead_letter_and_stops_nothing() {
    let page = r#"{"data":[
        {"id":"0b7f5e0a-0000-4000-8000-000000000001","created_at":"2026-03-01T10:00:00Z","change_type":"update"},
        17,
        {"id":"0b7f5e0a-0000-4000-8000-000000000002","created_at":"2026-03-01T10:00:01Z","change_type":"delete"}
        ],"meta":{"total_pages":1,"total_results":3,"page_number":1,"page_size":250}}"#;
    let app = Router::new().route("/v2/audit_events", get(move || async move { page }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v2", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let installation = Installation::new(FILES, &[Pipeline::at(Vendor::Telnyx, &base_url).set("window", "\"7d\"")]);
    let ended = installation.read_all().await;
    assert!(ended.stderr.contains("a record became a dead letter"), "{}", ended.stderr);
    let expected =
        ["0b7f5e0a-0000-4000-8000-000000000001", "0b7f5e0a-0000-4000-8000-000000000002"].map(str::to_owned).into();
    expect_once("telnyx", installation.ids("telnyx"), &expected);
    // The same again is not a second one.
    installation.read_all().await;
    expect_once("telnyx", installation.ids("telnyx"), &expected);
    let letters = installation.dead_letters("telnyx").await;
    let told: Vec<_> = letters.iter().map(|letter| (letter.reason.as_str(), &letter.body[..])).collect();
    assert_eq!(told, [("expected an object, found a number", &b"17"[..])]);
}

#[tokio::test]
async fn a_sink_that_is_down_holds_only_itself_and_is_given_everything_later() {
    let (closed, address) = closed_port();
    let simulator = simulate(world(600)).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Cloudflare).to("collector", "");
    let main = format!("grace = \"1s\"\n{}", syslog(&address));
    let installation = Installation::new(&main, &[pipeline]);
    let all = expected(&simulator, Vendor::Cloudflare);

    let mut running = installation.start();
    running.until("delivers to the file", |_| installation.ids("cloudflare").len() == all.len()).await;
    running.says("the sink is not taking records").await;
    running.signal("TERM").await;
    let ended = running.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("the journal has the rest"), "{}", ended.stderr);
    installation.expect_all_of(&simulator, Vendor::Cloudflare);

    let receiver = Receiver::listen(closed);
    let before = simulator.stats(Vendor::Cloudflare).records;
    installation.read_all().await;
    installation.expect_all_of(&simulator, Vendor::Cloudflare);
    assert_eq!(receiver.distinct().await, all);
    let again = simulator.stats(Vendor::Cloudflare).records - before;
    // But for the overlap, which is read again.
    assert!(again < 100, "the vendor was asked for {again} of 600 records twice");
}

#[tokio::test]
async fn a_sink_that_stays_down_fails_a_run_that_is_to_end() {
    let (_closed, address) = closed_port();
    let simulator = simulate(world(300)).await;
    let pipelines =
        [Pipeline::of(&simulator, Vendor::Nirvana).to("collector", ""), Pipeline::of(&simulator, Vendor::Telnyx)];
    let installation = Installation::new(&syslog(&address), &pipelines);
    let ended = installation.run_once().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&format!("\nerror: nirvana: syslog tcp://{address} does not take records: ")),
        "{}",
        ended.stderr
    );
    installation.expect_all_of(&simulator, Vendor::Nirvana);
    installation.expect_all_of(&simulator, Vendor::Telnyx);
}

#[tokio::test]
async fn a_full_journal_stops_the_reading_until_a_sink_has_taken_it() {
    let (closed, address) = closed_port();
    let simulator = simulate(World { latency: Duration::from_millis(5), ..world(6_000) }).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Telnyx).set("window", "\"4h\"").to("collector", "");
    let main = format!("[journal]\nmax_size = \"1MiB\"\n{}", syslog(&address));
    let installation = Installation::new(&main, &[pipeline]);
    let mut running = installation.start();
    running.says("the journal is full").await;
    let stats = simulator.stats(Vendor::Telnyx);
    assert!(stats.records < 6_000, "{stats:?}");

    let receiver = Receiver::listen(closed);
    running.says("the journal has room again").await;
    let all = expected(&simulator, Vendor::Telnyx);
    running.until("delivers to the file", |_| installation.ids("telnyx").len() == all.len()).await;
    running.signal("TERM").await;
    assert_eq!(running.ended().await.status.code(), Some(0));
    installation.read_all().await;
    installation.expect_all_of(&simulator, Vendor::Telnyx);
    assert_eq!(receiver.distinct().await, all);
}

/// Accepts every connection and says this, or nothing. The port is open until the test ends.
async fn stubborn(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(greeting).await;
            held.push(stream);
        }
    });
    address
}

/// Answers every request with 401.
async fn unwilling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let refuse = async || (StatusCode::UNAUTHORIZED, "no such credentials");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await.unwrap() });
    address
}

/// A sink of every kind that has a server, at this port.
fn of_each_kind(port: &str) -> [(&'static str, String); 8] {
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let token = "{ env = \"SOME_TOKEN\" }";
    [
        ("kafka", format!("brokers = [\"{address}\"]\ntopic = \"plain\"\ntimeout = \"3s\"")),
        (
            "kafka",
            format!("brokers = [\"{address}\"]\ntopic = \"once\"\ntimeout = \"3s\"\ndelivery = \"exactly_once\""),
        ),
        (
            "s3",
            format!(
                "endpoint = \"{url}\"\nbucket = \"b{port}\"\nregion = \"us-east-1\"\npath_style = true\n\
                 access_key_id = {token}\nsecret_access_key = {token}\ntimeout = \"1s\""
            ),
        ),
        ("syslog", format!("address = \"{address}\"\ntransport = \"relp\"\nmax_size = \"1MiB\"\ntimeout = \"1s\"")),
        ("splunk_hec", format!("url = \"{url}\"\ntoken = {token}\ntimeout = \"1s\"")),
        ("elasticsearch", format!("url = \"{url}\"\nindex = \"audit\"\ntimeout = \"1s\"")),
        ("http", format!("url = \"{url}/in\"\nformat = \"ndjson\"\ntimeout = \"1s\"")),
        ("otlp", format!("endpoint = \"{url}\"\ntimeout = \"1s\"")),
    ]
}

#[tokio::test]
async fn destinations_that_are_sick_in_every_way_hold_up_nobody_else() {
    let simulator = simulate(world(300)).await;
    let mut main = format!("grace = \"1s\"\n{FILES}");
    let mut telnyx = Pipeline::of(&simulator, Vendor::Telnyx);
    let mut cloudflare = Pipeline::of(&simulator, Vendor::Cloudflare);
    let mut sick = Vec::new();
    let garbage = b"220 mail.example.com ESMTP\r\n";
    let (_closed, closed) = closed_port();
    let servers = [closed, stubborn(b"").await, stubborn(garbage).await, unwilling().await];
    for address in servers {
        let port = address.rsplit_once(':').unwrap().1;
        for (kind, keys) in of_each_kind(port) {
            let name = format!("sick{}", sick.len());
            main += &format!("\n[sinks.{name}.{kind}]\n{keys}\n");
            let batch = "batch = { max_wait = \"50ms\" }";
            (telnyx, cloudflare) = (telnyx.to(&name, batch), cloudflare.to(&name, batch));
            sick.push((kind, port.to_owned()));
        }
    }
    let pipelines = [telnyx, cloudflare, Pipeline::of(&simulator, Vendor::Ashby)];
    let installation = Installation::new(&main, &pipelines).with_secret("SOME_TOKEN", "opens-nothing");
    let mut running = installation.start();
    let vendors = [Vendor::Telnyx, Vendor::Cloudflare, Vendor::Ashby];
    let all: usize = vendors.iter().map(|vendor| expected(&simulator, *vendor).len()).sum();
    running
        .until("delivers to the files", |_| {
            vendors.iter().map(|vendor| installation.ids(vendor.name()).len()).sum::<usize>() == all
        })
        .await;
    // Each of them is told by name, once for each pipeline.
    let told = |running: &common::Running| {
        let log = running.stderr();
        let lines = log.lines().filter(|line| line.contains("not taking records") || line.contains("takes no records"));
        let lines: Vec<&str> = lines.collect();
        sick.iter()
            .all(|(kind, port)| lines.iter().filter(|line| line.contains(kind) && line.contains(port)).count() >= 2)
    };
    running.until("tells of every sink", told).await;
    running.signal("TERM").await;
    let ended = running.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("opens-nothing"), "{}", ended.stderr);
    for vendor in vendors {
        installation.expect_all_of(&simulator, vendor);
    }
}

/// Takes what comes with the token of the moment, and keeps the ids.
#[derive(Clone, Default)]
struct Guarded {
    token: Arc<Mutex<String>>,
    ids: Arc<Mutex<Vec<String>>>,
}

impl Guarded {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(Self::take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        address
    }

    async fn take(State(guarded): State<Self>, headers: HeaderMap, body: String) -> StatusCode {
        let token = guarded.token.lock().await.clone();
        if headers.get("authorization").is_none_or(|given| given.as_bytes() != format!("Bearer {token}").as_bytes()) {
            return StatusCode::UNAUTHORIZED;
        }
        let events = body.lines().map(|line| id(&serde_json::from_str(line).unwrap()));
        guarded.ids.lock().await.extend(events);
        StatusCode::OK
    }
}

#[tokio::test]
async fn a_sinks_secret_that_changes_is_used_without_a_restart() {
    let guarded = Guarded::default();
    *guarded.token.lock().await = "first".to_owned();
    let address = guarded.serve().await;
    // New records come into being for a while.
    let simulator = simulate(World { latency: Duration::from_millis(50), ..world(400) }).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Telnyx).set("window", "\"1h\"").not_to("siem");
    let pipeline = pipeline.to("guarded", "batch = { max_records = 5, max_wait = \"20ms\" }");
    let main = format!(
        "[sinks.guarded.http]\nurl = \"http://{address}/in\"\nformat = \"ndjson\"\n\
         compression = \"none\"\nauth = {{ bearer = {{ file = \"token\" }} }}\n"
    );
    let installation = Installation::new(&main, &[pipeline]);
    std::fs::write(installation.path("token"), "first\n").unwrap();
    let mut running = installation.start();
    let count = || guarded.ids.try_lock().map_or(0, |ids| ids.len());
    running.until("delivers", |_| count() > 10).await;
    // The new one is good before the old one ends, as whoever rotates secrets has it.
    std::fs::write(installation.path("token"), "second\n").unwrap();
    running.says("a secret has changed, and is used from now on").await;
    *guarded.token.lock().await = "second".to_owned();
    let all = expected(&simulator, Vendor::Telnyx);
    running.until("delivers everything", |_| count() >= all.len()).await;
    running.signal("TERM").await;
    let ended = running.ended().await;
    assert!(!ended.stderr.contains("second"), "{}", ended.stderr);
    let distinct: BTreeSet<String> = guarded.ids.lock().await.iter().cloned().collect();
    expect_once("the guarded one", distinct.into_iter().collect(), &all);
}
