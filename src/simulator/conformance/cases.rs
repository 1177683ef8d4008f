//! What is tried.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::generic::{Announced, Cursors, Entry, Fault, Trouble, has_reset_rule, made_up, made_up_for};
use super::Outcome;
use super::bench::{Bed, Bench, PAGE, PAGES, shrunk};
use crate::connector::Connector;
use crate::connector::model::{Paginate, Read};

/// One thing that is tried with each way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// As many pages arrive as there are.
    EveryPage,
    /// Nothing is there.
    Empty,
    /// A page ends among records of one instant.
    EqualTimes,
    /// Requests are refused, or answered with something else.
    Fault(Fault),
    /// Cursors expire before the window is read.
    ExpiredCursors,
    /// A window has more pages than the vendor lets us into.
    Ceiling,
    /// A cursor leads to itself.
    RepeatedCursor,
    /// Records show up when everything around them was read.
    Late,
    /// The process dies wherever it can.
    Restarts,
    /// Something else stands in the place of a record.
    Unreadable,
    /// Each way to authenticate.
    Authentication(usize),
}

/// Everything that is tried with a connector.
pub fn cases(connector: &Connector) -> Vec<Case> {
    let faults = [
        Fault::TooMany(Announced::Seconds),
        Fault::TooMany(Announced::Fraction),
        Fault::TooMany(Announced::Date),
        Fault::TooMany(Announced::Epoch),
        Fault::TooMany(Announced::Nothing),
        Fault::ServerError,
        Fault::BadGateway,
        Fault::WebPage,
        Fault::CutBody,
    ];
    let mut cases = vec![Case::EveryPage, Case::Empty, Case::EqualTimes, Case::Ceiling];
    cases.extend((0..connector.definition.auth.len()).map(Case::Authentication));
    cases.extend(faults.map(Case::Fault));
    cases.extend([Case::ExpiredCursors, Case::RepeatedCursor, Case::Late, Case::Restarts, Case::Unreadable]);
    cases
}

impl Case {
    /// What it is called.
    pub fn name(self, connector: &Connector) -> String {
        match self {
            Case::EveryPage => "every page arrives",
            Case::Empty => "an empty log",
            Case::EqualTimes => "equal times at a page's edge",
            Case::Fault(Fault::TooMany(Announced::Seconds)) => "429, Retry-After in seconds",
            Case::Fault(Fault::TooMany(Announced::Fraction)) => "429, Retry-After with a fraction",
            Case::Fault(Fault::TooMany(Announced::Date)) => "429, Retry-After as a date",
            Case::Fault(Fault::TooMany(Announced::Epoch)) => "429, a reset since 1970",
            Case::Fault(Fault::TooMany(Announced::Nothing)) => "429 without a word",
            Case::Fault(Fault::ServerError) => "500",
            Case::Fault(Fault::BadGateway) => "a web page under 502",
            Case::Fault(Fault::WebPage) => "a web page under 200",
            Case::Fault(Fault::CutBody) => "a body that breaks off",
            Case::Ceiling => "more pages than the vendor lets us into",
            Case::ExpiredCursors => "cursors that expire",
            Case::RepeatedCursor => "a cursor that repeats itself",
            Case::Late => "late records within the overlap",
            Case::Restarts => "a restart after every request",
            Case::Unreadable => "an unreadable record among others",
            Case::Authentication(index) => {
                let of = connector.definition.auth.len();
                return format!("authentication {} of {of}", index + 1);
            }
        }
        .to_owned()
    }
}

/// Tries a case with one way to read.
pub async fn try_one(connector: &Arc<Connector>, read: &str, case: Case) -> Outcome {
    let tried = Trial { connector: shrunk(connector), read: read.to_owned() }.go(case).await;
    tried.err().unwrap_or(Outcome::Passed)
}

struct Trial {
    connector: Arc<Connector>,
    read: String,
}

/// A case passed, or why not.
type Tried = Result<(), Outcome>;

fn failed(reason: String) -> Outcome {
    Outcome::Failed(reason)
}

impl Trial {
    async fn go(&self, case: Case) -> Tried {
        match case {
            Case::EveryPage => self.plain(Trouble::default()).await,
            Case::Empty => self.empty().await,
            Case::EqualTimes => self.equal_times().await,
            Case::Fault(fault) => self.plain(Trouble { fault: Some(fault), requests: FAULTS }).await,
            Case::Ceiling => self.ceiling().await,
            Case::ExpiredCursors => self.expired_cursors().await,
            Case::RepeatedCursor => self.repeated_cursor().await,
            Case::Late => self.late().await,
            Case::Restarts => self.restarts().await,
            Case::Unreadable => self.unreadable().await,
            Case::Authentication(index) => self.authentication(index).await,
        }
    }

    fn way(&self) -> &Read {
        self.connector.definition.read.get(self.read.as_str()).expect("the suite asks for what there is")
    }

    fn has_cursors(&self) -> bool {
        matches!(self.way().paginate, Some(Paginate::Cursor { .. } | Paginate::Link {} | Paginate::Url { .. }))
    }

    /// With everything that the operator could tell.
    fn bed(&self) -> Result<Bed, Outcome> {
        let definition = &self.connector.definition;
        // All parameters are there, so the first way is complete.
        let way = definition.auth.first().map(|way| way.value.clone());
        let way = way.ok_or_else(|| failed("there is no way to authenticate".to_owned()))?;
        let parameters = made_up(definition);
        Ok(Bed { connector: Arc::clone(&self.connector), read: self.read.clone(), way, parameters })
    }

    async fn bench(&self, trouble: Trouble, cursors: Cursors) -> Result<Bench, Outcome> {
        Bench::new(&self.bed()?, trouble, cursors).await
    }

    async fn plain(&self, trouble: Trouble) -> Tried {
        let mut bench = self.bench(trouble, Cursors::Steady).await?;
        bench.publish(&log(&bench));
        end(&mut bench).await
    }

    async fn empty(&self) -> Tried {
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        end(&mut bench).await?;
        match bench.stand_in.requests() {
            0 => Err(failed("nothing was asked for".to_owned())),
            _ => Ok(()),
        }
    }

    async fn equal_times(&self) -> Tried {
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        let around = log(&bench);
        let moment = around[around.len() / 3];
        bench.publish(&[around, vec![moment; (2 * PAGE + 1) as usize * bench.logs() as usize]].concat());
        end(&mut bench).await
    }

    async fn ceiling(&self) -> Tried {
        if !matches!(
            self.way().paginate,
            Some(Paginate::Page { ceiling: Some(_), .. } | Paginate::Offset { ceiling: Some(_), .. })
        ) {
            return Err(Outcome::Skipped("it has no ceiling".to_owned()));
        }
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        let (start, count) = (bench.start(), (2 * PAGES * PAGE + 1) * bench.logs());
        bench.publish(&bench.moments(start, start + bench.rules().size, count));
        end(&mut bench).await
    }

    async fn expired_cursors(&self) -> Tried {
        if !self.has_cursors() {
            return Err(Outcome::Skipped("it has no cursors".to_owned()));
        }
        if !has_reset_rule(&self.connector.definition.errors) {
            let reason = "no rule says `reset_cursor`, so that an expired one stops the pipeline until it is restarted";
            return Err(Outcome::Skipped(reason.to_owned()));
        }
        // Not even one window can be read in a walk.
        let mut bench = self.bench(Trouble::default(), Cursors::LivingFor(1)).await?;
        bench.publish(&log(&bench));
        end(&mut bench).await
    }

    async fn repeated_cursor(&self) -> Tried {
        if !self.has_cursors() {
            return Err(Outcome::Skipped("it has no cursors".to_owned()));
        }
        let mut bench = self.bench(Trouble::default(), Cursors::Repeating).await?;
        bench.publish(&log(&bench));
        match bench.read_to_the_end().await {
            Err(message) if message.contains("cursor") => Ok(()),
            Err(message) => Err(failed(format!("what a person sees does not speak of the cursor: {message}"))),
            Ok(()) => Err(failed("it is taken for the end of the log".to_owned())),
        }
    }

    async fn late(&self) -> Tried {
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        let overlap = bench.rules().overlap;
        if overlap < TimeDelta::seconds(4) {
            return Err(Outcome::Skipped("it has no overlap".to_owned()));
        }
        bench.publish(&log(&bench));
        end(&mut bench).await?;
        // The oldest that is still read again, what lies in the middle, and what is newest of what was read.
        let (settled, complete) = bench.reached();
        bench.publish(&[settled, settled + (complete - settled) / 2, complete - TimeDelta::seconds(1)]);
        // While the clock stands there is nothing to ask for. The least that it moves is enough.
        bench.read_to_the_end().await.map_err(failed)?;
        bench.pass(TimeDelta::seconds(1));
        end(&mut bench).await
    }

    async fn restarts(&self) -> Tried {
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        bench.publish(&log(&bench));
        bench.read_to_the_end_dying().await.map_err(failed)?;
        bench.compare().map_err(failed)
    }

    async fn unreadable(&self) -> Tried {
        if self.way().job.is_some() && self.connector.definition.decode.time.is_empty() {
            return Err(Outcome::Skipped("every line of a file is a record".to_owned()));
        }
        let mut bench = self.bench(Trouble::default(), Cursors::Steady).await?;
        let times = log(&bench);
        let entries =
            times.iter().zip(0..).map(|(time, number)| Entry { time: *time, number, broken: number % 4 == 1 });
        bench.stand_in.publish(entries.collect::<Vec<_>>());
        end(&mut bench).await
    }

    async fn authentication(&self, index: usize) -> Tried {
        let definition = &self.connector.definition;
        let way = definition.auth.get(index).map(|way| way.value.clone());
        let way = way.ok_or_else(|| failed("there is no such way".to_owned()))?;
        let parameters = made_up_for(definition, &way);
        let bed = Bed { connector: Arc::clone(&self.connector), read: self.read.clone(), way, parameters };
        let mut bench = Bench::new(&bed, Trouble::default(), Cursors::Steady).await?;
        bench.publish(&log(&bench));
        end(&mut bench).await
    }
}

/// So many requests meet a fault.
const FAULTS: usize = 3;

/// Reads to the end, and compares.
async fn end(bench: &mut Bench) -> Tried {
    bench.read_to_the_end().await.map_err(failed)?;
    bench.compare().map_err(failed)
}

/// Three windows: one of three pages and a record, one of a page to its brim, and one that is cut short by now.
fn log(bench: &Bench) -> Vec<DateTime<Utc>> {
    let (start, size) = (bench.start(), bench.rules().size);
    let logs = bench.logs();
    let window = |index: i32, count: u32| bench.moments(start + size * index, start + size * (index + 1), count * logs);
    let rest = bench.moments(start + size * 2, bench.horizon(), 3 * logs);
    [window(0, 3 * PAGE + 1), window(1, PAGE), rest].concat()
}
