//! `auditline redact`: a file as a pipeline's redaction would leave it, or what it finds there.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::Args;

use super::input::Input;
use super::redactions;
use super::table::{Table, thousands};
use super::{DONE, FAILED, WRONG};
use crate::event::{Arena, Value, json};
use crate::transform::Transform;
use crate::transform::redact::{Detector, EmailAction, Hits, IpAction, Policy, Redact, Redactor, Tally, TextAction};

/// Redact a file of events or any text as a pipeline would, to standard output. Without a pipeline everything is looked
/// for, and masked.
#[derive(Debug, Args)]
pub struct Redaction {
    /// The file; standard input without one.
    file: Option<PathBuf>,
    /// Say what was found, where, and what it becomes, in place of the text.
    #[arg(long)]
    explain: bool,
    /// With --explain, say what it was that was found. That is what redaction is to hide.
    #[arg(long, requires = "explain")]
    show_found: bool,
    /// Redact as this pipeline does. Its fields are those of events: give it what was normalized as it says.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    #[command(flatten)]
    input: Input,
}

impl Redaction {
    pub async fn main(self) -> u8 {
        let transforms = match &self.pipeline {
            Some(name) => redactions::of_pipeline(&self.input, name),
            None => Some(vec![Box::new(everything()) as Box<dyn Transform>]),
        };
        let Some(transforms) = transforms else { return WRONG };
        let steps: Vec<&Redact> = transforms.iter().filter_map(|transform| transform.as_redact()).collect();
        let input: Box<dyn BufRead> = match &self.file {
            None => Box::new(BufReader::new(std::io::stdin())),
            Some(path) => match std::fs::File::open(path) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => {
                    eprintln!("error: cannot read `{}`: {error}", path.display());
                    return WRONG;
                }
            },
        };
        let mut work = Work { steps, block: String::new(), block_at: 1, show_found: self.show_found, explained: None };
        work.explained = self.explain.then(Hits::default);
        match work.run(input, &mut std::io::stdout().lock()) {
            Ok(()) => DONE,
            Err(reason) => {
                eprintln!("error: {reason}");
                FAILED
            }
        }
    }
}

/// So many hits are looked for in vain before no more are.
const MOST_MISSES: usize = 16;

/// Everything that can be looked for, masked.
fn everything() -> Redact {
    let texts = Some(TextAction::Mask);
    let policy = Policy {
        emails: Some(EmailAction::Mask),
        ips: Some(IpAction::Mask),
        phones: texts,
        jwts: texts,
        api_keys: texts,
        cards: texts,
        ..Policy::default()
    };
    Redact::new(Redactor::new(policy).expect("masking needs no key"))
}

/// Goes through the input: lines that are JSON one by one, others together, for what goes over several lines.
struct Work<'s> {
    steps: Vec<&'s Redact>,
    /// Lines of text that wait for the next that is JSON, and the number of the first.
    block: String,
    block_at: usize,
    show_found: bool,
    /// What was found in all, where it is told and not replaced.
    explained: Option<Hits>,
}

impl Work<'_> {
    fn run(&mut self, mut input: impl BufRead, out: &mut impl Write) -> Result<(), String> {
        let mut bytes = Vec::new();
        let mut number = 0;
        loop {
            bytes.clear();
            input.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot read: {error}"))?;
            if bytes.is_empty() {
                break;
            }
            number += 1;
            let line = String::from_utf8_lossy(&bytes);
            let arena = Arena::new();
            match json::decode(line.trim_end().as_bytes(), &arena) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                    self.end_block(out)?;
                    self.event(value, &line, number, &arena, out)?;
                    self.block_at = number + 1;
                }
                _ => self.block.push_str(&line),
            }
        }
        self.end_block(out)?;
        if let Some(hits) = self.explained {
            summary(&hits);
        }
        Ok(())
    }

    fn event<'a>(
        &mut self,
        mut value: Value<'a>,
        line: &str,
        number: usize,
        arena: &'a Arena,
        out: &mut impl Write,
    ) -> Result<(), String> {
        let mut told = Told { number, path: Vec::new(), hits: Vec::new() };
        let mut is_changed = false;
        for step in &self.steps {
            if let Some(changed) = step.value(value, arena, &mut told) {
                value = changed;
                is_changed = true;
            }
        }
        match (&self.explained, is_changed) {
            (Some(_), _) => self.tell(told, "", out),
            (None, true) => write(out, &format!("{}\n", json::to_string(&value))),
            (None, false) => write(out, line),
        }
    }

    fn end_block(&mut self, out: &mut impl Write) -> Result<(), String> {
        let block = std::mem::take(&mut self.block);
        if block.is_empty() {
            return Ok(());
        }
        let mut text = block;
        for at in 0..self.steps.len() {
            let mut told = Told { number: self.block_at, path: Vec::new(), hits: Vec::new() };
            let redacted = self.steps[at].line(&text, &mut told);
            if self.explained.is_some() {
                self.tell(told, &text, out)?;
            }
            text = redacted.unwrap_or(text);
        }
        if self.explained.is_some() { Ok(()) } else { write(out, &text) }
    }

    /// A row for everything that was found.
    fn tell(&mut self, told: Told, block: &str, out: &mut impl Write) -> Result<(), String> {
        let (mut from, mut number, mut misses) = (0, told.number, 0);
        for hit in told.hits {
            // Hits come in the order of the text, but for the few that only a second look finds: those are not looked for
            // without end.
            let at = if misses < MOST_MISSES { block[from..].find(&hit.found) } else { None };
            let lines = |text: &str| text.matches('\n').count();
            let behind = match at {
                Some(at) => {
                    number += lines(&block[from..from + at]);
                    from += at + hit.found.len();
                    lines(&hit.found)
                }
                None => {
                    misses += 1;
                    0
                }
            };
            let path = if hit.path.is_empty() { "-".to_owned() } else { self.shown_path(&hit.path) };
            let stand_in = if hit.stand_in.is_empty() { "(removed)" } else { &hit.stand_in };
            let mut row = format!("{number}\t{path}\t{}\t{stand_in}", hit.detector.name());
            if self.show_found {
                row.push('\t');
                row.push_str(&hit.found.replace(['\n', '\t'], " "));
            }
            row.push('\n');
            write(out, &row)?;
            number += behind;
            if let Some(hits) = &mut self.explained {
                hits.count(hit.detector);
            }
        }
        Ok(())
    }

    /// A path may hold addresses as well: keys of objects do.
    fn shown_path(&self, path: &[String]) -> String {
        let mut shown = path.join(".");
        for step in &self.steps {
            shown = step.line(&shown, &mut Hits::default()).unwrap_or(shown);
        }
        shown
    }
}

fn write(out: &mut impl Write, text: &str) -> Result<(), String> {
    out.write_all(text.as_bytes()).map_err(|error| format!("cannot write to standard output: {error}"))
}

/// What was found in a line, or in several.
struct Told {
    number: usize,
    path: Vec<String>,
    hits: Vec<Hit>,
}

struct Hit {
    path: Vec<String>,
    detector: Detector,
    found: String,
    stand_in: String,
}

impl Tally for Told {
    fn hit(&mut self, detector: Detector, found: &str, stand_in: &str) {
        let (found, stand_in) = (found.to_owned(), stand_in.to_owned());
        self.hits.push(Hit { path: self.path.clone(), detector, found, stand_in });
    }

    fn enter(&mut self, part: &str) {
        self.path.push(part.to_owned());
    }

    fn leave(&mut self) {
        self.path.pop();
    }
}

fn summary(hits: &Hits) {
    let mut table = Table::new(["DETECTOR", "FOUND"]);
    for detector in Detector::ALL.into_iter().filter(|detector| hits[*detector] > 0) {
        table.row([detector.name().to_owned(), thousands(hits[detector])]);
    }
    if hits.total() == 0 {
        eprintln!("nothing was found");
    } else {
        eprint!("\n{table}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The same address once more was told to be where it was first, and lines were counted from the first for every hit.
    #[test]
    fn explain_tells_the_line_of_each_of_many() {
        let everything = everything();
        let text = "203.0.113.4 and 203.0.113.4\n\nby 203.0.113.4\n".repeat(1000);
        let mut work = Work {
            steps: vec![&everything],
            block: text,
            block_at: 5,
            show_found: false,
            explained: Some(Hits::default()),
        };
        let mut out = Vec::new();
        work.end_block(&mut out).unwrap();
        let rows = String::from_utf8(out).unwrap();
        let lines: Vec<usize> = rows.lines().map(|row| row.split('\t').next().unwrap().parse().unwrap()).collect();
        assert_eq!(lines[..6], [5, 5, 7, 8, 8, 10]);
        assert_eq!((lines.len(), lines.last()), (3000, Some(&(5 + 2999))));
    }
}
