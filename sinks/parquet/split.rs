//! A record in two: what fits the columns of its class, and the rest. Together they are the record.
//!
//! The rest is JSON of the record's own shape. Where a column is empty, the rest has the value as it was; where a column
//! holds a part of an object, the rest has the other members; where it holds a part of a list, the rest has an object whose
//! keys are the places in the list.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{Column, EXTRA, Kind};

/// What a column can take of a value.
enum Fit {
    Whole,
    /// All but this.
    Without(String),
    Nothing,
}

/// Writes the row of a record: an object that has nothing the columns do not take, and what that leaves in [`EXTRA`].
pub fn row(json: &str, columns: &[Column], row: &mut String) {
    let start = row.len();
    let rest = match object(json, columns, row) {
        Fit::Whole => return,
        Fit::Without(rest) => rest,
        Fit::Nothing => {
            row.truncate(start);
            row.push_str("{}");
            json.to_owned()
        }
    };
    let is_empty = row.ends_with('{') || row[start..].len() == 2;
    row.pop();
    if !is_empty {
        row.push(',');
    }
    row.push('"');
    row.push_str(EXTRA);
    row.push_str("\":");
    row.push_str(&quoted(&rest));
    row.push('}');
}

/// Appends to `row` what fits; nothing where nothing does.
fn value(column: &Column, json: &str, row: &mut String) -> Fit {
    if column.list { list(&column.kind, json, row) } else { single(&column.kind, json, row) }
}

fn single(kind: &Kind, json: &str, row: &mut String) -> Fit {
    let fits = match kind {
        Kind::Object(columns) => return object(json, columns, row),
        Kind::Json if json != "null" => {
            row.push_str(&quoted(json));
            return Fit::Whole;
        }
        Kind::Json => false,
        Kind::Text => is_text(json),
        // A minus before a zero would be lost.
        Kind::Integer => json.parse::<i64>().is_ok() && json != "-0",
        Kind::Float => is_exact(json),
        Kind::Boolean => matches!(json, "true" | "false"),
    };
    if !fits {
        return Fit::Nothing;
    }
    row.push_str(json);
    Fit::Whole
}

fn object(json: &str, columns: &[Column], row: &mut String) -> Fit {
    let Ok(Members(members)) = serde_json::from_str(json) else { return Fit::Nothing };
    let mut rest = Rest::default();
    let mut taken = vec![false; columns.len()];
    row.push('{');
    let mut is_first = true;
    for (name, json) in members {
        let column = columns.binary_search_by_key(&name.as_str(), |column| column.name).ok();
        // Of members of one name the first that fits has the column, and the rest has the others.
        let Some(at) = column.filter(|at| !taken[*at]) else {
            rest.add(&quoted(&name), json.get());
            continue;
        };
        let before = row.len();
        if !is_first {
            row.push(',');
        }
        row.push('"');
        row.push_str(columns[at].name);
        row.push_str("\":");
        match value(&columns[at], json.get(), row) {
            Fit::Whole => {}
            Fit::Without(part) => rest.add(&quoted(&name), &part),
            Fit::Nothing => {
                row.truncate(before);
                rest.add(&quoted(&name), json.get());
                continue;
            }
        }
        taken[at] = true;
        is_first = false;
    }
    row.push('}');
    rest.fit()
}

fn list(kind: &Kind, json: &str, row: &mut String) -> Fit {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else { return Fit::Nothing };
    let mut rest = Rest::default();
    row.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            row.push(',');
        }
        match single(kind, item.get(), row) {
            Fit::Whole => {}
            Fit::Without(part) => rest.add(&format!("\"{at}\""), &part),
            Fit::Nothing => {
                row.push_str("null");
                rest.add(&format!("\"{at}\""), item.get());
            }
        }
    }
    row.push(']');
    rest.fit()
}

/// An object under way.
#[derive(Default)]
struct Rest(String);

impl Rest {
    fn add(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(name);
        self.0.push(':');
        self.0.push_str(json);
    }

    fn fit(mut self) -> Fit {
        if self.0.is_empty() {
            return Fit::Whole;
        }
        self.0.push('}');
        Fit::Without(self.0)
    }
}

/// A column holds characters, and half of a surrogate pair is none.
fn is_text(json: &str) -> bool {
    json.starts_with('"') && (!json.contains("\\u") || serde_json::from_str::<String>(json).is_ok())
}

/// Whether a double tells the number's digits: fifteen always survive.
fn is_exact(json: &str) -> bool {
    let mantissa = json.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let in_range = |number: f64| number == 0.0 && !json.contains(['e', 'E']) || (1e-290..1e290).contains(&number.abs());
    is_number && digits <= 15 && json.parse().is_ok_and(in_range)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// The members of an object as they stand there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let column = |name, kind, list| Column { name, kind, list };
        vec![
            column("any", Kind::Json, false),
            column("count", Kind::Integer, false),
            column(
                "items",
                Kind::Object(vec![column("ok", Kind::Boolean, false), column("uid", Kind::Text, false)]),
                true,
            ),
            column("score", Kind::Float, false),
            column("tags", Kind::Text, true),
            column("user", Kind::Object(vec![column("uid", Kind::Text, false)]), false),
        ]
    }

    fn split(json: &str) -> String {
        let mut text = String::new();
        row(json, &columns(), &mut text);
        text
    }

    #[test]
    fn what_fits_is_copied_and_nothing_is_left() {
        for json in [
            "{}",
            r#"{"count":-7,"score":0.25,"tags":["a","\u00e9"],"user":{"uid":"u"},"items":[{"ok":true,"uid":"\"x\""},{}]}"#,
            r#"{"tags":[],"user":{},"items":[]}"#,
        ] {
            assert_eq!(split(json), json);
        }
        assert_eq!(split(r#"{"any":{"a":[1.50,null]}}"#), r#"{"any":"{\"a\":[1.50,null]}"}"#);
    }

    #[test]
    fn what_does_not_fit_is_in_the_rest() {
        for (json, fit, rest) in [
            (r#"{"count":"7","new":1}"#, "{}", r#"{"count":"7","new":1}"#),
            (r#"{"count":9223372036854775808}"#, "{}", r#"{"count":9223372036854775808}"#),
            (r#"{"count":1.0,"any":null,"tags":null}"#, "{}", r#"{"count":1.0,"any":null,"tags":null}"#),
            (r#"{"score":0.12345678901234567}"#, "{}", r#"{"score":0.12345678901234567}"#),
            (r#"{"score":1e400}"#, "{}", r#"{"score":1e400}"#),
            (r#"{"user":{"uid":"u","age":3}}"#, r#"{"user":{"uid":"u"}}"#, r#"{"user":{"age":3}}"#),
            (r#"{"user":{"uid":3}}"#, r#"{"user":{}}"#, r#"{"user":{"uid":3}}"#),
            (r#"{"user":"u","count":1}"#, r#"{"count":1}"#, r#"{"user":"u"}"#),
            (r#"{"tags":["a",1,"\ud83e"]}"#, r#"{"tags":["a",null,null]}"#, r#"{"tags":{"1":1,"2":"\ud83e"}}"#),
            (
                r#"{"items":[{"ok":true},{"uid":"u","x":{}},null]}"#,
                r#"{"items":[{"ok":true},{"uid":"u"},null]}"#,
                r#"{"items":{"1":{"x":{}},"2":null}}"#,
            ),
            (r#"{"count":1,"count":2}"#, r#"{"count":1}"#, r#"{"count":2}"#),
            (r#"{"count":"1","count":2,"count":3}"#, r#"{"count":2}"#, r#"{"count":"1","count":3}"#),
            (r#"{"new":1,"new":2}"#, "{}", r#"{"new":1,"new":2}"#),
            (r#"{"user":{"uid":"u","uid":"v"}}"#, r#"{"user":{"uid":"u"}}"#, r#"{"user":{"uid":"v"}}"#),
            (
                r#"{"user":{"uid":"u","x":1},"user":{"uid":"v"}}"#,
                r#"{"user":{"uid":"u"}}"#,
                r#"{"user":{"x":1},"user":{"uid":"v"}}"#,
            ),
            (r#"{"items":[{"ok":true,"ok":false}]}"#, r#"{"items":[{"ok":true}]}"#, r#"{"items":{"0":{"ok":false}}}"#),
            (r#"{"any":{"k":1,"k":2},"any":3}"#, r#"{"any":"{\"k\":1,\"k\":2}"}"#, r#"{"any":3}"#),
            (r#"{"a\nb":1}"#, "{}", r#"{"a\nb":1}"#),
            (r#"[1]"#, "{}", "[1]"),
            (r#"{"\ud83e":1,"count":1}"#, "{}", r#"{"\ud83e":1,"count":1}"#),
        ] {
            let separator = if fit == "{}" { "" } else { "," };
            let expected = format!("{}{separator}\"extra\":{}}}", &fit[..fit.len() - 1], quoted(rest));
            assert_eq!(split(json), expected, "{json}");
        }
    }
}
