//! Where the literals of a text stand, and what the names before them say of each.
//!
//! By the text alone, so that it serves a file that is no TOML yet: where quotes or brackets are out of step, a literal
//! has rather too many names than too few.

use std::ops::Range;

use super::names::{self, Rank};

/// A string, or what stands where one may have lost its quotes.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) span: Range<usize>,
    /// The name it stands under.
    pub(super) key: Option<Range<usize>>,
    pub(super) rank: Rank,
    pub(super) is_string: bool,
    /// Whether it says where a secret is.
    pub(super) is_reference: bool,
}

/// All literals of `text` in their order.
pub(super) fn literals(text: &str) -> Vec<Literal> {
    let mut scanner =
        Scanner { text, at: 0, header: Rank::Harmless, open: Vec::new(), path: Path::default(), found: Vec::new() };
    scanner.scan();
    scanner.found
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// What the last `[header]` says.
    header: Rank,
    open: Vec<Open>,
    path: Path,
    found: Vec<Literal>,
}

/// A bracket that is not closed yet.
struct Open {
    rank: Rank,
    is_table: bool,
    /// The path before the bracket, which goes on behind it.
    path: Path,
}

/// The key before a value, with dots.
#[derive(Clone, Default)]
struct Path {
    names: Vec<Range<usize>>,
    /// Whether a dot was last.
    goes_on: bool,
    /// Whether `=` or `:` was read.
    is_complete: bool,
    /// Whether a value was read, too.
    has_value: bool,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        while let Some(char) = self.rest().chars().next() {
            match char {
                '\n' => {
                    self.unfinished();
                    self.line_break();
                }
                char if char.is_whitespace() => self.at += char.len_utf8(),
                '#' => self.comment(),
                '"' | '\'' => self.string(),
                '[' if self.is_at_header() => self.header(),
                '[' | '{' => self.push(char == '{'),
                ']' | '}' => {
                    self.unfinished();
                    self.pop();
                }
                ',' => {
                    self.unfinished();
                    self.step(|path| *path = Path::default());
                }
                '.' if !self.path.is_complete && !self.path.names.is_empty() => self.step(|path| path.goes_on = true),
                '=' | ':' if !self.path.is_complete => self.step(|path| path.is_complete = !path.names.is_empty()),
                _ => self.bare(),
            }
        }
        self.unfinished();
    }

    /// A name without a value may be what is left of a string, unless it is a word of the language beyond doubt.
    fn unfinished(&mut self) {
        if self.path.is_complete {
            return;
        }
        let around = self.open.last().map_or(self.header, |open| open.rank);
        let names = std::mem::take(&mut self.path.names);
        // The rest of the name may come next.
        self.path.has_value = !names.is_empty();
        for span in names {
            if around > Rank::Harmless || !names::is_plainly_a_setting(&self.text[span.clone()]) {
                self.found.push(Literal {
                    span,
                    key: None,
                    rank: around.max(Rank::Doubtful),
                    is_string: false,
                    is_reference: false,
                });
            }
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn step(&mut self, change: impl FnOnce(&mut Path)) {
        self.at += 1;
        change(&mut self.path);
    }

    fn line_break(&mut self) {
        self.at += 1;
        if self.is_header_line() {
            self.open.clear();
        }
        if self.open.is_empty() {
            self.path = Path { has_value: self.path.has_value && !self.path.is_complete, ..Path::default() };
        }
    }

    /// Whether nothing but a header, with a name that is bare, stands in this line.
    fn is_header_line(&self) -> bool {
        let line = self.rest().lines().next().unwrap_or_default().trim();
        let names = line.trim_start_matches('[');
        names.len() < line.len()
            && names.starts_with(|c: char| c.is_ascii_alphabetic())
            && names.contains(']')
            && !names.contains(['=', ',', '{'])
            && !matches!(names.trim_end_matches(']'), "true" | "false" | "inf" | "nan")
    }

    fn is_at_header(&self) -> bool {
        let line = self.text[..self.at].rfind('\n').map_or(0, |at| at + 1);
        let is_first = self.text[line..self.at].trim().trim_matches('[').is_empty();
        let line = self.rest().lines().next().unwrap_or_default();
        is_first && self.open.is_empty() && self.path.names.is_empty() && !line.contains(['=', '{', ','])
    }

    fn header(&mut self) {
        let line = self.text[self.at..].lines().next().unwrap_or_default();
        let names = line.split('#').next().unwrap_or_default().trim_matches(['[', ']', ' ', '\t', '\r']);
        self.header = names::rank_of_header(names.split('.').map(|name| name.trim_matches([' ', '"', '\''])));
        self.at += line.len();
    }

    fn push(&mut self, is_table: bool) {
        let path = self.path.clone();
        // What has lost its key may have been anything.
        let orphan = !self.path.is_complete && self.open.last().is_none_or(|open| open.is_table);
        let rank = self.rank(if orphan { Rank::Doubtful } else { Rank::Harmless });
        self.open.push(Open { rank, is_table, path });
        self.at += 1;
        if is_table {
            self.path = Path::default();
        }
    }

    fn pop(&mut self) {
        self.at += 1;
        self.path = self.open.pop().map(|open| open.path).unwrap_or_default();
    }

    /// What the names around this place say, and those before it.
    fn rank(&self, least: Rank) -> Rank {
        let around = self.open.last().map_or(self.header, |open| open.rank);
        let names = self.path.names.iter().map(|name| self.name(name));
        // A dot by mistake parts one name in two.
        let joined = names::rank(&names.clone().collect::<String>());
        let before = names.map(names::rank).chain([joined]).max();
        around.max(before.unwrap_or(Rank::Harmless)).max(least)
    }

    fn name(&self, span: &Range<usize>) -> &str {
        self.text[span.clone()].trim_matches(['"', '\''])
    }

    fn string(&mut self) {
        let start = self.at;
        let (end, is_closed) = end_of_string(self.text, start);
        let span = start..end;
        if self.takes_name(&span) {
            self.take_name(span);
            return;
        }
        let mut rank = self.found(span.clone(), true);
        if !is_closed && self.may_be_cut_in_credentials(&span) {
            rank = rank.max(Rank::Doubtful);
            self.found.last_mut().expect("it was found").rank = rank;
        }
        self.at = end;
        if is_closed {
            self.renamed(span);
        } else if rank > Rank::Harmless {
            let end = end_of_unclosed(self.text, start, end);
            self.found.last_mut().expect("it was found").span.end = end;
            self.at = end;
        } else if self.text[start..].starts_with("\"\"\"") || self.text[start..].starts_with("'''") {
            // Nobody knows where it should have ended: the names in it count.
            self.at = start + 3;
        }
    }

    /// Whether a URL whose quotes are not closed has a password or a query, or may have had its rest in the next line.
    fn may_be_cut_in_credentials(&self, span: &Range<usize>) -> bool {
        let text = &self.text[span.clone()];
        text.contains("://")
            && (text.contains(['@', '?']) || end_of_unclosed(self.text, span.start, span.end) > span.end)
    }

    fn bare(&mut self) {
        let start = self.at;
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let length = self.rest().find(|c| !is_name(c)).unwrap_or(self.rest().len());
        let name = start..start + length;
        if length > 0 && self.takes_name(&name) {
            self.take_name(name);
            return;
        }
        let belongs = |c: char| !c.is_whitespace() && !",]}#\"'".contains(c);
        let length = self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len());
        let first = self.rest().chars().next().map_or(1, char::len_utf8);
        let span = start..start + length.max(first);
        self.found(span.clone(), false);
        self.at = span.end;
        if self.text[name.clone()].starts_with(char::is_alphabetic)
            && self.text[name.end..span.end].starts_with(['.', '='])
        {
            self.at = name.end;
        }
        if self.at == name.end {
            self.renamed(name);
        }
    }

    /// Whether a name at `span` is one of the path before a value.
    fn takes_name(&self, span: &Range<usize>) -> bool {
        let behind = self.text[span.end..].trim_start_matches([' ', '\t']);
        let is_key = behind.starts_with(['=', '.']);
        let is_word = !self.text[span.clone()].starts_with(['"', '\'']);
        let may_be_first = is_key || (is_word && self.open.last().is_none_or(|open| open.is_table));
        !self.path.is_complete && (self.path.goes_on || (self.path.names.is_empty() && may_be_first))
    }

    fn take_name(&mut self, span: Range<usize>) {
        self.at = span.end;
        self.path.names.push(span);
        self.path.goes_on = false;
    }

    /// Where a comma or a line break is missing, what looked like a value may be the next key.
    fn renamed(&mut self, span: Range<usize>) {
        if self.rest().trim_start_matches([' ', '\t']).starts_with(['=', '.']) {
            self.path = Path { names: vec![span], has_value: true, ..Path::default() };
        }
    }

    fn found(&mut self, span: Range<usize>, is_string: bool) -> Rank {
        let key = self.path.names.last().cloned();
        let text = self.name(&span);
        // Where quotes are out of step, there is no `=` before a value, or two values are behind it.
        let is_astray =
            self.open.last().is_none_or(|open| open.is_table) && (!self.path.is_complete || self.path.has_value);
        let is_astray = is_astray && (is_string || !names::is_plainly_a_setting(text));
        let mut rank = self.rank(if is_astray { Rank::Doubtful } else { Rank::Harmless });
        let mut is_reference = false;
        match key.as_ref().map(|key| self.name(key)) {
            Some("env") => {
                is_reference = names::is_plainly_a_variable(text);
                rank = if is_reference { Rank::Harmless } else { Rank::Secret };
            }
            Some("file") if self.is_reference() => {
                (is_reference, rank) = (rank > Rank::Harmless, Rank::Harmless);
            }
            _ if matches!(text, "true" | "false") && !is_string => rank = Rank::Harmless,
            _ => {}
        }
        self.found.push(Literal { span, key, rank, is_string, is_reference });
        self.path.has_value = true;
        rank
    }

    /// Whether the table here is one that says where a secret is: `file` is all there is in it.
    fn is_reference(&self) -> bool {
        let before = self.text[..self.at].trim_end_matches([' ', '\t', '=']);
        let before = before.strip_suffix("file").unwrap_or_default().trim_end();
        let table = &before[before.rfind(['{', '\n']).unwrap_or(0)..];
        before.ends_with('{') || self.path.names.len() > 1 || table.starts_with("{ env")
    }

    /// Secrets are commented out as well, and what stands behind one may be the last one.
    fn comment(&mut self) {
        let start = self.at;
        let end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let beside =
            self.found.iter().rev().take_while(|literal| literal.span.end > line).map(|literal| literal.rank).max();
        let named = self.text[start..end].split(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
        let named = named.map(names::rank).max().unwrap_or(Rank::Harmless);
        // A `#` in the midst of a key or a value makes the rest of it look like a comment.
        let has_value = self.path.is_complete && self.path.has_value;
        let is_unfinished = !self.path.names.is_empty() && !has_value;
        let cut = if is_unfinished { self.rank(Rank::Doubtful) } else { Rank::Harmless };
        let rank = beside.unwrap_or(Rank::Harmless).max(named).max(self.header).max(cut);
        self.found.push(Literal { span: start..end, key: None, rank, is_string: true, is_reference: false });
        self.at = end;
    }
}

/// Where a string ends that begins at `start`, and whether its quotes are closed.
fn end_of_string(text: &str, start: usize) -> (usize, bool) {
    let rest = &text[start..];
    let quote = ["\"\"\"", "'''"].into_iter().find(|quote| rest.starts_with(quote));
    let quote = quote.unwrap_or(&rest[..1]);
    let mut at = start + quote.len();
    while let Some(char) = text[at..].chars().next() {
        if text[at..].starts_with(quote) {
            let mut end = at + quote.len();
            // Up to two quotes more are of the text.
            while quote.len() == 3 && end < at + 5 && text[end..].starts_with(&quote[..1]) {
                end += 1;
            }
            return (end, true);
        }
        if char == '\n' && quote.len() == 1 {
            return (at, false);
        }
        at += char.len_utf8();
        if char == '\\' && quote.starts_with('"') {
            let escaped = text[at..].chars().next().filter(|c| *c != '\n');
            at += escaped.map_or(0, char::len_utf8);
        }
    }
    (at, false)
}

/// Where a secret ends whose quotes are not closed in its line: with the line that has such quotes, or before one that is
/// beyond doubt not of it.
fn end_of_unclosed(text: &str, start: usize, end: usize) -> usize {
    let quote = &text[start..=start];
    if text[start..].starts_with(&quote.repeat(3)) {
        return text.len();
    }
    let mut at = end;
    while let Some(line) = text[at..].strip_prefix('\n').and_then(|rest| rest.lines().next()) {
        let next = at + 1 + line.len();
        if is_plainly_a_statement(line) {
            break;
        }
        at = next;
        if line.contains(quote) {
            break;
        }
    }
    at
}

/// A header, or a key with the whole of a string, a number or a word behind it.
fn is_plainly_a_statement(line: &str) -> bool {
    let line = line.trim();
    if let Some(names) = line.strip_prefix('[') {
        return names.ends_with(']') && names.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    }
    let Some((key, value)) = line.split_once(" = ") else { return false };
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || "_.-".contains(c));
    let quotes = value.matches(['"', '\'']).count();
    is_key && quotes % 2 == 0 && value.starts_with(|c: char| c.is_ascii_digit() || "\"'[{tf".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The literals that a name makes suspicious.
    fn suspicious(text: &str) -> Vec<&str> {
        let all = literals(text).into_iter();
        all.filter(|literal| literal.rank > Rank::Harmless).map(|literal| &text[literal.span]).collect()
    }

    #[test]
    fn a_literal_has_the_names_before_it_and_around_it() {
        for (text, expected) in [
            ("auth = { bearer = 'a', basic = { username = 'b' } }", vec!["'a'", "'b'"]),
            ("secret_headers = { A = 'a', \"b c\" = 'b' }", vec!["'a'", "'b'"]),
            ("auth.header.value = 'a'", vec!["'a'"]),
            ("auth = 'Bearer a' b", vec!["'Bearer a'", "b"]),
            ("[x.secret_headers]\nA = 'a'\n[y]\nb = 'b'", vec!["'a'"]),
            ("keys = [\n 'a',\n 'b' ]\nc = 'c'", vec!["'a'", "'b'"]),
            ("url = 'a'auth.bearer = 'b'", vec!["'b'"]),
            ("tok=en = 'b'", vec!["'b'"]),
            ("tok.en = 'b'", vec!["'b'"]),
            ("bearer 'a'", vec!["'a'"]),
            ("bearer a", vec!["a"]),
            ("token = 'a\nb'\nc = 'c'", vec!["'a\nb'"]),
            ("token = 'a\nc = 'c'", vec!["'a"]),
            ("token = '''a\nb\nc'''\nc = 'c'", vec!["'''a\nb\nc'''"]),
            ("= 'a'", vec!["'a'"]),
            ("acce'ss_key = 'A1b2c3'", vec!["'ss_key = '", "A1b2c3", "'"]),
            ("auth = { bearer = 'a'\n[x]\nb = 'b'", vec!["'a'"]),
            ("a = '''\ntoken = 'b'\n", vec!["'b'"]),
        ] {
            assert_eq!(suspicious(text), expected, "{text}");
        }
    }

    #[test]
    fn what_says_where_a_secret_is_is_none() {
        for text in [
            "token = { env = 'API_TOKEN' }",
            "token = { file = '/run/Token9' }",
            "token.env = 'API_TOKEN'",
            "topic = 'a'",
            "a = ['b', { c = 'd' }]",
            "[a.b]\nc = 'd'",
        ] {
            assert_eq!(suspicious(text), Vec::<&str>::new(), "{text}");
        }
        assert_eq!(suspicious("a = { env = 'KEY0123abcd' }"), ["'KEY0123abcd'"]);
    }
}
