//! A source in front of a vendor that is made of its connector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::super::generic::{Cursors, Entry, MARK, PARENTS, StandIn, Terms, Trouble, id_of, tick};
use super::Outcome;
use crate::connector::Connector;
use crate::connector::model::{Auth, Paginate, Rate};
use crate::event::{Arena, Clock, Path};
use crate::source::budget::{self, Budget};
use crate::source::{Cursor, Mode, Page, Priority, Progress, Raw, Rules, Setting, Settings, Source, SourceError};

/// What a case needs to know of a connector.
#[derive(Clone)]
pub struct Bed {
    /// The connector, with pages so small that a few records fill several.
    pub connector: Arc<Connector>,
    /// By which way it is read.
    pub read: String,
    /// How the source authenticates, and the vendor expects it.
    pub way: Auth,
    /// The parameters that the source is told.
    pub parameters: BTreeMap<String, Setting>,
}

/// When all of it plays: so long ago that no clock of any machine is there.
fn noon() -> DateTime<Utc> {
    "2025-06-15T12:00:00Z".parse().expect("an instant")
}

/// The largest page that is asked for; those that are tried after it are smaller each.
pub const PAGE: u32 = 7;
/// So many pages the vendor lets us into a window, where there is a ceiling.
pub const PAGES: u32 = 4;
/// Nothing that is read here takes more reads.
const MOST_READS: usize = 2000;
/// So often in a row a read may fail, as the engine would try it again.
const MOST_FAILURES: usize = 3;

/// A connector with small pages and low ceilings.
#[must_use]
pub fn shrunk(connector: &Connector) -> Arc<Connector> {
    let mut definition = connector.definition.clone();
    for read in definition.read.values_mut() {
        let smaller = |index: usize| PAGE.saturating_sub(2 * u32::try_from(index).unwrap_or(PAGE)).max(1);
        read.page_sizes = (0..read.page_sizes.len()).map(smaller).collect();
        match &mut read.paginate {
            Some(Paginate::Page { first, ceiling: Some(ceiling), .. }) => *ceiling = *first + u64::from(PAGES) - 1,
            Some(Paginate::Offset { ceiling: Some(ceiling), .. }) => *ceiling = u64::from(PAGES * PAGE),
            _ => {}
        }
    }
    let (name, identity, map) = (Arc::clone(&connector.name), connector.identity.clone(), Arc::clone(&connector.map));
    Arc::new(Connector { name, definition, identity, map })
}

/// What arrived of one entry.
#[derive(Clone, Debug)]
enum Arrival {
    Record {
        number: u64,
        id: String,
        time: DateTime<Utc>,
    },
    /// A record that carries no number, or is none.
    Broken {
        text: String,
    },
}

/// A source, the vendor it reads, and what has arrived.
pub struct Bench {
    bed: Bed,
    pub stand_in: StandIn,
    settings: Settings,
    source: Source,
    cursor: Cursor,
    arrived: BTreeMap<u64, (String, DateTime<Utc>)>,
    broken: Vec<String>,
}

impl Bench {
    /// Sets both up. The log is empty.
    ///
    /// # Errors
    /// When the connector has something that is not covered yet, or the source cannot be set up.
    pub async fn new(bed: &Bed, trouble: Trouble, cursors: Cursors) -> Result<Self, Outcome> {
        let failed = |error: &dyn std::error::Error| Outcome::Failed(crate::chain(error));
        let clock = Clock::standing_at(noon());
        let terms = Terms {
            connector: Arc::clone(&bed.connector),
            read: bed.read.clone(),
            way: bed.way.clone(),
            parameters: bed.parameters.clone(),
            clock: clock.clone(),
        };
        let stand_in = StandIn::start(terms, trouble, cursors).await.map_err(|error| failed(&error))?;
        let stand_in = stand_in.map_err(|not_covered| Outcome::NotCovered(not_covered.0))?;
        let rules = rules(&bed.connector);
        let settings = Settings {
            base_url: Url::parse(&stand_in.base_url()).map_err(|error| failed(&error))?,
            connector: Arc::clone(&bed.connector),
            parameters: bed.parameters.clone(),
            filters: Vec::new(),
            start: start(&rules),
            rules,
            mode: Mode::Named(bed.read.clone()),
            rate: RATE,
            reserve: 0.0,
            clock,
            credential_expires: None,
        };
        let source = source(&settings).map_err(|error| failed(&error))?;
        let cursor = source.start();
        let (arrived, broken) = (BTreeMap::new(), Vec::new());
        Ok(Self { bed: bed.clone(), stand_in, settings, source, cursor, arrived, broken })
    }

    /// Which spans are asked for.
    pub fn rules(&self) -> &Rules {
        &self.settings.rules
    }

    /// How many logs the vendor keeps, each of which has to fill pages.
    pub fn logs(&self) -> u32 {
        let each = self.bed.connector.definition.read.get(self.bed.read.as_str()).and_then(|read| read.each.as_ref());
        each.map_or(1, |_| PARENTS as u32)
    }

    /// The first instant that is read.
    pub fn start(&self) -> DateTime<Utc> {
        self.settings.start
    }

    /// The first instant that is not read yet.
    pub fn horizon(&self) -> DateTime<Utc> {
        self.settings.clock.now() - self.rules().lag
    }

    /// What happened before the first instant is read no more, and what happened before the second one was read.
    pub fn reached(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        (self.cursor.settled, self.cursor.complete_up_to)
    }

    /// Lets time go by.
    pub fn pass(&self, time: TimeDelta) {
        self.settings.clock.set(self.settings.clock.now() + time);
    }

    /// `count` moments between two instants, evenly, as fine as the vendor's bounds tell them apart.
    pub fn moments(&self, from: DateTime<Utc>, until: DateTime<Utc>, count: u32) -> Vec<DateTime<Utc>> {
        let tick = tick(&self.bed.connector.definition.window).num_milliseconds();
        let span = (until - from).num_milliseconds();
        let at = |index: u32| span * i64::from(index + 1) / i64::from(count + 1);
        (0..count).map(|index| from + TimeDelta::milliseconds(at(index) / tick * tick)).collect()
    }

    /// Adds sound entries to the vendor's log.
    pub fn publish(&self, times: &[DateTime<Utc>]) {
        let first = self.stand_in.entries().len() as u64;
        let entries = times.iter().zip(first..).map(|(time, number)| Entry { time: *time, number, broken: false });
        self.stand_in.publish(entries.collect::<Vec<_>>());
    }

    /// Reads until there is nothing more.
    ///
    /// # Errors
    /// When a read fails again and again, or there is no end.
    pub async fn read_to_the_end(&mut self) -> Result<(), String> {
        let mut failures = 0;
        for _ in 0..MOST_READS {
            match self.read().await {
                Ok(page) => {
                    let progress = page.progress;
                    // A page that was there before is no sign that things are better.
                    if self.keep(page)? {
                        failures = 0;
                    }
                    if self.pause(progress) {
                        return Ok(());
                    }
                }
                Err(SourceError::Retryable { message, .. }) if failures == MOST_FAILURES => return Err(message),
                Err(SourceError::Retryable { .. }) => {
                    failures += 1;
                    self.cursor = self.cursor.durable();
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("after {MOST_READS} reads there is still more"))
    }

    /// The same with a process that dies at every place where one can: after an answer and before it is durable, and
    /// after that. Only where it would come to life again no further than the last time, it lives on: nothing is read by
    /// one that always dies before its second page.
    ///
    /// # Errors
    /// As [`read_to_the_end`](Self::read_to_the_end).
    pub async fn read_to_the_end_dying(&mut self) -> Result<(), String> {
        let mut last = None;
        // While a job is waited for, time goes by, and one that is always just born finds more to read.
        let all = self.horizon() - TimeDelta::seconds(1);
        for _ in 0..MOST_READS {
            let durable = Some(self.cursor.durable());
            if durable != last {
                self.revive()?;
                // What comes of this read is lost with the process.
                self.read().await.map_err(|error| error.to_string())?;
                self.revive()?;
                last = durable;
            }
            let page = self.read().await.map_err(|error| error.to_string())?;
            let progress = page.progress;
            self.keep(page)?;
            if self.pause(progress) || self.cursor.complete_up_to >= all {
                return Ok(());
            }
        }
        Err(format!("after {MOST_READS} reads there is still more"))
    }

    /// Whether that was all. Where the vendor is preparing something, time goes by, and costs nothing.
    fn pause(&self, progress: Progress) -> bool {
        if let Progress::Wait(wait) = progress {
            // In whole seconds, as the vendor writes them.
            self.pass(TimeDelta::seconds(i64::try_from(wait.as_secs()).unwrap_or(60) + 1));
        }
        progress == Progress::CaughtUp
    }

    async fn read(&self) -> Result<Page<Arrival>, SourceError> {
        self.source.read(&self.cursor, Priority::Live, &arrival).await
    }

    /// Whether there was anything new in it.
    fn keep(&mut self, page: Page<Arrival>) -> Result<bool, String> {
        let before = (self.arrived.len(), self.cursor.complete_up_to);
        let mut newest = None;
        for arrival in page.items {
            match arrival {
                Arrival::Broken { text } => {
                    if !self.broken.contains(&text) {
                        self.broken.push(text);
                    }
                }
                Arrival::Record { number, id, time } => {
                    if newest.is_some_and(|newest| time < newest) {
                        return Err(format!("the record of {time} arrives behind a younger one"));
                    }
                    newest = Some(time);
                    let before = self.arrived.insert(number, (id.clone(), time));
                    if let Some((before, _)) = before.filter(|(before, _)| *before != id) {
                        return Err(format!(
                            "a record arrives as `{id}` and before as `{before}`: it would be there twice"
                        ));
                    }
                }
            }
        }
        self.cursor = page.next;
        Ok(before != (self.arrived.len(), self.cursor.complete_up_to))
    }

    /// A process of its own takes over where the journal says.
    fn revive(&mut self) -> Result<(), String> {
        let written = serde_json::to_vec(&self.cursor.durable()).map_err(|error| error.to_string())?;
        self.cursor = serde_json::from_slice(&written).map_err(|error| error.to_string())?;
        self.source = source(&self.settings).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Holds what arrived against what is there.
    ///
    /// # Errors
    /// Says what is missing, or is not as it was.
    pub fn compare(&self) -> Result<(), String> {
        if let Some(complaint) = self.stand_in.complaints().first() {
            return Err(complaint.clone());
        }
        let decode = &self.bed.connector.definition.decode;
        let entries = self.stand_in.entries();
        let (broken, sound): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.broken);
        let missing: Vec<&&Entry> = sound.iter().filter(|entry| !self.arrived.contains_key(&entry.number)).collect();
        if let Some(first) = missing.first() {
            return Err(format!(
                "{} of {} records do not arrive, the first one of {}",
                missing.len(),
                sound.len(),
                first.time
            ));
        }
        for entry in &sound {
            let (id, time) = &self.arrived[&entry.number];
            if let Some(expected) = id_of(entry, decode).filter(|expected| expected != id) {
                return Err(format!("the record `{expected}` arrives as `{id}`"));
            }
            if !decode.time.is_empty() && *time != entry.time {
                return Err(format!("the record of {} arrives as of {time}", entry.time));
            }
        }
        if self.broken.len() != broken.len() {
            return Err(format!("{} of {} unreadable records become dead letters", self.broken.len(), broken.len()));
        }
        // What lies before it was promised to have been read.
        if self.cursor.complete_up_to < self.horizon() - TimeDelta::seconds(1) - self.waited() {
            return Err(format!("it is complete up to {} only", self.cursor.complete_up_to));
        }
        Ok(())
    }

    /// How much time went by while the vendor prepared something.
    fn waited(&self) -> TimeDelta {
        self.settings.clock.now() - noon()
    }
}

/// More than the suite ever asks.
const RATE: Rate = Rate { requests: 10_000, per: Duration::from_secs(1) };

fn source(settings: &Settings) -> Result<Source, SourceError> {
    let in_flight = settings.connector.definition.limits.in_flight;
    let terms = budget::Terms { rate: settings.rate, in_flight, reserve: 0.0, block: Duration::ZERO };
    Source::new(settings.clone(), Arc::new(Budget::new(terms)).share(&"conformance".into()), "auditline/conformance")
}

fn rules(connector: &Connector) -> Rules {
    let window = &connector.definition.window;
    let delta = |span: Duration| TimeDelta::from_std(span).unwrap_or(TimeDelta::days(1));
    Rules {
        size: delta(window.size.0),
        grow_to: window.grow_to.as_ref().map_or(TimeDelta::zero(), |grow_to| delta(grow_to.value.0)),
        lag: delta(window.lag.0),
        overlap: delta(window.overlap.0),
    }
}

/// Two windows and a half before what may be read now.
fn start(rules: &Rules) -> DateTime<Utc> {
    noon() - rules.lag - TimeDelta::seconds(rules.size.num_seconds() * 5 / 2)
}

fn arrival<'a>(raw: Raw<'a>, _: &'a Arena) -> Arrival {
    match raw {
        Raw::Event(event) => {
            let mark: Path = MARK.parse().expect("a path");
            let number = mark.find(event.body).and_then(|value| value.as_str()?.parse().ok());
            match number {
                Some(number) => Arrival::Record { number, id: event.id.to_owned(), time: event.time },
                None => Arrival::Broken { text: event.id.to_owned() },
            }
        }
        Raw::Unreadable { text, .. } => Arrival::Broken { text: text.to_owned() },
    }
}
