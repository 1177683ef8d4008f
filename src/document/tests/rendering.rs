//! Where the caret goes in lines that make it hard, and what comes first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::{Document, File, Place, Problem, Problems};
use super::assert_said;

type Numbers = BTreeMap<String, u8>;

#[test]
fn characters_are_counted_and_not_bytes() {
    assert_said::<Numbers>(
        "\"größe → 尺\" = \"ü\"\n",
        "\
error: expected a whole number from 0 to 255, found a string
 --> a.toml:1:15
  |
1 | \"größe → 尺\" = \"ü\"
  |               ^^^
",
    );
}

#[test]
fn tabs_and_line_breaks_of_windows() {
    assert_said::<Numbers>(
        "ok = 1\r\n\twrong =\t\"x\"\r\n",
        "\
error: expected a whole number from 0 to 255, found a string
 --> a.toml:2:10
  |
2 |     wrong =    \"x\"
  |                ^^^
",
    );
}

#[test]
fn a_span_of_many_lines_is_underlined_in_its_first() {
    assert_said::<Numbers>(
        "a = [\n  1,\n]\n",
        "\
error: expected a whole number from 0 to 255, found an array
 --> a.toml:1:5
  |
1 | a = [
  |     ^
",
    );
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let line = format!("x = [{}\"here\",{}]", "1,".repeat(200), "2,".repeat(200));
    let said = super::said::<BTreeMap<String, Vec<u8>>>(&line);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[1], " --> a.toml:1:406");
    assert_eq!(lines[3].chars().count(), "1 | ".len() + 162);
    assert!(lines[3].starts_with("1 | …") && lines[3].ends_with('…'), "{said}");
    let caret = lines[4].find('^').unwrap();
    let shown: String = lines[3].chars().skip(caret).take(6).collect();
    assert_eq!((shown.as_str(), lines[4].matches('^').count()), ("\"here\"", 6));
}

fn at(text: &str, start: usize, end: usize) -> String {
    let file = Arc::new(File::new("a", Path::new(""), text));
    Problem::error("x").at(&Place::new(&file, start..end)).to_string()
}

#[test]
fn the_end_of_the_file_has_a_place_too() {
    assert_eq!(at("a =", 3, 3), "error: x\n --> a:1:4\n  |\n1 | a =\n  |    ^\n");
    assert_eq!(at("a =\n", 4, 4), "error: x\n --> a:2:1\n  |\n2 |\n  | ^\n");
    assert_eq!(at("a\r\nb", 1, 2), "error: x\n --> a:1:2\n  |\n1 | a\n  |  ^\n");
    assert_eq!(at("", 0, 0), "error: x\n --> a:1:1\n  |\n1 |\n  | ^\n");
}

#[test]
fn nothing_moves_the_cursor_of_a_terminal() {
    let said = at("a\u{1b}[2Jb\u{202e}c", 0, 1);
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
}

#[test]
fn problems_of_two_files_come_in_the_order_of_loading() {
    let problems = Problems::new();
    let first = Document::parse("z.toml", "a = 1\nb = 2\n", &problems).unwrap();
    let second = Document::parse("a.toml", "c = 3\n", &problems).unwrap();
    let place = |document: &Document, key: &str| document.root().get(key).unwrap().place();
    problems.error_at(&place(&second, "c"), "third");
    problems.warning_at(&place(&first, "b"), "second");
    problems.error_at(&place(&first, "a"), "first");
    problems.error_at(&place(&first, "a"), "first");
    problems.push(Problem::error("nowhere").hint("look"));
    assert_eq!(
        problems.to_string(),
        "\
error: first
 --> z.toml:1:5
  |
1 | a = 1
  |     ^

warning: second
 --> z.toml:2:5
  |
2 | b = 2
  |     ^

error: third
 --> a.toml:1:5
  |
1 | c = 3
  |     ^

error: nowhere
  hint: look
"
    );
    assert_eq!(problems.summary(), "3 errors, 1 warning");
    assert!(problems.has_errors());
}
