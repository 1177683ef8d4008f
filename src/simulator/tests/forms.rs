//! What pipelines make of the records: events of ECS that its own list of fields finds nothing wrong with.

use std::sync::Arc;

use chrono::DateTime;

use super::super::content::{ashby, cloudflare, nirvana, telnyx, voximplant};
use super::super::timeline::{Micros, SECOND};
use super::{Value, Vendor};
use crate::connector::Connector;
use crate::event::{Arena, json};
use crate::source::Raw;
use crate::source::decode::record;
use crate::transform::ecs::validate;
use crate::transform::normalize::{Form, Normalize};
use crate::transform::{Notes, Transform};

const RECORDS: u64 = 400;
/// 2026-09-14
const BEGIN: Micros = 1_789_344_000 * SECOND;

/// The record at that place of a vendor's log.
fn written(vendor: Vendor, index: u64) -> String {
    let (salt, time) = (7, BEGIN + index as Micros * SECOND);
    let mut out = String::new();
    match vendor {
        Vendor::Telnyx => telnyx::write(salt, index, time, &mut out),
        Vendor::Cloudflare => cloudflare::facts(salt, index).write(time, &mut out),
        Vendor::Voximplant => voximplant::facts(salt, index).write(time, index.is_multiple_of(2), &mut out),
        Vendor::Ashby => ashby::facts(salt, index).write(time, time, &mut out),
        Vendor::Nirvana => nirvana::facts(salt, index).write(time, &mut out),
    }
    out
}

#[test]
fn every_record_becomes_a_valid_ecs_event() {
    for vendor in Vendor::ALL {
        let connector = Connector::embedded(vendor.name()).unwrap();
        let normalize = Normalize::new(Form::Ecs, Arc::clone(&connector.map), connector.identity.clone());
        for index in 0..RECORDS {
            let arena = Arena::new();
            let text = written(vendor, index);
            let body = json::decode(text.as_bytes(), &arena).unwrap();
            let Raw::Event(event) = record(body, &connector.definition.decode, DateTime::UNIX_EPOCH, &arena) else {
                panic!("{vendor}: {text}");
            };
            let event = normalize.apply(event, &arena, &mut Notes::default()).unwrap();
            let event: Value = serde_json::from_str(&json::to_string(&event.body)).unwrap();
            assert_eq!(validate::problems(&event), [""; 0], "{vendor}: {event:#}");
        }
    }
}
