use std::path::Path;

use super::*;

/// The Telnyx connector with these examples at its end, in a file of its own.
fn subject(folder: &Path, examples: &str) -> Subject {
    let text = crate::connector::source("telnyx").unwrap();
    let (definition, _) = text.split_once("[[example]]").unwrap();
    let path = folder.join("telnyx.toml");
    let problems = Problems::new();
    let subject = Subject::of_text(&path, format!("{definition}{examples}"), &Context::new(&problems));
    let subject = subject.unwrap_or_else(|| panic!("{problems}"));
    std::fs::write(path, &subject.text).unwrap();
    subject
}

/// What blessing makes of these examples: the end of the file.
fn blessed_examples(examples: &str) -> Result<String, BlessError> {
    let folder = tempfile::tempdir().unwrap();
    let subject = subject(folder.path(), examples);
    let all = &subject.connector.definition.example;
    let found: Vec<_> = all.iter().map(|example| (&example.value, run(&subject.connector, example))).collect();
    let result = write(&subject, &found);
    let text = std::fs::read_to_string(folder.path().join("telnyx.toml")).unwrap();
    let (before, _) = subject.text.split_once("[[example]]").unwrap();
    let after = text.strip_prefix(before).expect("what stands before the examples is left alone").to_owned();
    if result.is_err() {
        assert_eq!(text, subject.text, "wholly or not at all");
    }
    result.map(|()| after)
}

/// What becomes of a record with nothing but this id.
fn event(id: &str) -> String {
    format!(
        concat!(
            r#"{{"activity_id":0,"activity_name":"Unknown","category_name":"Identity & Access Management","#,
            r#""category_uid":3,"class_name":"Entity Management","class_uid":3004,"#,
            r#""entity":{{"type":"Unknown","type_id":0,"uid":"unknown"}},"metadata":{{"log_name":"telnyx","#,
            r#""product":{{"name":"Telnyx","vendor_name":"Telnyx"}},"uid":{},"version":"1.8.0"}},"#,
            r#""severity":"Informational","severity_id":1,"status":"Success","status_id":1,"time":0,"#,
            r#""type_name":"Entity Management: Unknown","type_uid":300400}}"#
        ),
        id
    )
}

#[test]
fn what_is_found_takes_the_place_of_what_was_expected_and_the_rest_stays() {
    let examples = r#"[[example]]
name = "wrong"
answer = '{"data":[{"id":"1"}]}' # kept
events = [  # this goes
  '{}',
] # and this stays

# kept, too
[[example]]
name = "new"
answer = '{"data":[{"id":"2"},{"id":"3"}]}'
status = 200

[[example]]
name = "an error now"
events = []
answer = '''{"errors":[{"code":"1","title":"say \"no\""}]}'''
status = 403
"#;
    let expected = format!(
        r#"[[example]]
name = "wrong"
answer = '{{"data":[{{"id":"1"}}]}}' # kept
events = [
  '''{}''',
] # and this stays

# kept, too
[[example]]
name = "new"
answer = '{{"data":[{{"id":"2"}},{{"id":"3"}}]}}'
events = [
  '''{}''',
  '''{}''',
]
status = 200

[[example]]
name = "an error now"
error = 'Telnyx answered HTTP 403: 1: say "no"'
answer = '''{{"errors":[{{"code":"1","title":"say \"no\""}}]}}'''
status = 403
"#,
        event("\"1\""),
        event("\"2\""),
        event("\"3\"")
    );
    assert_eq!(blessed_examples(examples).unwrap(), expected);
}

#[test]
fn quotes_in_an_event_do_not_end_it() {
    let examples = "[[example]]\nname = \"quotes\"\nanswer = \"{\\\"data\\\":[{\\\"id\\\":\\\"a'''b\\\"}]}\"\n";
    let blessed = blessed_examples(examples).unwrap();
    assert!(blessed.contains(r#""uid":"a\u0027\u0027\u0027b""#), "{blessed}");
}

#[test]
fn what_cannot_be_changed_in_place_is_left_alone() {
    let examples = "[[example]]\nname = \"x\"\nanswer = '{\"data\":[{\"id\":\"1\"}]}'\n";
    let folder = tempfile::tempdir().unwrap();
    let subject = subject(folder.path(), examples);
    let (before, _) = subject.text.split_once("[[example]]").unwrap();
    let inline =
        format!("example = [{{ name = \"x\", answer = '{{\"data\":[{{\"id\":\"1\"}}]}}', events = [] }}]\n{before}");
    let problems = Problems::new();
    let path = folder.path().join("inline.toml");
    let subject = Subject::of_text(&path, inline, &Context::new(&problems)).unwrap_or_else(|| panic!("{problems}"));
    let example = &subject.connector.definition.example[0];
    let error = write(&subject, &[(&example.value, run(&subject.connector, example))]).unwrap_err();
    let expected = format!(
        "`x` in `{}` cannot be changed in place: write it as an `[[example]]` with one key a line",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(!path.exists());
}

#[test]
fn an_example_has_no_words_for_dead_letters() {
    let page = |dead_letters: &[&str]| Outcome::Records {
        events: Vec::new(),
        dead_letters: dead_letters.iter().map(|reason| (*reason).to_owned()).collect(),
    };
    assert!(can_say(&page(&[])) && !can_say(&page(&["expected an object, found a list"])));
}
