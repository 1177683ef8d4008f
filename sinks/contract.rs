//! What [`Sink`] promises, as functions to run against a destination: a new sink's tests begin with [`all`].
//!
//! They are part of the library, so that a sink kept elsewhere can be held to the same promises.

use std::collections::HashMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpSocket;

use crate::{Batch, Closed, Delivery, Record, Sink};

/// One place to deliver to that nobody else uses: a folder, a topic, a prefix.
#[async_trait]
pub trait Destination: Send + Sync {
    /// A new instance of the sink, as a restarted process has it. It knows nothing of the ones before.
    fn sink(&self) -> Arc<dyn Sink>;

    /// The JSON of every record there, in the order of arrival. Waits until there are `expected` different ones,
    /// for as long as the destination may take to show them, and then returns what there is.
    async fn read_back(&self, expected: usize) -> Vec<String>;

    /// What this destination is able to promise.
    fn guarantees(&self) -> Guarantees;
}

/// Where destinations differ.
#[derive(Clone, Copy, Debug)]
pub struct Guarantees {
    /// A batch that is delivered again is there once. Otherwise: at least once.
    pub exactly_once: bool,
    /// Records with much more JSON than this are rejected, and only they.
    pub max_record_bytes: Option<usize>,
    /// How many records a big batch may have; fewer where the transport itself loses what comes too fast.
    pub big_batch: usize,
    /// A delivery that was given up may still be taken behind newer ones, as a request may that was on its way. Otherwise
    /// all that is taken of it is there before what comes next.
    pub late_copies: bool,
}

impl Default for Guarantees {
    fn default() -> Self {
        Self { exactly_once: false, max_record_bytes: None, big_batch: 5000, late_copies: false }
    }
}

/// Every promise, each against a fresh destination. `fresh` gets a name no other call gets, in any run.
pub async fn all<D: Destination>(fresh: impl AsyncFn(&str) -> D) {
    // Side by side, for much of it is waiting.
    futures::join!(
        async { check_writes_nothing(fresh(&unique("check")).await).await },
        async { batches_arrive_in_order(fresh(&unique("order")).await).await },
        async { a_second_delivery_does_no_harm(fresh(&unique("twice")).await).await },
        async { a_new_instance_goes_on(fresh(&unique("restart")).await).await },
        async { a_dropped_delivery_does_no_harm(fresh(&unique("dropped")).await).await },
        async { pipelines_do_not_disturb_each_other(fresh(&unique("pipelines")).await).await },
        async { a_big_batch_arrives(fresh(&unique("big")).await).await },
        async { every_character_survives(fresh(&unique("characters")).await).await },
        async { sequences_may_have_gaps(fresh(&unique("gaps")).await).await },
        async { another_choice_replaces_nothing(fresh(&unique("choice")).await).await },
        async { restored_numbers_replace_nothing(fresh(&unique("restored")).await).await },
        async { days_and_hours_may_vary(fresh(&unique("days")).await).await },
        async { only_the_oversized_is_rejected(fresh(&unique("oversized")).await).await },
    );
}

/// `check` passes on a destination where nothing has been written yet, and leaves it so.
pub async fn check_writes_nothing<D: Destination>(destination: D) {
    destination.sink().check().await.expect("the destination is there");
    assert_eq!(destination.read_back(0).await, [""; 0]);
}

/// Batch after batch, each record is there once and in its place.
pub async fn batches_arrive_in_order<D: Destination>(destination: D) {
    let sink = destination.sink();
    let batches = [numbered("order", 1, 3), numbered("order", 4, 1), numbered("order", 5, 40)];
    for batch in &batches {
        take_whole(&*sink, batch).await;
    }
    assert_eq!(destination.read_back(44).await, texts(&batches));
}

/// After an error nobody knows what arrived, so the batch comes again.
pub async fn a_second_delivery_does_no_harm<D: Destination>(destination: D) {
    let sink = destination.sink();
    let batches = [numbered("twice", 1, 5), numbered("twice", 6, 5)];
    take_whole(&*sink, &batches[0]).await;
    take_whole(&*sink, &batches[0]).await;
    take_whole(&*sink, &batches[1]).await;
    expect_all(&destination, &batches).await;
}

/// The process died after the delivery and before the journal heard of it.
pub async fn a_new_instance_goes_on<D: Destination>(destination: D) {
    let batches = [numbered("restart", 1, 5), numbered("restart", 6, 5), numbered("restart", 11, 5)];
    let first = destination.sink();
    take_whole(&*first, &batches[0]).await;
    take_whole(&*first, &batches[1]).await;
    drop(first);
    let second = destination.sink();
    take_whole(&*second, &as_sealed_before(&batches[1])).await;
    take_whole(&*second, &batches[2]).await;
    expect_all(&destination, &batches).await;
}

/// The engine gave up in the middle of a delivery, at several places, and delivers again.
pub async fn a_dropped_delivery_does_no_harm<D: Destination>(destination: D) {
    let sink = destination.sink();
    let batches = [numbered("dropped", 1, 20), numbered("dropped", 21, 20), numbered("dropped", 41, 20)];
    for (polls, batch) in batches.iter().enumerate() {
        poll_and_drop(sink.deliver(batch), polls + 1).await;
        take_whole(&*sink, batch).await;
    }
    expect_all(&destination, &batches).await;
}

/// Several pipelines use one sink at the same time; each finds its records in its order.
pub async fn pipelines_do_not_disturb_each_other<D: Destination>(destination: D) {
    let sink = destination.sink();
    let names = ["north", "south", "east", "west"];
    let batches = |name: &str| (0..5).map(|n| numbered(name, n * 7 + 1, 7)).collect::<Vec<_>>();
    let one = async |name: &str| {
        for batch in batches(name) {
            take_whole(&*sink, &batch).await;
        }
    };
    futures::future::join_all(names.map(one)).await;
    let arrived = destination.read_back(4 * 35).await;
    for name in names {
        let expected = texts(&batches(name));
        let own: Vec<&String> = arrived.iter().filter(|text| expected.contains(text)).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(arrived.len(), 4 * 35);
}

/// A batch as large as the engine makes them.
pub async fn a_big_batch_arrives<D: Destination>(destination: D) {
    let count = destination.guarantees().big_batch;
    let batches = [numbered("big", 1, count)];
    take_whole(&*destination.sink(), &batches[0]).await;
    assert!(destination.read_back(count).await == texts(&batches), "the big batch did not arrive as it was sent");
}

/// Whatever JSON can say arrives byte by byte: frames, paths and headers are the sink's own trouble.
pub async fn every_character_survives<D: Destination>(destination: D) {
    let awkward: String = (' '..='\u{ff}').filter(|char| !"\"\\".contains(*char)).collect();
    let escapes: String = (0..0x20u32).map(|code| format!("\\u{code:04x}")).collect();
    let bodies = [
        format!(r#"{{"text":"{awkward}"}}"#),
        format!(r#"{{"text":"{escapes}\"\\\/\b\f\n\r\t"}}"#),
        "{\"text\":\"\u{feff}bom \u{2028} \u{2029} \u{1f98a} \u{10ffff} e\u{301} \u{202e}txt\"}".to_owned(),
        r#"{"lone":"\ud83e","nul":"\u0000","n":1e400,"z":-0.0,"deep":[[[{"":null}]]]}"#.to_owned(),
        r#"{"a":"<13>1 - - - - - [x y=\"z\"] ]","b":"5 hello","c":"{vendor}","d":"%s %n #012"}"#.to_owned(),
        "{}".to_owned(),
    ];
    let mut batch = batch_of("characters", 1, bodies);
    let ids = ["quote\" back\\ bracket]", "line\nbreak\ttab\0nul", "ünï/../c\u{f8ff}de", "", "=%20+", "{id}"];
    for (record, id) in batch.records.iter_mut().zip(ids) {
        record.id = id.to_owned();
    }
    let batches = [batch];
    take_whole(&*destination.sink(), &batches[0]).await;
    assert_eq!(destination.read_back(6).await, texts(&batches));
}

/// Records of one batch may belong to different days, hours and centuries, and in any order.
pub async fn days_and_hours_may_vary<D: Destination>(destination: D) {
    let mut batch = numbered("days", 1, 8);
    let hours = [0, 30, 1, -30, 24 * 400, 31, -24 * 365 * 90, 0];
    for (record, hours) in batch.records.iter_mut().zip(hours) {
        record.time += TimeDelta::hours(hours);
    }
    let sink = destination.sink();
    take_whole(&*sink, &batch).await;
    take_whole(&*sink, &batch).await;
    drop(sink);
    take_whole(&*destination.sink(), &as_sealed_before(&batch)).await;
    // Where records go by their time, they do not come back in the batch's order.
    let mut expected = texts(&[batch]);
    expected.sort_unstable();
    let mut arrived = destination.read_back(8).await;
    arrived.sort_unstable();
    if !destination.guarantees().exactly_once {
        arrived.dedup();
    }
    assert_eq!(arrived, expected);
}

/// Where a pipeline's records go to several sinks, each gets its own, and their sequences are no run.
pub async fn sequences_may_have_gaps<D: Destination>(destination: D) {
    let batches = [gapped("gaps", &[3, 4, 9]), gapped("gaps", &[12]), gapped("gaps", &[13, 900])];
    let first = destination.sink();
    take_whole(&*first, &batches[0]).await;
    take_whole(&*first, &batches[1]).await;
    take_whole(&*first, &batches[1]).await;
    drop(first);
    let second = destination.sink();
    take_whole(&*second, &as_sealed_before(&batches[1])).await;
    take_whole(&*second, &batches[2]).await;
    expect_all(&destination, &batches).await;
}

/// A stretch comes again with fewer of its records, as a sink gets it that takes another's place: what is there stays.
pub async fn another_choice_replaces_nothing<D: Destination>(destination: D) {
    let (before, after) = (gapped("choice", &[1, 2, 9]), gapped("choice", &[1, 9]));
    take_whole(&*destination.sink(), &before).await;
    take_whole(&*destination.sink(), &after).await;
    let there = destination.read_back(3).await;
    for text in texts(&[before]) {
        assert!(there.contains(&text), "{text} is gone: {there:?}");
    }
}

/// An older state folder was put back, and its journal numbers other records as it had numbered those that are there.
pub async fn restored_numbers_replace_nothing<D: Destination>(destination: D) {
    let before = [numbered("restored", 1, 3), numbered("restored", 4, 3)];
    let body = |n| format!(r#"{{"pipeline":"restored","n":{n},"text":"of the life after"}}"#);
    let mut after = batch_of("restored", 4, (4..7).map(body));
    after.records.iter_mut().for_each(|record| record.id.push_str("-after"));
    let sink = destination.sink();
    for batch in &before {
        take_whole(&*sink, batch).await;
    }
    take_whole(&*sink, &after).await;
    take_whole(&*destination.sink(), &as_sealed_before(&after)).await;
    let there = destination.read_back(9).await;
    for text in texts(&before).into_iter().chain(texts(&[after])) {
        let times = there.iter().filter(|found| **found == text).count();
        assert!(times > 0, "{text} is not there: {there:?}");
        assert!(times == 1 || !destination.guarantees().exactly_once, "{text} is there {times} times");
    }
}

/// One record nobody could take must not keep the others from arriving.
pub async fn only_the_oversized_is_rejected<D: Destination>(destination: D) {
    let Some(limit) = destination.guarantees().max_record_bytes else {
        return;
    };
    let mut batch = numbered("oversized", 1, 4);
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(limit + limit / 8));
    batch.records[1].json = Bytes::from(large);
    let Delivery { rejected } = destination.sink().deliver(&batch).await.expect("taken");
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0].at, 1);
    assert!(!rejected[0].reason.is_empty());
    batch.records.remove(1);
    assert_eq!(destination.read_back(3).await, texts(&[batch]));
}

/// A batch with records `PIPELINE-SEQUENCE`, of vendor `example`, a second apart.
pub fn batch_of<T: Into<String>>(pipeline: &str, first: u64, bodies: impl IntoIterator<Item = T>) -> Batch {
    let record = |(sequence, body): (u64, T)| Record {
        id: format!("{pipeline}-{sequence}"),
        time: START + TimeDelta::seconds(sequence.cast_signed()),
        json: Bytes::from(body.into()),
    };
    let records: Vec<Record> = (first..).zip(bodies).map(record).collect();
    Batch {
        journal: "j7k2".into(),
        pipeline: pipeline.into(),
        sink: "siem".into(),
        vendor: "example".into(),
        first,
        last: first + records.len() as u64 - 1,
        records: records.into(),
        closed: Closed::Age,
    }
}

/// A batch of the records with these numbers, which are their sequences.
#[must_use]
pub fn gapped(pipeline: &str, sequences: &[u64]) -> Batch {
    let batches = sequences.iter().map(|sequence| numbered(pipeline, *sequence, 1));
    let whole = batches.reduce(|mut whole, batch| {
        whole.last = batch.last;
        whole.records.extend(batch.records);
        whole
    });
    whole.expect("a batch has at least one record")
}

/// A batch of records that tell their pipeline and number.
#[must_use]
pub fn numbered(pipeline: &str, first: u64, count: usize) -> Batch {
    let body = |n| format!(r#"{{"pipeline":"{pipeline}","n":{n},"text":"a record like another"}}"#);
    batch_of(pipeline, first, (first..).take(count).map(body))
}

/// The batch as the journal hands it out to a process that has not sealed it.
fn as_sealed_before(batch: &Batch) -> Batch {
    Batch { closed: Closed::Before, ..batch.clone() }
}

/// The JSON of every record of `batches`.
#[must_use]
pub fn texts(batches: &[Batch]) -> Vec<String> {
    let records = batches.iter().flat_map(|batch| &batch.records);
    let text = |record: &Record| String::from_utf8(record.json.to_vec()).expect("JSON is UTF-8");
    records.map(text).collect()
}

/// A name no other call gets, in this run or another.
#[must_use]
pub fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = Utc::now().timestamp_micros();
    format!("{what}-{:x}-{}-{n}", now, std::process::id())
}

/// A port on loopback where nobody listens, and its address. It is kept from everybody else for as long as the socket
/// is, which may listen there later: a port that is only left free is soon another test's.
///
/// # Panics
/// Where loopback has no port left.
#[must_use]
pub fn closed_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port on loopback");
    let address = socket.local_addr().expect("it is bound").to_string();
    (socket, address)
}

/// A port for a server that a test starts, kills and starts again. It is none of those that the system gives to
/// connections, of which one would have it when the server comes back.
#[must_use]
pub fn server_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let ports = || 20_000 + (u64::from(std::process::id()) * 64 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
    let is_free = |port: &u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(ports).map(|port| port as u16).find(is_free).expect("it goes on until there is one")
}

/// The address of a server the tests may use, by the environment variable that holds it.
///
/// Where there is none, says so on stderr and, for the summary of a run, in the file `AUDITLINE_TEST_SKIPS` names: a
/// test that did not run must not look like one that passed.
#[must_use]
pub fn server(test: &str, what: &str, variable: &str) -> Option<String> {
    if let Ok(address) = std::env::var(variable) {
        return Some(address);
    }
    let line = format!("skipped: {test}: no {what} ({variable} is not set)\n");
    eprint!("{line}");
    if let Ok(path) = std::env::var("AUDITLINE_TEST_SKIPS") {
        use std::io::Write as _;
        let file = std::fs::File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("cannot note the skipped test in {path}: {error}"));
    }
    None
}

/// 2026-03-14 09:26:53 UTC.
const START: DateTime<Utc> = DateTime::from_timestamp(1_773_480_413, 589_000_000).unwrap();

async fn take_whole(sink: &dyn Sink, batch: &Batch) {
    match sink.deliver(batch).await {
        Ok(delivery) => assert_eq!(delivery, Delivery::default()),
        Err(error) => panic!("{sink} did not take the batch: {}", chain(&error)),
    }
}

/// The batches' records: once and in order where the destination can, else each at least once, and in order by the last
/// copy of each, or, where copies may come late, by the first.
async fn expect_all<D: Destination>(destination: &D, batches: &[Batch]) {
    let expected = texts(batches);
    let arrived = destination.read_back(expected.len()).await;
    if destination.guarantees().exactly_once {
        assert_eq!(arrived, expected);
        return;
    }
    let mut counting: HashMap<&str, usize> = HashMap::new();
    for (at, text) in arrived.iter().enumerate() {
        assert!(expected.contains(text), "nobody sent {text}");
        match destination.guarantees().late_copies {
            true => _ = counting.entry(text).or_insert(at),
            false => _ = counting.insert(text, at),
        }
    }
    let places: Vec<Option<usize>> = expected.iter().map(|text| counting.get(text.as_str()).copied()).collect();
    assert!(places.iter().all(Option::is_some), "missing records: {arrived:?}");
    assert!(places.is_sorted(), "out of order: {arrived:?}");
}

async fn poll_and_drop<F: Future>(future: F, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let done = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready()));
        if done.await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
