//! Keeps one record of each pipeline as the vendor gave it, to show beside what was delivered.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::config::Plan;
use crate::event::{Arena, Event, json};
use crate::transform::{Exit, Notes, Transform};

/// A record as the vendor gave it.
#[derive(Clone, Debug)]
pub struct Before {
    /// The pipeline, which in the demo is called like its vendor.
    pub vendor: String,
    /// The record's id.
    pub id: String,
    /// The record's JSON.
    pub json: String,
}

/// What was kept, in the pipelines' order.
pub type Captured = Vec<Arc<Mutex<Option<Before>>>>;

struct Capture {
    vendor: String,
    kept: Arc<Mutex<Option<Before>>>,
}

/// Puts a look at the vendor's record before everything else a pipeline does.
pub fn insert(plan: &mut Plan) -> Captured {
    let mut captured = Captured::new();
    for pipeline in &mut plan.pipelines {
        let kept = Arc::new(Mutex::new(None));
        captured.push(Arc::clone(&kept));
        pipeline.transforms.insert(0, Box::new(Capture { vendor: pipeline.name.to_string(), kept }));
    }
    captured
}

impl fmt::Display for Capture {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("capture")
    }
}

impl Transform for Capture {
    fn apply<'a>(&self, event: Event<'a>, _arena: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
        let mut kept = self.kept.lock().expect("no panic while the lock is held");
        if kept.is_none() {
            let json = json::to_string(&event.body);
            // One with something to redact shows more, and a short one is read more easily.
            if json.contains('@') && json.len() < 1200 {
                *kept = Some(Before { vendor: self.vendor.clone(), id: event.id.to_owned(), json });
            }
        }
        Ok(event)
    }
}
