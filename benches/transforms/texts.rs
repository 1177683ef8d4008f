//! Texts for redaction to look through: what people write, and what somebody would write who wants us to be slow.

use std::fmt::Write;

/// How much there is of each kind, in bytes; a few more do no harm.
pub const AMOUNT: usize = 1 << 20;

/// A kind of text.
pub struct Kind {
    pub name: &'static str,
    shape: Shape,
}

enum Shape {
    /// Of this, made of numbered parts: a long text and many short ones are the same bytes.
    Cut(fn(u64, &mut String)),
    /// A text of any length: how it begins, what is in it as often as it fits, how it ends.
    Grown([&'static str; 3]),
}

/// All kinds.
pub fn kinds() -> Vec<Kind> {
    let cut = |name, part| Kind { name, shape: Shape::Cut(part) };
    let grown = |name, parts| Kind { name, shape: Shape::Grown(parts) };
    vec![
        cut("prose without an address", |_, out| out.push_str(SENTENCE)),
        cut("prose with an address here and there", prose),
        cut("log lines, an address in each", log_line),
        cut("networks, which are left as they are", |_, out| out.push_str("198.51.100.0, ")),
        cut("JSON in JSON in JSON", nested),
        cut("hexadecimal without a break", |number, out| add(out, format_args!("{:016x}", scattered(number)))),
        cut("base64 without a break", base64),
        cut("letters outside of ASCII", |_, out| out.push_str("для Zoë: 見る、＠．")),
        grown("@@@@", ["", "@", ""]),
        grown("a@a@a@", ["", "a@", ""]),
        grown("\"@\"@\"@", ["", "\"@", ""]),
        grown("a.a.a.a.", ["", "a.", ""]),
        grown("a.a.a.a@b.example", ["", "a.", "a@b.example"]),
        grown("a@b.b.b.b.example", ["a@", "b.", "example"]),
        grown("\"a a a \"@b.example", ["\"", "a ", "\"@b.example"]),
        grown("a=a+a=a@b.example", ["", "a=a+", "a@b.example"]),
        grown("1.1.1.1.", ["", "1.", ""]),
        grown("1..1..1..1.1.1.1", ["", "1..", "1.1.1.1"]),
        grown("1.1.1.1 1.1.1.1 ", ["", "1.1.1.1 ", ""]),
        grown("1.1.1.1:1.1.1.1:", ["", "1.1.1.1:", ""]),
        grown("::::", ["", ":", ""]),
        grown("1:1:1:1:", ["", "1:", ""]),
        grown("1::1::1::", ["", "1::", ""]),
        grown("1.1.1.1.1.1.ip6.arpa", ["", "1.", "ip6.arpa"]),
        grown("%25%25%40", ["", "%25%25%40", ""]),
        grown("%25252540", ["a%", "25", "40b.example"]),
        grown("%%%%", ["", "%", ""]),
        grown("\\u0040", ["", "\\u0040", ""]),
        grown("a\\u0040b.example ", ["", "a\\u0040b.example ", ""]),
        grown("\\\\\\\\u0040", ["a", "\\", "u0040b.example"]),
        grown("&#64;&amp;", ["", "&#64;&amp;", ""]),
        grown("&amp;amp;amp;#64;", ["a&", "amp;", "#64;b.example"]),
    ]
}

impl Kind {
    /// [`AMOUNT`] bytes of it, in texts of `size`.
    pub fn texts(&self, size: usize) -> Vec<String> {
        match self.shape {
            Shape::Cut(part) => cut(&filled(part), size),
            Shape::Grown([begin, middle, end]) => {
                let times = size.saturating_sub(begin.len() + end.len()) / middle.len();
                vec![format!("{begin}{}{end}", middle.repeat(times)); AMOUNT / size]
            }
        }
    }
}

fn filled(part: fn(u64, &mut String)) -> String {
    let mut out = String::with_capacity(AMOUNT + 1024);
    let mut number = 0;
    while out.len() < AMOUNT {
        part(number, &mut out);
        number += 1;
    }
    out
}

fn cut(text: &str, size: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > size {
        let at = (size..).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(at);
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces.push(rest.to_owned());
    pieces
}

const SENTENCE: &str = "The on-call engineer rotated the signing key at 08:22, as agreed in ticket OPS-4711. ";

fn prose(number: u64, out: &mut String) {
    out.push_str(SENTENCE);
    if number.is_multiple_of(7) {
        let (person, host) = (number % 1000, scattered(number) % 254 + 1);
        add(out, format_args!("Ask person{person}@harbour.example, who came from 203.0.113.{host}. "));
    }
}

fn log_line(number: u64, out: &mut String) {
    let (host, person) = (scattered(number) % 254 + 1, number % 1000);
    add(out, format_args!("198.51.100.{host} - - [14/Sep/2026:08:22:31 +0000] "));
    add(out, format_args!("\"GET /join?to=person{person}%40example.com\" 200 \"Mozilla/5.0 Chrome/120.0.0.0\"\n"));
}

fn nested(number: u64, out: &mut String) {
    let (person, host) = (number % 1000, number % 65_536);
    let mut text = format!(r#"{{"by":"person{person}@harbour.example","from":"2001:db8::{host:x}"}}"#);
    for _ in 0..3 {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        text = format!(r#"{{"version":"1.2.3","of":[{number},null],"inner":"{escaped}"}}"#);
    }
    out.push_str(&text);
}

fn base64(number: u64, out: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = scattered(number);
    out.extend((0..10).map(|place| LETTERS[(bits >> (6 * place) & 63) as usize] as char));
}

/// A number that looks random: splitmix64's finalizer.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x632b_e59b_d9b4_e019);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

fn add(out: &mut String, part: std::fmt::Arguments<'_>) {
    out.write_fmt(part).expect("a String takes everything");
}
