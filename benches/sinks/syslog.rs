//! Messages for rsyslog over TCP. The plainest program writes frames that are made ready for it, a batch at a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;

use auditline_sinks::{Batch, Record};
use chrono::SecondsFormat;
use serde_json::Value;

use super::race::{Pair, Plain};

struct Frames {
    stream: TcpStream,
    batches: Vec<Vec<Vec<u8>>>,
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
        let frames = |batch: &Batch| batch.records.iter().map(|record| frame(batch, record)).collect();
        self.batches = batches.iter().map(frames).collect();
    }

    fn push(&mut self) {
        for frames in &self.batches {
            let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 8).sum());
            for frame in frames {
                write!(bytes, "{} ", frame.len()).expect("memory takes everything");
                bytes.extend_from_slice(frame);
            }
            self.stream.write_all(&bytes).expect("the receiver takes it");
        }
    }
}

/// The message that the sink makes, but for the host's name.
fn frame(batch: &Batch, record: &Record) -> Vec<u8> {
    let event: Value = serde_json::from_slice(&record.json).expect("an event");
    let time = record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (id, pipeline, vendor) = (&record.id, &batch.pipeline, &batch.vendor);
    let mut frame = format!(
        "<109>1 {time} host.example auditline - {vendor} \
         [auditline@32473 id=\"{id}\" pipeline=\"{pipeline}\" vendor=\"{vendor}\" class=\"{}\"",
        event["class_uid"]
    );
    if let Some(code) = event["metadata"]["event_code"].as_str() {
        let _ = write!(frame, " code=\"{code}\"");
    }
    frame.push_str("] ");
    [frame.as_bytes(), &record.json].concat()
}
