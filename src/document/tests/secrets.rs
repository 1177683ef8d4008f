//! Secrets are found where they are said to be, and never shown.

use std::collections::BTreeMap;

use auditline_sinks::secret::{Origin, Secret};
use serde::Deserialize;

use super::super::{Context, Document, Node, Problems};
use super::{assert_said, read, said};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Source {
    pepper: Option<Secret>,
    api_key: Option<Secret>,
    start: Option<String>,
}

#[test]
fn from_the_environment() {
    let (source, said) = read::<Source>("a.toml", "api_key = { env = \"TOKEN\" }\n");
    let secret = source.unwrap().api_key.unwrap();
    assert_eq!((secret.expose(), secret.origin()), ("from-env", &Origin::Env("TOKEN".to_owned())));
    assert_eq!(said, "");
}

#[test]
fn from_a_file_beside_the_document() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
    let name = folder.path().join("a.toml").display().to_string();
    let (source, said) = read::<Source>(&name, "api_key = { file = \"token\" }\n");
    assert_eq!(source.unwrap().api_key.unwrap().expose(), "from-file");
    assert_eq!(said, "");
}

#[test]
fn what_is_not_there_is_named() {
    assert_said::<Source>(
        "api_key = { env = \"NONE\" }\npepper = { file = \"/nowhere/token\" }\n",
        "\
error: environment variable `NONE` is not set
 --> a.toml:1:19
  |
1 | api_key = { env = \"NONE\" }
  |                   ^^^^^^
  |
  hint: export `NONE`, or use `{ file = \"path\" }`

error: cannot read `/nowhere/token`: No such file or directory (os error 2)
 --> a.toml:2:19
  |
2 | pepper = { file = \"/nowhere/token\" }
  |                   ^^^^^^^^^^^^^^^^
  |
  hint: relative paths begin at the folder of this file
",
    );
}

#[test]
fn a_literal_is_taken_with_a_warning_that_hides_it() {
    let (source, said) = read::<Source>("a.toml", "pepper = \"grains\"\n");
    let secret = source.unwrap().pepper.unwrap();
    assert_eq!((secret.expose(), secret.origin()), ("grains", &Origin::Literal));
    assert_eq!(
        said,
        "\
warning: a secret is written out here
 --> a.toml:1:10
  |
1 | pepper = ***
  |          ^^^
  |
  hint: write `{ env = \"NAME\" }` or `{ file = \"path\" }`
"
    );
}

#[test]
fn other_mistakes_on_the_line_do_not_show_it() {
    assert_said::<BTreeMap<String, Node>>(
        "api_key = \"KEY123\" topic\n",
        "\
error: unexpected key or value, expected newline, `#`
 --> a.toml:1:20
  |
1 | api_key = ***
  |           ^^^
",
    );
    assert_said::<BTreeMap<String, Source>>(
        "a = { api_kye = 'KEY123', start = 1, token = \"KEY123\" }\n",
        "\
error: unknown key `api_kye`
 --> a.toml:1:7
  |
1 | a = { api_kye = ***, start = 1, token = *** }
  |       ^^^^^^^
  |
  hint: did you mean `api_key`? known keys: `pepper`, `api_key`, `start`

error: expected a string, found an integer
 --> a.toml:1:35
  |
1 | a = { api_kye = ***, start = 1, token = *** }
  |                              ^

error: unknown key `token`
 --> a.toml:1:38
  |
1 | a = { api_kye = ***, start = 1, token = *** }
  |                                 ^^^^^
  |
  hint: known keys: `pepper`, `api_key`, `start`
",
    );
}

#[test]
fn no_mistake_about_a_secret_shows_it() {
    for text in [
        "api_key = 5550123",
        "api_key = { value = \"5550123\" }",
        "pepper = { value = \"5550123\" }",
        "pepper = { env = \"TOKEN\", file = \"t\", x = \"5550123\" }",
        "pepper = [\"5550123\"]",
        "pepper = 5550123",
        "pepper = { env = \"sk-5550123\" }",
        "pepper = { env = \"KEY5550123abc\" }",
        "api_key = { env = \"KEY5550123abc\" x }",
        "api_kye = \"5550123\"",
        "api_kye = { env = \"5550123\" }",
        "api_kye = [{ a = \"x\", b = 5550123 }]",
        "api_key = 5550123abc",
        "api_key: \"5550123\"",
        "api_key = \"\"\"\nabc\n5550123 \"x\" \n",
        "[a]\npassword = \"a\"5550123\"",
        "start = 1\nheaders = { authorization = \"5550123 }\n",
        "url = 1\nx = \"https://user:5550123@example.com/?sig=5550123\" 1",
    ] {
        let said = said::<Source>(text);
        assert!(said.starts_with("error"), "{text}\n{said}");
        assert!(!said.contains("5550123"), "{text}\n{said}");
    }
}

#[test]
fn a_secret_in_place_of_a_variables_name_is_hidden() {
    assert_said::<Source>(
        "api_key = { env = \"KEY0123abcd\" }\n",
        "\
error: no environment variable of this name is set, and it looks like a secret itself
 --> a.toml:1:19
  |
1 | api_key = { env = *** }
  |                   ^^^
  |
  hint: export the secret under a name, and write the name here, as in `{ env = \"API_TOKEN\" }`
",
    );
}

#[test]
fn what_an_unknown_key_holds_is_shown_where_it_can_be_no_secret() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        #[allow(dead_code)]
        Kafka(BTreeMap<String, Node>),
    }
    assert_said::<BTreeMap<String, Kind>>(
        "siem = { type = \"kafka\" }\n",
        "\
error: unknown kind `type`
 --> a.toml:1:10
  |
1 | siem = { type = \"kafka\" }
  |          ^^^^
  |
  hint: known kinds: `kafka`
",
    );
}

#[test]
fn a_message_that_quotes_the_secret_is_masked() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Wrong {
        token: url::Url,
    }
    let said = said::<Wrong>("token = \"hunter2\"");
    assert!(said.starts_with("error: relative URL without a base: \"***\"\n"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn credentials_in_a_url_are_hidden() {
    assert_said::<BTreeMap<String, u8>>(
        "url = \"https://user:pass@example.com/a?sig=abc\"\n",
        "\
error: expected a whole number from 0 to 255, found a string
 --> a.toml:1:7
  |
1 | url = \"https://***@example.com/a?***\"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
",
    );
}

#[test]
fn a_node_is_read_as_a_secret_when_it_turns_out_to_be_one() {
    let problems = Problems::new();
    let environment = |name: &str| Some(format!("value of {name}"));
    let context = Context::new(&problems).with_environment(&environment);
    let document = Document::parse("a.toml", "x = { env = \"A\" }\n", &problems).unwrap();
    let nodes: BTreeMap<String, Node> = document.decode(&context).unwrap();
    let secret: Secret = nodes["x"].decode(&context).unwrap();
    assert_eq!(secret.expose(), "value of A");
    assert_eq!(format!("{nodes:?}"), "{\"x\": a table at a.toml:1:5}");
}

#[test]
fn a_string_beside_a_mistake_of_syntax_is_not_shown() {
    assert_said::<BTreeMap<String, Node>>(
        "pepper = \"5550123\" trailing\n",
        "\
error: unexpected key or value, expected newline, `#`
 --> a.toml:1:20
  |
1 | pepper = *** trailing
  |              ^
",
    );
}

#[test]
fn a_value_under_the_caret_of_a_harmless_key_is_shown() {
    assert_said::<BTreeMap<String, Node>>(
        "path = \"C:\\Temp\"\n",
        "\
error: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`
 --> a.toml:1:12
  |
1 | path = \"C:\\Temp\"
  |            ^
",
    );
}

#[test]
fn a_duplicate_secret_a_wrong_kind_and_a_token_in_two_lines_are_hidden() {
    for text in [
        "auth.bearer = \"A5550123\"\nauth.bearer = \"B5550123\"\n",
        "auth = { bearer = \"5550123\" } trailing\n",
        "auth = \"Bearer 5550123\" trailing\n",
        "auth.bearer = \"abc\n5550123\"\n",
        "secret_headers = { A = \"x\", \"bad name\" = \"5550123\" } trailing\n",
        "[x.secret_headers]\nA = 5550123 trailing\n",
        "url = \"https://a:555#0123@example.com/\" x\n",
    ] {
        let said = said::<Source>(text);
        assert!(said.starts_with("error"), "{text}\n{said}");
        assert!(!said.contains("5550123") && !said.contains("0123@"), "{text}\n{said}");
    }
}
