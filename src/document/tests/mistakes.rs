//! Each kind of mistake, alone and in company.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use auditline_sinks::units::{ByteSize, HumanDuration};
use serde::Deserialize;

use super::super::{Node, Spanned};
use super::{assert_said, read, said};

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Config {
    state_dir: Option<String>,
    server: Option<Server>,
    #[serde(default)]
    sinks: BTreeMap<Spanned<String>, SinkKind>,
    #[serde(default)]
    transform: Vec<Transform>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Server {
    listen: std::net::SocketAddr,
    workers: Option<u8>,
    rate: Option<NonZeroU32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum SinkKind {
    Kafka(Kafka),
    File { path: String, max_size: ByteSize },
    Memory,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Kafka {
    brokers: Vec<url::Url>,
    topic: Spanned<String>,
    linger: HumanDuration,
    mode: Option<Mode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Safe,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum Transform {
    Normalize(String),
    Redact(BTreeMap<String, Node>),
    Enrich { labels: Vec<String> },
}

#[test]
fn an_unknown_key() {
    assert_said::<Config>(
        "\n\n[server]\nlisten = \"127.0.0.1:1\"\nworkes = 2\nzzz = 1\n",
        "\
error: unknown key `workes`
 --> a.toml:5:1
  |
5 | workes = 2
  | ^^^^^^
  |
  hint: did you mean `workers`? known keys: `listen`, `workers`, `rate`

error: unknown key `zzz`
 --> a.toml:6:1
  |
6 | zzz = 1
  | ^^^
  |
  hint: known keys: `listen`, `workers`, `rate`
",
    );
}

#[test]
fn unknown_keys_alone_leave_the_value_for_later_checks() {
    let (config, said) = read::<Config>("a.toml", "state_dir = \"/s\"\nzzz = 1\n");
    assert_eq!(config.unwrap().state_dir.as_deref(), Some("/s"));
    assert!(said.starts_with("error: unknown key `zzz`"));
}

#[test]
fn missing_keys_are_all_named_even_behind_picky_types() {
    assert_said::<Config>(
        "[sinks.siem.kafka]\n",
        "\
error: missing key `brokers`
 --> a.toml:1:1
  |
1 | [sinks.siem.kafka]
  | ^^^^^^^^^^^^^^^^^^
  |
  hint: add `brokers = …`

error: missing key `topic`
 --> a.toml:1:1
  |
1 | [sinks.siem.kafka]
  | ^^^^^^^^^^^^^^^^^^
  |
  hint: add `topic = …`

error: missing key `linger`
 --> a.toml:1:1
  |
1 | [sinks.siem.kafka]
  | ^^^^^^^^^^^^^^^^^^
  |
  hint: add `linger = …`
",
    );
}

#[test]
fn a_missing_key_that_was_misspelt_is_told_once() {
    let said = said::<Config>("[server]\nlisen = \"127.0.0.1:1\"\n");
    assert_eq!(said.matches("error").count(), 1, "{said}");
    assert!(said.contains("did you mean `listen`?"), "{said}");
}

#[test]
fn a_missing_key_of_an_inline_table_and_of_the_whole_file() {
    assert_said::<Config>(
        "server = { workers = 1 }\n",
        "\
error: missing key `listen`
 --> a.toml:1:1
  |
1 | server = { workers = 1 }
  | ^^^^^^
  |
  hint: add `listen = …`
",
    );
    assert_said::<Server>(
        "# nothing\n",
        "\
error: missing key `listen`
 --> a.toml
  hint: add `listen = …`
",
    );
}

#[test]
fn wrong_types_and_bad_texts_do_not_hide_each_other() {
    assert_said::<Config>(
        r#"state_dir = 1
[server]
listen = "nowhere"
workers = 256
rate = 0
[sinks.siem.kafka]
brokers = ["kafka://ok", "not a url", 7]
topic = ["a"]
linger = "5"
mode = "quick"
"#,
        "\
error: expected a string, found an integer
 --> a.toml:1:13
  |
1 | state_dir = 1
  |             ^

error: invalid socket address syntax
 --> a.toml:3:10
  |
3 | listen = \"nowhere\"
  |          ^^^^^^^^^

error: expected a whole number from 0 to 255, found `256`
 --> a.toml:4:11
  |
4 | workers = 256
  |           ^^^

error: expected a nonzero u32, found `0`
 --> a.toml:5:8
  |
5 | rate = 0
  |        ^

error: relative URL without a base: \"not a url\"
 --> a.toml:7:26
  |
7 | brokers = [\"kafka://ok\", \"not a url\", 7]
  |                          ^^^^^^^^^^^

error: expected a string, found an integer
 --> a.toml:7:39
  |
7 | brokers = [\"kafka://ok\", \"not a url\", 7]
  |                                       ^

error: expected a string, found an array
 --> a.toml:8:9
  |
8 | topic = [\"a\"]
  |         ^^^^^

error: expected a duration such as `250ms`, `15m` or `1h30m`, found `5`
 --> a.toml:9:10
  |
9 | linger = \"5\"
  |          ^^^

error: unknown value `quick`
  --> a.toml:10:8
   |
10 | mode = \"quick\"
   |        ^^^^^^^
   |
   hint: known values: `fast`, `safe`
",
    );
}

#[test]
fn kinds_that_are_unknown_doubled_or_absent() {
    assert_said::<Config>(
        r#"[sinks.a.kafak]
topic = "x"
[sinks.b]
[sinks.c.memory]
[sinks.c.file]
[sinks.d.memory]
size = 1
[[transform]]
normalize = "ocsf"
[[transform]]
enrich = { label = [] }
[[transform]]
redact = 3
[[transform]]
"#,
        "\
error: unknown kind `kafak`
 --> a.toml:1:10
  |
1 | [sinks.a.kafak]
  |          ^^^^^
  |
  hint: did you mean `kafka`? known kinds: `kafka`, `file`, `memory`

error: no kind is named here
 --> a.toml:3:1
  |
3 | [sinks.b]
  | ^^^^^^^^^
  |
  hint: known kinds: `kafka`, `file`, `memory`

error: `file` beside `memory`: only one kind can be meant
 --> a.toml:5:10
  |
5 | [sinks.c.file]
  |          ^^^^
  |
  hint: give each a table of its own

error: unknown key `size`
 --> a.toml:7:1
  |
7 | size = 1
  | ^^^^
  |
  hint: there are no keys here

error: unknown key `label`
  --> a.toml:11:12
   |
11 | enrich = { label = [] }
   |            ^^^^^
   |
   hint: did you mean `labels`? known keys: `labels`

error: expected a table, found an integer
  --> a.toml:13:10
   |
13 | redact = 3
   |          ^

error: no kind is named here
  --> a.toml:14:1
   |
14 | [[transform]]
   | ^^^^^^^^^^^^^
   |
   hint: known kinds: `normalize`, `redact`, `enrich`
",
    );
}

#[test]
fn a_kind_with_settings_is_not_a_word() {
    assert_said::<Config>(
        "sinks = { a = \"kafka\", b = \"memory\" }\n",
        "\
error: `kafka` needs settings
 --> a.toml:1:15
  |
1 | sinks = { a = \"kafka\", b = \"memory\" }
  |               ^^^^^^^
  |
  hint: write `{ kafka = … }`
",
    );
}

#[test]
fn all_syntax_errors_of_a_file() {
    let said = said::<Config>("a = \nb = \"x\nc = 1\nc = 2\nd = 99999999999999999999\n");
    for line in ["a.toml:1:", "a.toml:2:", "duplicate key `c`\n --> a.toml:4:1", "too large\n --> a.toml:5:5"] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    assert!(!said.contains("unknown key"), "{said}");
}

#[test]
fn a_file_mode_without_quotes_is_told_once_and_how_it_is_written() {
    assert_said::<Config>(
        "mode = 0640\n",
        "\
error: a number does not begin with `0`
 --> a.toml:1:8
  |
1 | mode = 0640
  |        ^^^^
  |
  hint: put it in quotes where the zero counts, as in a file mode: `\"0640\"`
",
    );
}

#[test]
fn a_word_where_a_table_belongs_is_told_what_the_table_looks_like() {
    assert_said::<Config>(
        "server = \"localhost\"\n",
        "\
error: expected a table, found a string
 --> a.toml:1:10
  |
1 | server = \"localhost\"
  |          ^^^^^^^^^^^
  |
  hint: write one, as in `{ listen = … }`; known keys: `listen`, `workers`, `rate`
",
    );
}

#[test]
fn a_word_in_capitals_is_told_how_it_is_written() {
    let said = said::<Kafka>("mode = \"FAST\"\n");
    assert!(said.contains("error: unknown value `FAST`"), "{said}");
    assert!(said.contains("hint: did you mean `fast`?"), "{said}");
}

/// Complete only with one of two, as `try_from` types often are.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawEither")]
struct Either;

#[derive(Deserialize)]
struct RawEither {
    left: Option<u8>,
    right: Option<u8>,
}

impl TryFrom<RawEither> for Either {
    type Error = &'static str;

    fn try_from(raw: RawEither) -> Result<Self, Self::Error> {
        let one = raw.left.is_some() != raw.right.is_some();
        one.then_some(Self).ok_or("give `left` or `right`")
    }
}

#[test]
fn what_was_wrong_is_not_missed_as_well() {
    assert_said::<BTreeMap<String, Either>>(
        "a = { left = \"x\" }\nb = {}\nc = { left = 1 }\n",
        "\
error: expected a whole number from 0 to 255, found a string
 --> a.toml:1:14
  |
1 | a = { left = \"x\" }
  |              ^^^

error: give `left` or `right`
 --> a.toml:2:1
  |
2 | b = {}
  | ^
",
    );
}
