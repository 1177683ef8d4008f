//! E-mail addresses, and what only looks like them.
//!
//! Everything starts at an `@`. To its left the local part is read as far as it goes, to its right
//! the host; both end at the next `@`, so a byte is read once from either side however long the
//! parts are. No length of RFC 5321 is enforced: an address that is too long is still somebody's.

use memchr::memchr;

use super::encoded::Text;
use super::{Found, What, ip, stand_in};

/// Finds every e-mail address of `text`; our own stand-ins are none.
pub(super) fn find(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut floor = 0;
    let mut search = 0;
    while let Some(offset) = memchr(b'@', &bytes[search..]) {
        let at = search + offset;
        let start = local_start(text, floor, at);
        let (address, next) = read_chain(bytes, start, at);
        search = next;
        let Some(address) = address else { continue };
        // `"a@b.example"@c.example`: what looked like an address was quoted in one.
        while found.pop_if(|earlier| earlier.end > start).is_some() {}
        floor = address.end;
        if !is_ours(bytes, &address) {
            found.push(address);
        }
    }
}

/// Reads `local@host`, or `local@relay@host`, whose first `@` cannot be told from the last.
///
/// Returns the longest address, and where to look for the next `@`.
fn read_chain(bytes: &[u8], start: usize, mut at: usize) -> (Option<Found>, usize) {
    let mut address = None;
    let mut local = start;
    loop {
        let (scanned, end) = host(bytes, at + 1);
        if local < at && is_address(bytes, local, at, end) {
            address = Some(Found { start, end, what: What::Email { at } });
        }
        let chained = local < at && scanned > at + 1 && bytes.get(scanned) == Some(&b'@');
        if !chained {
            return (address, scanned);
        }
        local = at + 1;
        at = scanned;
    }
}

fn is_ours(bytes: &[u8], address: &Found) -> bool {
    let What::Email { at } = address.what else { return false };
    stand_in::is_email(&bytes[address.start..at], &bytes[at + 1..address.end])
}

/// The form in which one mailbox is written one way: in small letters, the domain as DNS has it (RFC 5890), which is how
/// `bücher.example` and `xn--bcher-kva.example` are one. What is behind a `+` stays: it may be another person.
pub(super) fn canonical(address: &[u8]) -> String {
    if let Some(at) = address.windows(2).rposition(|pair| pair == b" @")
        && !address[..at].ends_with(b"\"")
        && memchr(b'@', &address[at + 2..]).is_none()
    {
        return canonical(&[&address[..at], &address[at + 1..]].concat());
    }
    if let (true, Ok(plain)) = (address.is_ascii(), std::str::from_utf8(address)) {
        return plain.to_ascii_lowercase();
    }
    let mut address = String::from_utf8_lossy(address).to_lowercase();
    if let Some(at) = address.rfind('@')
        && !address[at..].is_ascii()
        && let Ok(domain) = idna::domain_to_ascii(&address[at + 1..])
    {
        address.truncate(at + 1);
        address.push_str(&domain);
    }
    address
}

/// Where the local part before the `@` begins; `at` when there is none.
fn local_start(text: &Text<'_>, floor: usize, at: usize) -> usize {
    let bytes = text.bytes;
    match bytes[floor..at].last() {
        None => at,
        Some(b' ') => before_blank(text, floor, at),
        Some(b'"') => {
            let open = opening_quote(text, at - 1);
            // An obsolete form, but somebody's: `anna."van dam"@example.com`.
            run_start(bytes, floor.min(open), open)
        }
        // Odd but legal. Nothing tells where `#!$~@` begins, so all of it goes; a lone sign is a pattern
        // like `*@example.com`.
        Some(b'!' | b'$' | b'*' | b'^' | b'~' | b'}') => {
            let length = bytes[floor..at].iter().rev().take_while(|b| is_atext(**b)).count();
            if length > 1 { at - length } else { at }
        }
        // These part fields in logs and URLs more often than they end a name.
        Some(b'#' | b'&' | b'?' | b'{' | b'|') => match run_start(bytes, floor, at - 1) {
            start if start == at - 1 => at,
            start => start,
        },
        Some(_) => run_start(bytes, floor, at),
    }
}

/// `ada%20@example.com`: a blank that came with what was typed or pasted into a form. A plain one parts words, and of
/// `@example.com%20@example.org` neither is somebody's.
fn before_blank(text: &Text<'_>, floor: usize, at: usize) -> usize {
    let bytes = text.bytes;
    if !text.unit(at - 1).starts_with('%') {
        return at;
    }
    let start = run_start(bytes, floor, at - 1);
    let is_word_before = start < at - 1 && is_core(bytes[at - 2]);
    if is_word_before && !bytes[..start].ends_with(b"@") { start } else { at }
}

/// The quote that the one at `close` closes: the nearest that is written alike, since a quote in
/// quotes is escaped once more. Without one, the word before `close` is taken.
fn opening_quote(text: &Text<'_>, close: usize) -> usize {
    const FURTHEST: usize = 1024;
    let bytes = text.bytes;
    let written = text.unit(close);
    let is_alike = |open: &usize| bytes[*open] == b'"' && text.unit(*open) == written;
    let nearest = (close.saturating_sub(FURTHEST)..close).rev().find(is_alike);
    if let Some(open) = nearest.filter(|&open| is_opening(text, open, close)) {
        return open;
    }
    match run_start(bytes, 0, close) {
        start if start == close => close + 1,
        start => start,
    }
}

/// In `"domains": ["@example.com"]` the nearest quote before that of the `@` closes something else.
fn is_opening(text: &Text<'_>, open: usize, close: usize) -> bool {
    let inside = &text.bytes[open + 1..close];
    let follows_word = open.checked_sub(1).is_some_and(|before| match text.bytes[before] {
        b'"' => text.unit(before) == text.unit(open),
        byte => is_word(byte),
    });
    !follows_word && inside.iter().any(|&b| is_word(b)) && !inside.contains(&b'\n')
}

/// Where an unquoted local part begins that ends before `end`.
fn run_start(bytes: &[u8], floor: usize, end: usize) -> usize {
    let mut start = end;
    while start > floor {
        let byte = bytes[start - 1];
        let inside = start < end && start - 1 > floor;
        if is_core(byte) || (inside && is_inner(byte) && is_word(bytes[start]) && is_word(bytes[start - 2])) {
            start -= 1;
        } else if inside && byte == b'=' {
            match rewritten_sender(bytes, floor, start - 1, &bytes[start..end]) {
                Some(earlier) => start = earlier,
                None => break,
            }
        } else {
            break;
        }
    }
    // A `%` of a pattern, too: `like '%ada@example.com'`.
    while start < end && matches!(bytes[start], b'.' | b'-' | b'%') {
        start += 1;
    }
    start
}

/// `bounces+anna=example.com@lists.example`, `bounces-anna=example.com@…` and `SRS0=x=y=example.com=anna@…` hold another
/// address, where the `=` of `user=anna@example.com` ends a name.
fn rewritten_sender(bytes: &[u8], floor: usize, equals: usize, behind: &[u8]) -> Option<usize> {
    const ENDINGS: [&[u8]; 18] = [
        b"com", b"org", b"net", b"edu", b"gov", b"io", b"de", b"uk", b"fr", b"eu", b"nl", b"ch", b"at", b"us", b"jp",
        b"au", b"info", b"example",
    ];
    let length = bytes[floor..equals].iter().rev().take_while(|&&b| is_core(b) || b == b'=').count();
    let head = &bytes[equals - length..equals];
    let is_srs = head.get(..4).is_some_and(|h| h.eq_ignore_ascii_case(b"SRS0") || h.eq_ignore_ascii_case(b"SRS1"));
    // `client-email=anna.b@…` is no sender, `bounces-anna=example.com@…` names a host.
    let names_host = head.contains(&b'-')
        && memchr::memrchr(b'.', behind)
            .is_some_and(|dot| ENDINGS.iter().any(|e| behind[dot + 1..].eq_ignore_ascii_case(e)));
    (is_srs || head.contains(&b'+') || names_host).then_some(equals - length)
}

/// What nearly all local parts are made of. `%` too: whatever it means, it is not a border.
fn is_core(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%')
}

/// Of a local part when between letters, as in `o'brien`; around one they are punctuation.
fn is_inner(byte: u8) -> bool {
    matches!(byte, b'\'' | b'!' | b'$' | b'*' | b'^' | b'~')
}

/// RFC 5322 section 3.2.3, and everything outside ASCII (RFC 6531).
fn is_atext(byte: u8) -> bool {
    is_core(byte) || is_inner(byte) || matches!(byte, b'#' | b'&' | b'/' | b'=' | b'?' | b'`' | b'{' | b'|' | b'}')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Reads a host from `start`: how far its characters go, and where it ends without punctuation.
fn host(bytes: &[u8], start: usize) -> (usize, usize) {
    if bytes.get(start) == Some(&b'[') {
        let end = literal_end(bytes, start);
        return (end, end);
    }
    let mut scanned = start;
    let mut dotted = false;
    while let Some(&byte) = bytes.get(scanned) {
        let twice = byte == b'.' && bytes.get(scanned + 1) == Some(&b'.');
        if !(is_word(byte) || matches!(byte, b'.' | b'-' | b'_')) || (twice && dotted) {
            break;
        }
        dotted |= byte == b'.';
        scanned += 1;
    }
    let mut end = scanned;
    while end > start && !is_word(bytes[end - 1]) {
        end -= 1;
    }
    (scanned, end)
}

/// `[203.0.113.4]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3); `start` when it is neither.
fn literal_end(bytes: &[u8], start: usize) -> usize {
    const LONGEST: usize = 64;
    let inside = &bytes[start + 1..];
    let inner = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'%');
    let length = inside.iter().take(LONGEST).take_while(inner).count();
    if inside.get(length) != Some(&b']') {
        return start;
    }
    let mut literal = &inside[..length];
    if literal.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"IPv6:")) {
        literal = &literal[5..];
    }
    let text = std::str::from_utf8(literal).unwrap_or_default();
    let is_ip = ip::quad(literal).is_some() || text.parse::<std::net::Ipv6Addr>().is_ok();
    if is_ip { start + length + 2 } else { start }
}

/// Whether `bytes[local..at]` `@` `bytes[at + 1..end]` is an address, and no `lodash@4.17.21`.
fn is_address(bytes: &[u8], local: usize, at: usize, end: usize) -> bool {
    let host = &bytes[at + 1..end];
    match host.first() {
        None => false,
        Some(b'[') => true,
        Some(&first) if !is_word(first) && first != b'_' => false,
        Some(_) if !host.contains(&b'.') => is_lone_host(&bytes[..local], &bytes[local..at], host),
        Some(_) => ip::quad(host).is_some() || !(is_version(host) || is_image(host)),
    }
}

/// A host without a dot is one for `localhost`, or when something else says that this is an
/// address: a `mailto:`, an angle bracket, a name like `ada.lovelace` before it.
///
/// `actions/checkout@main`, `next@canary` and `image@sha256:…` are not.
fn is_lone_host(before: &[u8], local: &[u8], host: &[u8]) -> bool {
    const DIGESTS: [&[u8]; 5] = [b"sha256", b"sha512", b"sha384", b"sha1", b"md5"];
    let is_mailto = before.len() >= 7 && before[before.len() - 7..].eq_ignore_ascii_case(b"mailto:");
    let named = |b: &u8| b.is_ascii_alphabetic() || *b >= 0x80;
    // A workflow, at the branch or tag it is of.
    let is_file = local.ends_with(b".yml") || local.ends_with(b".yaml");
    let is_person = !is_file
        && local.first().is_some_and(named)
        && local.iter().any(|b| matches!(b, b'.' | b'+'))
        && named(&host[0])
        && !is_version(host)
        && !DIGESTS.iter().any(|digest| host.eq_ignore_ascii_case(digest));
    host.eq_ignore_ascii_case(b"localhost") || is_mailto || before.ends_with(b"<") || is_person
}

/// `1.2.3`, `v1.2`, `1.2.3-beta.1`; also `v4`.
fn is_version(host: &[u8]) -> bool {
    const STAGES: [&[u8]; 9] = [b"alpha", b"beta", b"rc", b"pre", b"dev", b"next", b"canary", b"snapshot", b"x"];
    let numbers = host.strip_prefix(b"v").or(host.strip_prefix(b"V")).unwrap_or(host);
    let mut labels = numbers.split(|&b| b == b'.');
    let is_number = |label: &[u8]| !label.is_empty() && label.iter().all(u8::is_ascii_digit);
    if !labels.next().is_some_and(is_number) {
        return false;
    }
    match labels.clone().next_back() {
        None => numbers.len() < host.len(),
        Some(last) => {
            labels.next().is_some_and(|second| second == b"x" || second.first().is_some_and(u8::is_ascii_digit))
                && (last.first().is_some_and(u8::is_ascii_digit) || STAGES.contains(&last))
        }
    }
}

/// `logo@2x.png`
fn is_image(host: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 6] = [b"png", b"jpg", b"jpeg", b"gif", b"webp", b"svg"];
    let Some(dot) = memchr(b'.', host) else { return false };
    let scale = host[..dot].strip_suffix(b"x").unwrap_or_default();
    !scale.is_empty() && scale.iter().all(u8::is_ascii_digit) && ENDINGS.contains(&&host[dot + 1..])
}
