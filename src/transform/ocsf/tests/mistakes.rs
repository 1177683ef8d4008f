//! What loading refuses, and where it says so.

use super::{TINY, identity, try_load};

/// What is said about a map: each message with its line and what is under the caret there, and its hint.
fn said(text: &str) -> Vec<String> {
    let identity = identity("Example", "example", &[], &[]);
    let shown = try_load(text, &identity).expect_err("a map with mistakes");
    let mut said = Vec::new();
    for problem in shown.split("\n\n") {
        let line = |start: &str| problem.lines().find_map(|line| line.trim_start().strip_prefix(start));
        let place = line("--> map.toml:").unwrap_or("nowhere");
        let message = line("error: ").or_else(|| line("warning: ")).unwrap_or(problem);
        let hint = line("= hint: ").or_else(|| line("hint: ")).map(|hint| format!(" ({hint})"));
        said.push(format!("{place} {message}{}", hint.unwrap_or_default()));
    }
    said
}

/// What is said about the small map with these lines at its end, of which the first is line 9.
fn said_of(lines: &str) -> Vec<String> {
    said(&format!("{TINY}{lines}\n"))
}

#[test]
fn an_attribute_that_does_not_exist() {
    assert_eq!(said_of("actor.user.emial_addr = \"x\""), ["9:1 x"]);
}
