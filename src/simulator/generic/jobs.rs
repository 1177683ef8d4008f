//! Jobs: ordered, found again, asked after, fetched.

use std::io::Write;

use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;

use super::asked::Asked;
use super::pattern::Variables;
use super::records::{Entry, around, put};
use super::{Shared, answer};
use crate::connector::model::Job;

/// What was ordered, by the jobs' ids.
#[derive(Debug, Default)]
pub struct Jobs {
    ordered: Vec<Ordered>,
}

#[derive(Debug)]
struct Ordered {
    id: String,
    variables: Variables,
    created: DateTime<Utc>,
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
        let job = self.job()?;
        let entries = self.window(asked)?;
        let variables = asked.variables.clone();
        let jobs = &mut self.state().jobs.ordered;
        if job.find.is_some() && jobs.iter().any(|ordered| ordered.variables == variables) {
            return Err("the same was ordered twice, and could have been found".to_owned());
        }
        let id = (4000 + jobs.len()).to_string();
        jobs.push(Ordered { id: id.clone(), variables, created: self.terms.clock.now(), entries, polls: 0 });
        Ok(answer::members(&self.terms, &[(&job.id, id.into())]))
    }

    /// The jobs there are, the newest last.
    pub(super) fn find(&self, _: &Asked) -> Result<Response, String> {
        let find = self.job()?.find.as_ref().ok_or("jobs cannot be listed here")?;
        let state = self.state();
        let listed = state.jobs.ordered.iter().map(|ordered| {
            let mut listed = Json::Object(serde_json::Map::new());
            put(&mut listed, &find.id, ordered.id.as_str().into());
            if let Some(path) = &find.time {
                put(&mut listed, path, ordered.created.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
            }
            for (path, template) in &find.matches {
                let known = |name: &str| match ordered.variables.get(name) {
                    Some(value) => Some(Json::from(value.as_str())),
                    None => self.terms.parameter(name),
                };
                if let Some(value) = template.fill(&known) {
                    put(&mut listed, path, value);
                }
            }
            listed
        });
        Ok(answer::sound(&self.terms, around(find.records.as_ref(), listed.collect(), &[])))
    }

    pub(super) fn poll(&self, asked: &Asked) -> Result<Response, String> {
        let job = self.job()?;
        let (is_done, entries) = self.with_ordered(asked, |ordered| {
            ordered.polls += 1;
            (ordered.polls >= POLLS, ordered.entries.clone())
        })?;
        let mut members = Vec::new();
        if is_done {
            members.push((&job.ready, Json::from("2025-06-15 11:59:00")));
            members.extend(job.size.iter().map(|path| (path, Json::from(self.shape.csv(&entries).len()))));
        }
        Ok(answer::members(&self.terms, &members))
    }

    pub(super) fn download(&self, asked: &Asked) -> Result<Response, String> {
        let (is_done, entries) =
            self.with_ordered(asked, |ordered| (ordered.polls >= POLLS, ordered.entries.clone()))?;
        if !is_done {
            return Err("a result was fetched before it was there".to_owned());
        }
        // Every second one is packed, without a header that says so: some vendors leave it out.
        let text = self.shape.csv(&entries);
        Ok(answer::file(if entries.len() % 2 == 0 { gzip(&text) } else { text }))
    }

    fn with_ordered<T>(&self, asked: &Asked, look: impl FnOnce(&mut Ordered) -> T) -> Result<T, String> {
        let id = asked.variables.get("job").ok_or("it does not say which job it is about")?;
        let mut state = self.state();
        let ordered = state.jobs.ordered.iter_mut().find(|ordered| ordered.id == *id);
        Ok(look(ordered.ok_or_else(|| format!("the job `{id}` was never ordered"))?))
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).expect("memory takes everything");
    packer.finish().expect("memory takes everything")
}
