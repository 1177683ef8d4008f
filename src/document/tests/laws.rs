//! What holds for every text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use auditline_sinks::secret::Secret;
use auditline_sinks::units::HumanDuration;
use proptest::prelude::*;
use serde::Deserialize;

use super::super::{File, Node, Place, Problem, Spanned};
use super::read;

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Anything {
    a: Option<Spanned<u8>>,
    b: BTreeMap<Spanned<String>, Choice>,
    key: Vec<Secret>,
    wait: HumanDuration,
    rest: Node,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum Choice {
    A(Box<Anything>),
    B { wait: HumanDuration, key: Secret },
    Wait,
}

/// Pieces that make something near TOML, and near what is expected, much more often than letters do.
fn near_toml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "key",
            "wait",
            "rest",
            "env",
            "file",
            " = ",
            "=",
            ".",
            ",",
            "\n",
            "\r\n",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "\"",
            "'",
            "\"\"\"",
            "'''",
            "1",
            "99999999999999999999",
            "1e999",
            "inf",
            "true",
            "2026-01-01",
            "#",
            "\t",
            "ü",
            "尺",
            "\\",
            "\u{0}",
            "\u{feff}",
            "\"1s\"",
            "\"x\"",
            "\na = 1\n",
            "\n[b.x.b]\n",
            "\n[b.y]\n",
            "\nkey = \"x\"\n",
            "\n[[b]]\n",
            "{ env = \"TOKEN\" }",
            "https://u:p@h?q"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in near_toml()) {
        let (value, said) = read::<Anything>("a.toml", &text);
        prop_assert!(value.is_some() || said.contains("error: "), "neither a value nor an error:\n{text}");
    }

    #[test]
    fn every_span_is_shown(text in near_toml(), start in 0..200usize, length in 0..50usize) {
        let file = Arc::new(File::new("a.toml", Path::new(""), &text));
        let start = start.min(text.len());
        let said = Problem::error("x").at(&Place::new(&file, start..start + length)).to_string();
        let lines: Vec<&str> = said.lines().collect();
        prop_assert_eq!(lines.len(), 5, "{}", said);
        prop_assert!(lines[1].starts_with(" -->") || lines[1].contains("--> a.toml:"));
        prop_assert!(lines[4].contains('^'));
        let (_, under) = lines[4].split_once(" | ").unwrap();
        let carets = under.trim_start_matches(' ');
        prop_assert!(!carets.is_empty() && carets.chars().all(|c| c == '^'), "{}", said);
        // Under the line as it was written, or right behind it; a tab is shown as four spaces.
        let (_, bounds) = file.line_at(start);
        let widest = 4 * text[bounds].chars().count() + 1;
        prop_assert!(under.len() <= widest.min(170), "{}", said);
    }

    #[test]
    fn no_secret_gets_out(
        before in near_toml(),
        name in prop::sample::select(vec!["api_key", "token", "client-secret", "password", "x.key", "\"key\""]),
        separator in prop::sample::select(vec![" = ", "=", ": ", " "]),
        quotes in prop::sample::select(vec![("\"", "\""), ("'", "'"), ("\"", ""), ("", ""), ("", "\""), ("\"a\"", "\"")]),
        secret in "[A-Z]{8}[0-9]{8}",
        after in near_toml(),
    ) {
        let text = format!("{before}\n{name}{separator}{}{secret}{}{after}", quotes.0, quotes.1);
        let (_, said) = read::<Anything>("a.toml", &text);
        prop_assert!(!said.contains(&secret), "{text}\n---\n{said}");
    }
}
