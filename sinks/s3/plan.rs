//! What becomes of a batch: the same objects with the same records each time.

use super::pack::Rows;
use super::{Config, Format};
use crate::ocsf::{self, Class};
use crate::template::Place;
use crate::{Batch, Record};

/// One object, and what it will hold.
pub(super) struct Part {
    pub key: String,
    pub rows: Rows,
}

/// An object for each prefix and, where objects are tables, for each class. Reads every record where names or classes depend
/// on what is in it.
pub(super) fn parts(config: &Config, batch: &Batch) -> Vec<Part> {
    let name = batch.key();
    let key = |prefix: &str, class| format!("{prefix}{name}{}", config.suffix(class));
    let mut parts = Vec::new();
    for (prefix, records) in config.prefix.group(batch, Place::Path) {
        match config.format {
            Format::Ndjson => {
                let lines = records.into_iter().map(|record| record.json.clone()).collect();
                parts.push(Part { key: key(&prefix, None), rows: Rows::Lines(lines, config.compression()) });
            }
            Format::Parquet => parts.extend(by_class(records).into_iter().map(|(class, records)| {
                let records = records.into_iter().cloned().collect();
                Part { key: key(&prefix, class), rows: Rows::Table(class, records) }
            })),
        }
    }
    parts
}

/// Classes in the order they first occur.
fn by_class(records: Vec<&Record>) -> Vec<(Option<&'static Class>, Vec<&Record>)> {
    let mut classes: Vec<(Option<&Class>, Vec<&Record>)> = Vec::new();
    for record in records {
        let class = ocsf::class_of(&record.json);
        let uid = class.map(|class| class.uid);
        match classes.iter_mut().find(|(class, _)| class.map(|class| class.uid) == uid) {
            Some((_, records)) => records.push(record),
            None => classes.push((class, vec![record])),
        }
    }
    classes
}
