//! The schema takes what the program takes, and refuses what is no word of the language.

use auditline::connector::{Connector, schema};
use auditline::document::{Context, Problems};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value as Json;

use super::connectors;

/// What the program says where a key or a word is not of the language, or one is missing that has to be there.
const STRUCTURAL: [&str; 4] = ["unknown key ", "unknown kind ", "unknown value ", "missing key "];

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("https://example.com/connector", schema()).expect("JSON");
        let index = compiler.compile("https://example.com/connector", &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    /// What is wrong with a file, by its schema.
    fn refusal(&self, file: &Json) -> Option<String> {
        self.schemas.validate(file, self.index).err().map(|error| error.to_string())
    }
}

fn json(text: &str) -> Json {
    let value: toml::Value = toml::from_str(text).expect("TOML");
    serde_json::to_value(value).expect("JSON")
}

/// What is wrong with a file, by the program.
fn mistakes(file: &Json) -> Vec<String> {
    let problems = Problems::new();
    let text = toml::to_string(file).expect("TOML");
    Connector::parse("mutant", "mutant.toml", &text, &Context::new(&problems));
    problems.sorted().iter().map(|problem| problem.message()).collect()
}

/// The tables in a value, by their JSON pointers, those in lists too.
fn tables(value: &Json, at: &str, found: &mut Vec<String>) {
    let pointer = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Json::Object(members) => {
            found.push(at.to_owned());
            members.iter().for_each(|(key, member)| tables(member, &pointer(key), found));
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| tables(item, &pointer(&index.to_string()), found));
        }
        _ => {}
    }
}

/// Everything that is one key away from `file`: a key more, a key less, a value of another type.
fn mutants(file: &Json) -> Vec<(String, Json)> {
    let mut pointers = Vec::new();
    tables(file, "", &mut pointers);
    let mut mutants = Vec::new();
    for pointer in pointers {
        let mutate = |what: String, change: &dyn Fn(&mut serde_json::Map<String, Json>)| {
            let mut mutant = file.clone();
            change(mutant.pointer_mut(&pointer).and_then(Json::as_object_mut).expect("it is a table"));
            (format!("{pointer}: {what}"), mutant)
        };
        mutants
            .push(mutate("`unheard_of`".to_owned(), &|table| drop(table.insert("unheard_of".to_owned(), "x".into()))));
        let members = file.pointer(&pointer).and_then(Json::as_object).expect("it is a table");
        for (key, value) in members {
            let other = if value.is_boolean() { Json::from("x") } else { Json::from(true) };
            mutants.push(mutate(format!("without `{key}`"), &|table| drop(table.remove(key))));
            mutants.push(mutate(format!("`{key} = {other}`"), &|table| drop(table.insert(key.clone(), other.clone()))));
        }
    }
    mutants
}

#[test]
fn every_connector_is_accepted() {
    let validator = Validator::new();
    for (name, text) in connectors() {
        assert_eq!(validator.refusal(&json(&text)), None, "{name}");
    }
}

#[test]
fn what_the_schema_refuses_the_program_refuses_too_and_no_word_escapes_it() {
    let validator = Validator::new();
    let (mut refused, mut wrong) = (0, Vec::new());
    for (name, text) in connectors() {
        for (what, mutant) in mutants(&json(&text)) {
            let (refusal, mistakes) = (validator.refusal(&mutant), mistakes(&mutant));
            refused += usize::from(refusal.is_some());
            let structural = |mistake: &&String| STRUCTURAL.iter().any(|words| mistake.starts_with(words));
            // OCSF has more words than a schema could hold: there the program has the last one.
            let escapes = !what.starts_with("/ocsf/") && mistakes.iter().any(|mistake| structural(&mistake));
            match refusal {
                Some(refusal) if mistakes.is_empty() => {
                    wrong.push(format!("{name}{what}: only the schema says {refusal}"))
                }
                None if escapes => wrong.push(format!("{name}{what}: only the program says {}", mistakes.join(", "))),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 500, "only {refused} mutants were refused");
}

#[test]
fn mistakes_are_refused_where_they_are() {
    let validator = Validator::new();
    let telnyx = connectors().into_iter().find(|(name, _)| name == "telnyx").expect("it is there").1;
    for (piece, instead, place) in [
        ("title =", "titel =", "/connector"),
        ("bearer = \"{api_key}\"", "bearer = \"{api key}\"", "/auth/0"),
        ("bearer = \"{api_key}\"", "bearer = \"{api_key}\"\nbasic = { user = \"\", password = \"\" }", "/auth/0"),
        ("size = \"1d\"", "size = \"1 day\"", "/window/size"),
        ("size = \"1d\"", "size = \"\"", "/window/size"),
        ("order = \"ascending\"", "order = \"descending\"", "/read/pages/order"),
        ("first = 1", "first = -1", "/read/pages/paginate/page/first"),
        ("first = 1", "frist = 1", "/read/pages/paginate/page"),
        ("method = \"GET\"", "method = \"get\"", "/read/pages/request/method"),
        ("records = \"data\"", "records = \"data.\"", "/decode/records"),
        ("rate = \"2/1s\"", "rate = \"0/1s\"", "/limits/rate"),
        ("then = \"retry\"", "then = \"again\"", "/errors/rule/3/then"),
        ("class = \"entity_management\"", "class = \"entity\"", "/ocsf/class"),
    ] {
        let broken = telnyx.replacen(piece, instead, 1);
        assert_ne!(broken, telnyx, "{piece}");
        let refusal = validator.refusal(&json(&broken)).unwrap_or_else(|| panic!("`{instead}` is accepted"));
        assert!(refusal.contains(&format!("'{place}'")), "{instead}: {refusal}");
        assert!(!mistakes(&json(&broken)).is_empty(), "{instead}");
    }
}
