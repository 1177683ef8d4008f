//! Keys of APIs by the shapes their issuers gave them so that they can be found, and private keys in PEM.
//!
//! Only shapes that nothing else has: a prefix, and behind it as many letters of an alphabet as the issuer writes.
//! Where a prefix is an everyday word (`sk-`), digits and capitals among the letters have to tell.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use super::encoded::Text;
use super::{Detector, Found, What};

/// What a key looks like behind its prefix.
struct Shape {
    prefix: &'static str,
    letters: fn(u8) -> bool,
    least: usize,
    most: usize,
    /// Digits and capitals have to be among the letters.
    mixed: bool,
}

const fn shape(prefix: &'static str, letters: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { prefix, letters, least, most, mixed: false }
}

const fn mixed(prefix: &'static str, least: usize) -> Shape {
    Shape { prefix, letters: url_safe, least, most: LONGEST, mixed: true }
}

/// So many letters are looked at for whether it is a key; all that follow are of it.
const LONGEST: usize = 512;

const PEM: &str = "-----BEGIN";

/// No private key is longer.
const LONGEST_PEM: usize = 64 << 10;

/// The more telling of two that begin alike stands first.
static SHAPES: &[Shape] = &[
    // Amazon Web Services: access key ids, long-lived and temporary.
    shape("AKIA", capital, 16, 16),
    shape("ASIA", capital, 16, 16),
    shape("ABIA", capital, 16, 16),
    shape("ACCA", capital, 16, 16),
    // GitHub
    shape("ghp_", word, 36, LONGEST),
    shape("gho_", word, 36, LONGEST),
    shape("ghu_", word, 36, LONGEST),
    shape("ghs_", word, 36, LONGEST),
    shape("ghr_", word, 36, LONGEST),
    shape("github_pat_", word, 36, LONGEST),
    // GitLab
    shape("glpat-", url_safe, 20, LONGEST),
    shape("gldt-", url_safe, 20, LONGEST),
    shape("glrt-", url_safe, 20, LONGEST),
    shape("glsoat-", url_safe, 20, LONGEST),
    // Slack
    shape("xoxb-", url_safe, 20, LONGEST),
    shape("xoxp-", url_safe, 20, LONGEST),
    shape("xoxa-", url_safe, 20, LONGEST),
    shape("xoxr-", url_safe, 20, LONGEST),
    shape("xoxs-", url_safe, 20, LONGEST),
    shape("xoxe-", url_safe, 20, LONGEST),
    shape("xoxe.xox", dotted, 20, LONGEST),
    shape("xapp-", url_safe, 20, LONGEST),
    // Stripe
    shape("sk_live_", word, 16, LONGEST),
    shape("sk_test_", word, 16, LONGEST),
    shape("rk_live_", word, 16, LONGEST),
    shape("rk_test_", word, 16, LONGEST),
    shape("whsec_", base64, 24, LONGEST),
    // Google: API keys, OAuth client secrets and access tokens.
    shape("AIza", url_safe, 35, 35),
    shape("GOCSPX-", url_safe, 28, 28),
    shape("ya29.", dotted, 20, LONGEST),
    // Cloudflare, as of the keys that say what they are; the older ones are 40 letters like any others.
    shape("cfk_", word, 40, LONGEST),
    shape("cfut_", word, 40, LONGEST),
    shape("cfat_", word, 40, LONGEST),
    shape("v1.0-", hex_or_dash, 100, LONGEST),
    // Telnyx
    shape("KEY0", word, 40, LONGEST),
    // Twilio: accounts and keys; SendGrid.
    shape("AC", hex, 32, 32),
    shape("SK", hex, 32, 32),
    shape("SG.", dotted, 60, LONGEST),
    // Package registries.
    shape("npm_", word, 36, LONGEST),
    shape("pypi-", url_safe, 50, LONGEST),
    shape("dckr_pat_", url_safe, 20, LONGEST),
    // OpenAI, Anthropic, Hugging Face.
    mixed("sk-", 20),
    shape("hf_", word, 30, LONGEST),
    // Others with a prefix of their own.
    shape("shpat_", hex, 32, 32),
    shape("shpss_", hex, 32, 32),
    shape("dop_v1_", hex, 64, 64),
    shape("glsa_", word, 32, LONGEST),
    shape("lin_api_", word, 32, LONGEST),
    shape("hvs.", url_safe, 24, LONGEST),
    shape("dp.pt.", word, 40, LONGEST),
    shape("PMAK-", hex_or_dash, 40, LONGEST),
    shape("ATATT3", dotted_or_equals, 40, LONGEST),
    shape("ATCTT3", dotted_or_equals, 40, LONGEST),
    shape("doo_v1_", hex, 64, 64),
    shape("dor_v1_", hex, 64, 64),
    shape("dp.st.", dotted, 40, LONGEST),
    shape("dckr_oat_", url_safe, 20, LONGEST),
    shape("glptt-", url_safe, 20, LONGEST),
    shape("gloas-", url_safe, 20, LONGEST),
    shape("glcbt-", url_safe, 20, LONGEST),
    shape("glft-", url_safe, 20, LONGEST),
    shape("hvb.", url_safe, 24, LONGEST),
    shape("lin_oauth_", word, 32, LONGEST),
    shape("NRAK-", capital, 27, 27),
    shape("ntn_", word, 40, LONGEST),
    shape("pscale_tkn_", dotted, 32, LONGEST),
    shape("r8_", word, 37, LONGEST),
    shape("rubygems_", hex, 48, 48),
    shape("shpca_", hex, 32, 32),
    shape("shppa_", hex, 32, 32),
    shape("sntrys_", dotted_or_equals, 40, LONGEST),
    shape("sq0atp-", url_safe, 22, LONGEST),
    shape("sq0csp-", url_safe, 40, LONGEST),
    shape("tskey-", url_safe, 20, LONGEST),
    shape("xoxc-", url_safe, 20, LONGEST),
    shape("xoxd-", url_safe, 20, LONGEST),
    shape("gsk_", word, 40, LONGEST),
    shape("xai-", word, 40, LONGEST),
    shape(PEM, pem, 20, usize::MAX),
];

static PREFIXES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = SHAPES.iter().map(|shape| shape.prefix);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(prefixes).expect("a few short prefixes")
});

/// Whether anything in the text begins as a key does.
pub(super) fn may_be_in(text: &[u8]) -> bool {
    PREFIXES.is_match(text)
}

/// Finds every key of `text`.
pub(super) fn find(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut floor = 0;
    let mut ends = Ends { bytes, next: None };
    for prefix in PREFIXES.find_iter(bytes) {
        let (start, shape) = (prefix.start(), &SHAPES[prefix.pattern().as_usize()]);
        if start < floor {
            continue;
        }
        let end = match shape.prefix {
            PEM => pem_end(bytes, prefix.end(), &mut ends),
            _ => shape.end(bytes, start, prefix.end()),
        };
        if let Some(end) = end {
            found.push(Found { start, end, what: What::Text(Detector::ApiKey) });
            floor = end;
        }
    }
}

impl Shape {
    /// Where the key ends that begins at `start`; `None` when it is none.
    fn end(&self, bytes: &[u8], start: usize, from: usize) -> Option<usize> {
        if start.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric()) {
            return None;
        }
        let run = |most: usize| bytes[from..].iter().take(most).take_while(|b| (self.letters)(**b)).count();
        let has_no_end = self.most == LONGEST;
        let mut length = run(self.most.saturating_add(1));
        let head = &bytes[from..from + length];
        let tells = !self.mixed || (head.iter().any(u8::is_ascii_digit) && head.iter().any(u8::is_ascii_uppercase));
        if length < self.least || !tells || (length > self.most && !has_no_end) {
            return None;
        }
        if length > self.most {
            length = run(usize::MAX);
        }
        // Marks of the sentence around it.
        while length > 0 && matches!(bytes[from + length - 1], b'.' | b'-') {
            length -= 1;
        }
        let end = from + length;
        let closes = has_no_end || !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        (length >= self.least && closes).then_some(end)
    }
}

/// Where the next `-----END` is: looked for once, however many keys begin before it.
struct Ends<'b> {
    bytes: &'b [u8],
    next: Option<usize>,
}

impl Ends<'_> {
    fn behind(&mut self, from: usize) -> Option<usize> {
        let known = self.next.filter(|next| *next >= from);
        let next = known.unwrap_or_else(|| {
            memmem::find(&self.bytes[from..], b"-----END").map_or(usize::MAX, |offset| from + offset)
        });
        self.next = Some(next);
        (next != usize::MAX && next - from <= LONGEST_PEM).then_some(next)
    }
}

/// Where a private key ends whose `-----BEGIN` ends at `from`: after its last line, whatever is between; or, where that
/// is cut off or of another, where something else begins.
fn pem_end(bytes: &[u8], from: usize, ends: &mut Ends<'_>) -> Option<usize> {
    const TITLE: usize = 48;
    const TAIL: usize = 60;
    let title = &bytes[from..bytes.len().min(from + TITLE)];
    let is_blank = |byte: u8| matches!(byte, b' ' | b'+');
    let is_key = |title: &[u8]| title.starts_with(b"PRIVATE") && is_blank(title[7]) && title.ends_with(b"KEY");
    let length = title.windows(11).position(is_key)?;
    if !is_blank(title[0])
        || !title[..length].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || is_blank(*b))
    {
        return None;
    }
    let body = from + length + 11;
    let letters = |bytes: &[u8]| body + bytes[body..].iter().take_while(|b| pem(**b)).count();
    let Some(last) = ends.behind(body) else { return Some(letters(bytes)) };
    let cut = letters(&bytes[..last]);
    if memmem::find(&bytes[cut..last], PEM.as_bytes()).is_some() {
        return Some(cut);
    }
    let tail = &bytes[last + 8..bytes.len().min(last + 8 + TAIL)];
    let end = memmem::find(tail, b"-----").map_or(0, |end| end + 5);
    Some(last + 8 + end)
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn url_safe(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

fn dotted(byte: u8) -> bool {
    url_safe(byte) || byte == b'.'
}

fn dotted_or_equals(byte: u8) -> bool {
    dotted(byte) || matches!(byte, b'=' | b'+' | b'/')
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

fn hex_or_dash(byte: u8) -> bool {
    hex(byte) || byte == b'-'
}

/// Lines of Base64, with the headers that old private keys have.
fn pem(byte: u8) -> bool {
    base64(byte) || byte.is_ascii_whitespace() || matches!(byte, b':' | b',' | b'-' | b'\\' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(&Text::plain(text), &mut found);
        found.iter().map(|found| &text[found.start..found.end]).collect()
    }

    /// As many letters as a key has, digits and capitals among them.
    fn letters(count: usize) -> String {
        "a1B2c3D4".chars().cycle().take(count).collect()
    }

    #[test]
    fn finds_keys_by_their_shape() {
        let hex: String = "0123456789abcdef".chars().cycle().take(32).collect();
        for key in [
            format!("AKIA{}", "ABCDEFGH23456789"),
            format!("ghp_{}", letters(36)),
            format!("github_pat_{}_{}", letters(22), letters(59)),
            format!("glpat-{}", letters(20)),
            format!("xoxb-123456789012-123456789012-{}", letters(24)),
            format!("sk_live_{}", letters(24)),
            format!("AIza{}", letters(35)),
            format!("KEY0{}_{}", letters(31), letters(22)),
            format!("AC{hex}"),
            format!("SG.{}.{}", letters(22), letters(43)),
            format!("npm_{}", letters(36)),
            format!("sk-proj-{}", letters(900)),
        ] {
            assert_eq!(keys(&key), [key.as_str()]);
            assert_eq!(keys(&format!("key={key}, \"{key}\".")), [key.as_str(); 2]);
        }
    }

    #[test]
    fn finds_private_keys_whole() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nq2w=\n-----END RSA PRIVATE KEY-----";
        assert_eq!(keys(&format!("a {key} b {key}")), [key, key]);
        // Marks that no key has, as those of a log or of a form, ended it and left the rest.
        for between in ["\n> ", " | ", "*", "\u{1b}[0m", "%0A", "é", "<br>"] {
            let key = format!(
                "-----BEGIN EC PRIVATE KEY-----{between}MIIEpAIBAAKCAQEA7{between}q2w={between}-----END EC PRIVATE KEY-----"
            );
            assert_eq!(keys(&format!("a {key} b")), [key.as_str()]);
        }
        let form = "-----BEGIN+RSA+PRIVATE+KEY-----+MIIEpAIBAAKCAQEA7+-----END+RSA+PRIVATE+KEY-----";
        assert_eq!(keys(&format!("key={form}&x=1")), [form]);
        // The end is of the other.
        let cut = "-----BEGIN PRIVATE KEY-----\nMIIE\n";
        assert_eq!(keys(&format!("{cut}\"; {key}")), [cut, key]);
        // One that is cut off is still one, as far as it goes.
        assert_eq!(keys("-----BEGIN PRIVATE KEY-----\nMIIE\n\", b"), ["-----BEGIN PRIVATE KEY-----\nMIIE\n"]);
        assert_eq!(keys("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"), [""; 0]);
    }

    #[test]
    fn leaves_what_only_begins_like_a_key() {
        for text in [
            "AKIA",
            "AKIAABCDEFGH234567890",
            "XAKIAABCDEFGH23456789",
            "ghp_short",
            "sk-slovakia-language-pack-something",
            "task-A1B2C3D4E5F6G7H8I9J0K1L2",
            "ACCOUNT",
            "SG.example.com",
            "npm_config_registry",
            "KEY0",
            "-----BEGIN",
        ] {
            assert_eq!(keys(text), [""; 0], "{text}");
        }
    }
}
