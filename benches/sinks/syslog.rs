//! Messages for rsyslog over TCP. The plainest program makes frames and writes them, a batch at a time, and does not look what
//! becomes of them. What the frame names of the event, class and code, it reads with serde's derive.

use std::borrow::Cow;
use std::io::Write;
use std::net::TcpStream;

use auditline_sinks::{Batch, Record};
use chrono::SecondsFormat;
use serde::Deserialize;

use super::race::{Pair, Plain};

struct Frames {
    stream: TcpStream,
    batches: Vec<Vec<Message>>,
}

struct Message {
    record: Record,
    vendor: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    class_uid: u32,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    event_code: Cow<'a, str>,
}

pub fn pair() -> Option<Pair> {
    let address = super::server("syslog", "rsyslog", "AUDITLINE_TEST_RSYSLOG_TCP")?;
    let config = super::config(&format!("[syslog]\naddress = \"{address}\"\ntransport = \"tcp\""));
    let stream = TcpStream::connect(address).expect("the receiver listens");
    stream.set_nodelay(true).expect("a connection");
    let plain = Frames { stream, batches: Vec::new() };
    // Batches are small.
    Some(Pair { laps: 4, ..Pair::new("syslog", config, Box::new(plain)) })
}

impl Plain for Frames {
    fn prepare(&mut self, batches: &[Batch]) {
        let messages = |batch: &Batch| batch.records.iter().map(|record| Message::new(batch, record)).collect();
        self.batches = batches.iter().map(messages).collect();
    }

    fn push(&mut self) {
        for messages in &self.batches {
            let (mut frames, mut frame) = (Vec::new(), Vec::new());
            for message in messages {
                frame.clear();
                message.write(&mut frame).expect("memory takes everything");
                write!(frames, "{} ", frame.len()).expect("memory takes everything");
                frames.extend_from_slice(&frame);
            }
            self.stream.write_all(&frames).expect("the receiver takes it");
        }
    }
}

impl Message {
    fn new(batch: &Batch, record: &Record) -> Self {
        Self { record: record.clone(), vendor: batch.vendor.to_string() }
    }

    /// As the sink makes it, but for the host's name.
    fn write(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        let Self { record, vendor } = self;
        let Event { class_uid: class, metadata: Metadata { event_code: code } } = serde_json::from_slice(&record.json)?;
        let time = record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let id = &record.id;
        write!(
            to,
            "<109>1 {time} host.example auditline - {vendor} \
             [auditline@32473 id=\"{id}\" pipeline=\"{vendor}\" vendor=\"{vendor}\" class=\"{class}\" code=\"{code}\"] "
        )?;
        to.write_all(&record.json)
    }
}
