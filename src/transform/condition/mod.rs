//! The language of `match`: what an event or a vendor's record must be like for a rule to apply.
//!
//! ```toml
//! match = { action = "login" }                               # a word, without regard to case
//! match = { action = ["login", "sso_*"], code = 401 }        # one of these words, and this number
//! match = { "actor.user.name" = { exists = true } }          # there is something, or with `false` nothing
//! match = { "api.operation" = { prefix = ["Get", "List"] } } # how a text begins, to the letter but for case
//! match = { "src_endpoint.ip" = { cidr = "10.0.0.0/8" } }    # an address of a network, or of one of a list
//! match = { "src_endpoint.ip" = { not = { cidr = "10.0.0.0/8" } }, action = { not = "logout" } }
//! match = [{ action = "login" }, { code = 401 }]             # of a list of tables one must hold
//! ```
//!
//! In a table all must hold. A path may be written in quotes or without. What is not there fulfils `not` and
//! `exists = false`, and no other test.

mod critic;
mod test;
mod words;

pub use self::critic::{Critic, suggest};
use self::test::Test;
pub use self::words::{Pattern, Words, word};
use crate::document::{Node, Problems, Severity, Spanned};
use crate::event::{Path, Value};

/// What must stand at one place of a record.
#[derive(Debug)]
pub struct Condition {
    /// What is looked at.
    pub path: Path,
    test: Test,
}

impl Condition {
    /// Whether it holds for what stands at the path, `null` where nothing does.
    #[must_use]
    pub fn holds(&self, value: Value) -> bool {
        self.test.holds(value)
    }

    /// Reads a `match` table, in which a dotted key may be quoted or not.
    pub fn read_all(table: &Node, critic: Critic) -> Vec<Self> {
        let mut conditions = Vec::new();
        match table.as_table() {
            Some(_) => Self::collect(table, "", critic, &mut conditions),
            None => critic.error(&table.place(), format!("expected a table, found {}", table.kind()), None),
        }
        conditions
    }

    /// What a `match` asks for, in short, for people: `action login, sso_*; user.id exists true`.
    #[must_use]
    pub fn describe_all(wanted: &Node) -> String {
        let tables = wanted.as_array().unwrap_or(std::slice::from_ref(wanted));
        let mut told = Vec::new();
        if let Some(first) = tables.first() {
            Self::describe(first, "", &mut told);
        }
        told.join("; ") + if tables.len() > 1 { "; or …" } else { "" }
    }

    /// The paths that a `match` names, each with its place and its test. What is no path is left out.
    #[must_use]
    pub fn paths(wanted: &Node) -> Vec<(Spanned<Path>, &Node)> {
        let mut found = Vec::new();
        for table in wanted.as_array().unwrap_or(std::slice::from_ref(wanted)) {
            Self::gather(table, "", &mut found);
        }
        found
    }

    /// What a test asks for, in short: `login, sso_*`, `cidr 10.0.0.0/8`.
    #[must_use]
    pub fn describe_test(test: &Node) -> String {
        test::described(test)
    }

    fn gather<'n>(table: &'n Node, above: &str, found: &mut Vec<(Spanned<Path>, &'n Node)>) {
        for (key, node) in table.as_table().into_iter().flatten() {
            let text = if above.is_empty() { key.value.clone() } else { format!("{above}.{}", key.value) };
            match node.as_table().is_some() && !test::is_meant(node) {
                true => Self::gather(node, &text, found),
                // That is told by who reads it.
                false if sign_of_another_language(&text).is_some() => {}
                false => found.extend(text.parse().ok().map(|path| (Spanned::new(path, key.place.clone()), node))),
            }
        }
    }

    fn describe(table: &Node, above: &str, told: &mut Vec<String>) {
        for (key, node) in table.as_table().into_iter().flatten() {
            let path = if above.is_empty() { key.value.clone() } else { format!("{above}.{}", key.value) };
            match node.as_table().is_some() && !test::is_meant(node) {
                true => Self::describe(node, &path, told),
                false => told.push(format!("{path} {}", test::described(node))),
            }
        }
    }

    fn collect(table: &Node, above: &str, critic: Critic, out: &mut Vec<Self>) {
        for (key, node) in table.as_table().into_iter().flatten() {
            let text = if above.is_empty() { key.value.clone() } else { format!("{above}.{}", key.value) };
            if node.as_table().is_some() && !test::is_meant(node) {
                Self::collect(node, &text, critic, out);
                continue;
            }
            if let Some(sign) = sign_of_another_language(&text) {
                let hint =
                    "a number picks from a list: `resources.0.uid`; a name with such a character is written in quotes";
                let message = format!("`{text}` is not a path: `{sign}` has no meaning in it");
                critic.error(&key.place, message, Some(hint.to_owned()));
                continue;
            }
            match text.parse() {
                Ok(path) => out.extend(Test::read(node, &text, critic).map(|test| Self { path, test })),
                Err(error) => critic.error(&key.place, error.to_string(), None),
            }
        }
    }
}

/// What selects in paths elsewhere (`$.a`, `a[0]`, `a.*`) and would be looked for as a part of a name here. In quotes it is one.
fn sign_of_another_language(path: &str) -> Option<char> {
    path.split('"').step_by(2).find_map(|plain| plain.chars().find(|sign| ['*', '[', '$'].contains(sign)))
}

/// A whole `match`, for an event as it is when it comes by.
#[derive(Debug)]
pub struct Matcher {
    /// Of these sets one must hold.
    sets: Vec<Vec<Condition>>,
}

impl Matcher {
    /// Reads a table of conditions, or a list of such tables. `None` if there is a mistake; all of them are in `problems`.
    pub fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let before = problems.count(Severity::Error);
        let critic = Critic { problems, silent: false };
        let tables = node.as_array().unwrap_or(std::slice::from_ref(node));
        let sets: Vec<_> = tables.iter().map(|table| Condition::read_all(table, critic)).collect();
        let well = problems.count(Severity::Error) == before;
        if well && (sets.is_empty() || sets.iter().any(Vec::is_empty)) {
            let hint = "say what must stand where: `{ action = \"login\" }`, for one".to_owned();
            critic.error(&node.head(), "there is no condition here", Some(hint));
            return None;
        }
        well.then_some(Self { sets })
    }

    /// Whether an event with this body is meant.
    #[must_use]
    pub fn holds(&self, body: Value) -> bool {
        let one = |condition: &Condition| condition.holds(condition.path.find(body).unwrap_or(Value::Null));
        self.sets.iter().any(|set| set.iter().all(one))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::document::Document;
    use crate::event::{Arena, Event, json};

    /// What `match = …` makes, or else the mistakes with their columns.
    pub fn matcher(written: &str) -> Result<Matcher, Vec<String>> {
        let problems = Problems::default();
        let document = Document::parse("a.toml", &format!("match = {written}"), &problems).expect("TOML");
        let read = Matcher::read(document.root().get("match").unwrap(), &problems);
        read.ok_or_else(|| problems.sorted().iter().map(ToString::to_string).collect())
    }

    /// An event with that body.
    pub fn event<'a>(id: &str, body: &str, arena: &'a Arena) -> Event<'a> {
        let body = json::decode(body.as_bytes(), arena).expect("JSON");
        Event { id: arena.alloc_str(id), time: chrono::DateTime::UNIX_EPOCH, body }
    }

    fn holds(written: &str, body: &str) -> bool {
        let arena = Arena::new();
        matcher(written).unwrap().holds(json::decode(body.as_bytes(), &arena).unwrap())
    }

    #[test]
    fn in_a_table_all_must_hold_and_of_a_list_one() {
        let both = r#"{ a.b = ["x", "y*"], n = 5 }"#;
        assert!(holds(both, r#"{"a":{"b":"Yes"},"n":5}"#));
        assert!(!holds(both, r#"{"a":{"b":"yes"},"n":6}"#));
        let either = r#"[{ "a.b" = "x" }, { n = [5, 7], flag = true }]"#;
        assert!(holds(either, r#"{"a":{"b":"X"}}"#));
        assert!(holds(either, r#"{"n":"7","flag":true}"#));
        assert!(!holds(either, r#"{"n":7}"#));
    }

    #[test]
    fn what_is_not_there_fulfils_not_and_exists_false_alone() {
        for body in ["{}", r#"{"a":null}"#, r#"{"a":""}"#, r#"{"a":[]}"#, "[1]"] {
            for test in [r#"{ not = "x" }"#, r#"{ not = { cidr = "::/0" } }"#, "{ exists = false }"] {
                assert!(holds(&format!("{{ a = {test} }}"), body), "{test} of {body}");
            }
            for test in ["\"*\"", r#"{ prefix = "x" }"#, r#"{ cidr = "::/0" }"#, "{ exists = true }"] {
                assert!(!holds(&format!("{{ a = {test} }}"), body), "{test} of {body}");
            }
        }
        assert!(!holds("{ a = { not = { exists = true } } }", r#"{"a":0}"#));
    }

    #[test]
    fn a_prefix_is_taken_to_the_letter_but_for_case() {
        let prefix = r#"{ op = { prefix = ["Get", "*x"] } }"#;
        for (op, fits) in
            [("get", true), ("GETAll", true), ("*X1", true), ("xx", false), ("ge", false), ("forget", false)]
        {
            assert_eq!(holds(prefix, &format!(r#"{{"op":"{op}"}}"#)), fits, "{op}");
        }
    }

    #[test]
    fn an_address_is_of_a_network_in_whatever_form_it_is_written() {
        let private = r#"{ ip = { cidr = ["10.0.0.0/8", "192.0.2.7", "fe80::/10", "::ffff:172.16.0.0/108"] } }"#;
        for ip in
            ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203", "192.0.2.7", "fe80::1%eth0", "FE80::1", "172.16.9.9"]
        {
            assert!(holds(private, &format!(r#"{{"ip":"{ip}"}}"#)), "{ip}");
        }
        for ip in ["11.0.0.1", "192.0.2.8", "::10.1.2.3", "10.1.2", "10.1.2.3/32", "ten", "", "172.32.0.1", "fe80::1%"]
        {
            assert!(!holds(private, &format!(r#"{{"ip":"{ip}"}}"#)), "{ip}");
        }
    }

    #[test]
    fn mistakes_are_told_where_they_stand() {
        for (written, expected) in [
            ("{}", "there is no condition here"),
            ("[]", "there is no condition here"),
            ("[{ a = 1 }, {}]", "there is no condition here"),
            ("5", "expected a table, found an integer"),
            ("{ a = [] }", "there is no word in this list"),
            ("{ a = { cidr = \"10.0.0.0/33\" } }", "`10.0.0.0/33` is no network"),
            ("{ a = { cidr = \"10.1.2.3/8\" } }", "`10.1.2.3/8` names an address and not a network"),
            ("{ a = { cidr = 10 } }", "expected a network or a list of networks, found an integer"),
            ("{ a = { prefix = 1 } }", "expected a text or a list of texts, found an integer"),
            ("{ a = { prefix = \"\" } }", "every text begins with nothing"),
            ("{ a = { prefix = [] } }", "there is no text in this list"),
            ("{ a = { prefx = \"x\" } }", "unknown test `prefx`"),
            ("{ a = { prefix = \"x\", not = \"y\" } }", "there are several tests here"),
            ("{ a = { not = { b = 1 } } }", "unknown test `b`"),
            ("{ a = { exists = 1 } }", "expected `true` or `false`, found an integer"),
            ("{ a = { } }", "there is no condition here"),
            ("{ \"a..b\" = 1 }", "`a..b` is not a path: a part of it is empty"),
            ("{ \"a.*.b\" = 1 }", "`a.*.b` is not a path: `*` has no meaning in it"),
            ("{ \"a[0].b\" = 1 }", "`a[0].b` is not a path: `[` has no meaning in it"),
            ("{ \"$.a\" = 1 }", "`$.a` is not a path: `$` has no meaning in it"),
            ("{ a = \"\" }", "an empty text is no word"),
            ("{ a = [\"x\", \"\"] }", "an empty text is no word"),
            ("{ a = { not = \"\" } }", "an empty text is no word"),
            ("{ a = { equals = \"login\" } }", "unknown test `equals`"),
            ("{ a.b = { in = [\"login\"] } }", "unknown test `in`"),
            ("{ a = { not = { contains = \"x\" } } }", "unknown test `contains`"),
            ("{ a = { gt = 5 } }", "unknown test `gt`"),
        ] {
            let told = matcher(written).unwrap_err();
            assert!(told.len() == 1 && told[0].contains(expected), "{written}: {told:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_told_in_short() {
        let told = |written: &str| {
            let problems = Problems::default();
            let document = Document::parse("a.toml", &format!("match = {written}"), &problems).expect("TOML");
            Condition::describe_all(document.root().get("match").unwrap())
        };
        let both =
            r#"{ action = ["a", "b", "c", "d"], user.id = { exists = true }, "n.m" = { not = { prefix = "x" } } }"#;
        assert_eq!(told(both), "action a, b, c, …; user.id exists true; n.m not prefix x");
        assert_eq!(told("[{ code = 401 }, { code = 403 }]"), "code 401; or …");
        assert_eq!(told("{}"), "");
    }

    #[test]
    fn a_network_that_is_written_as_a_word_is_told() {
        let problems = Problems::default();
        let document = Document::parse("a.toml", r#"match = { ip = "10.0.0.0/8", path = "a/8" }"#, &problems).unwrap();
        assert!(Matcher::read(document.root().get("match").unwrap(), &problems).is_some());
        let told: Vec<String> = problems.sorted().iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains("{ cidr = \"10.0.0.0/8\" }"), "{told:?}");
    }

    #[test]
    fn a_path_that_is_called_like_a_test_is_written_in_quotes() {
        assert!(holds(r#"{ "a.prefix" = "x" }"#, r#"{"a":{"prefix":"x"}}"#));
        assert!(holds(r#"{ "a.equals" = "x" }"#, r#"{"a":{"equals":"x"}}"#));
        assert!(holds(r#"{ in = "x" }"#, r#"{"in":"x"}"#));
        assert!(holds(r#"{ '"$a".b' = "x" }"#, r#"{"$a":{"b":"x"}}"#));
        let told = matcher(r#"{ a.cidr.b = "x" }"#).unwrap_err();
        assert!(told[0].contains("expected a network or a list of networks, found a table"), "{told:?}");
    }
}
