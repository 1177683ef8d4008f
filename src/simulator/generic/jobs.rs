//! Jobs: ordered, asked after, fetched.

use std::collections::HashMap;
use std::io::Write;

use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;

use super::asked::Asked;
use super::records::Entry;
use super::{Shared, answer};
use crate::connector::model::Job;

/// What was ordered.
#[derive(Debug, Default)]
pub struct Jobs {
    ordered: HashMap<String, Ordered>,
}

#[derive(Debug)]
struct Ordered {
    entries: Vec<Entry>,
    polls: u32,
}

/// A job is done when it was asked after so often.
const POLLS: u32 = 2;

impl Shared {
    fn job(&self) -> Result<&Job, String> {
        self.terms.way_to_read().job.as_ref().ok_or_else(|| "there are no jobs here".to_owned())
    }

    pub(super) fn order(&self, asked: &Asked) -> Result<Response, String> {
        let entries = self.window(asked)?;
        let id = {
            let jobs = &mut self.state().jobs;
            let id = (4000 + jobs.ordered.len()).to_string();
            jobs.ordered.insert(id.clone(), Ordered { entries, polls: 0 });
            id
        };
        Ok(answer::members(&[(&self.job()?.id, id.into())]))
    }

    pub(super) fn poll(&self, asked: &Asked) -> Result<Response, String> {
        let job = self.job()?;
        let is_done = self.with_ordered(asked, |ordered| {
            ordered.polls += 1;
            ordered.polls >= POLLS
        })?;
        let ready = is_done.then(|| (&job.ready, Json::from("2025-06-15 11:59:00")));
        Ok(answer::members(&ready.into_iter().collect::<Vec<_>>()))
    }

    pub(super) fn download(&self, asked: &Asked) -> Result<Response, String> {
        let (entries, is_done) =
            self.with_ordered(asked, |ordered| (ordered.entries.clone(), ordered.polls >= POLLS))?;
        if !is_done {
            return Err("a result was fetched before it was there".to_owned());
        }
        // Every second one, without a header that says so: some vendors leave it out.
        let is_packed = entries.len() % 2 == 0;
        Ok(answer::file(&entries, &self.terms, |text| if is_packed { gzip(&text) } else { text }))
    }

    fn with_ordered<T>(&self, asked: &Asked, look: impl FnOnce(&mut Ordered) -> T) -> Result<T, String> {
        let id = asked.variables.get("job").ok_or("it does not say which job it is about")?;
        let mut state = self.state();
        let ordered = state.jobs.ordered.get_mut(id).ok_or_else(|| format!("the job `{id}` was never ordered"))?;
        Ok(look(ordered))
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).expect("memory takes everything");
    packer.finish().expect("memory takes everything")
}
