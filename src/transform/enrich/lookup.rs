//! `lookup`: what a table of the operator's says of a value in the event.

use std::sync::Arc;

use super::super::Watched;
use super::Kind;
use super::draft::{Draft, Finding, Form};
use super::kept::Kept;
use super::spots::Spots;
use super::table::Table;
use crate::event::{Member, Value};

/// Takes from the row of the first value that the table knows.
pub struct Lookup {
    table: Arc<Kept<Table>>,
    from: Spots,
    names: Vec<String>,
}

impl Lookup {
    /// The columns that were taken are called `names` in the event.
    #[must_use]
    pub fn new(table: Arc<Kept<Table>>, from: Spots, names: Vec<String>) -> Self {
        Self { table, from, names }
    }
}

impl Kind for Lookup {
    fn add<'a>(&self, body: Value<'a>, draft: &mut Draft<'a>) {
        let table = self.table.now();
        let known = |(spot, value): (_, &'a str)| Some((spot, value, table.find(value)?));
        let Some((spot, value, row)) = self.from.texts(draft.form, body).find_map(known) else { return };
        let cells = self.names.iter().zip(table.row(row)).filter(|(_, text)| !text.is_empty());
        if draft.form != Form::Ocsf {
            return cells.for_each(|(name, text)| draft.field(name, text));
        }
        let arena = draft.arena;
        let member =
            |(name, text): (&String, &str)| Member::new(arena.alloc_str(name), Value::String(arena.alloc_str(text)));
        let data = bumpalo::collections::Vec::from_iter_in(cells.map(member), arena).into_bump_slice();
        let name = &spot.name;
        draft.enrichment(&Finding { name, value, kind: "lookup", provider: self.table.name(), data });
    }

    fn watched(&self) -> Option<Arc<dyn Watched>> {
        Some(Arc::clone(&self.table) as _)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table::{Match, Shape};
    use super::super::tests::{apply, apply_json, ecs, valid_ocsf};
    use super::*;

    const PEOPLE: &str = "email,team,cost\nanna@mail.corp.example,blue,7\nbo@corp.example,,\n";

    fn lookup(from: &[&str]) -> Lookup {
        named(from, ["team", "cost_center"])
    }

    fn named(from: &[&str], names: [&str; 2]) -> Lookup {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        std::fs::write(&path, PEOPLE).unwrap();
        let take = vec!["team".to_owned(), "cost".to_owned()];
        let shape = Shape { by: "email".to_owned(), take, matching: Match::Exact, case_sensitive: false };
        let (table, _) = Kept::open(&path, Box::new(move |path| Table::read(path, &shape))).unwrap();
        let from = Spots::own(from.iter().map(|path| path.parse().unwrap()).collect());
        Lookup::new(Arc::new(table), from, names.map(ToOwned::to_owned).into())
    }

    #[test]
    fn ocsf_has_it_among_its_enrichments() {
        let event = valid_ocsf(lookup(&["user.email_addr", "actor.user.email_addr"]));
        let expected = json!([{
            "name": "actor.user.email_addr", "value": "Anna@mail.corp.example", "type": "lookup",
            "provider": "people.csv", "data": { "team": "blue", "cost_center": "7" },
        }]);
        assert_eq!(event["enrichments"], expected);
    }

    #[test]
    fn ecs_has_it_as_labels_and_an_envelope_as_fields() {
        let event = apply_json(lookup(&["user.email"]), &ecs());
        assert_eq!(event["labels"], json!({ "team": "blue", "cost_center": "7" }));
        let dotted = apply_json(named(&["user.email"], ["org.team", "org.cost"]), &ecs());
        assert_eq!(dotted["labels"], json!({ "org_team": "blue", "org_cost": "7" }));
        let body = r#"{"id":"r-1","record":{"who":["nobody","ANNA@mail.corp.example"]}}"#;
        let found = apply(lookup(&["record.who"]), body);
        assert!(found.ends_with(r#""fields":{"team":"blue","cost_center":"7"}}"#), "{found}");
    }

    #[test]
    fn what_is_absent_or_unknown_adds_nothing() {
        for who in ["null", "7", "true", "{}", "[[]]", "\"\"", "\"carla@corp.example\"", "\"bo@corp.example\""] {
            for form in [r#""id":"r-1""#, r#""ecs":{"version":"8"}"#, r#""class_uid":1,"metadata":{}"#] {
                let body = format!(r#"{{{form},"who":{who}}}"#);
                assert_eq!(apply(lookup(&["who", "none"]), &body), body);
            }
        }
    }

    #[test]
    fn of_several_values_the_first_that_is_known_counts() {
        let body = r#"{"a":"bo@corp.example","b":"anna@mail.corp.example"}"#;
        assert_eq!(apply(lookup(&["a", "b"]), body), body, "his row says nothing");
        assert!(apply(lookup(&["none", "b", "a"]), body).contains("blue"));
    }
}
