//! IPv4 and IPv6 addresses, and what only looks like them.
//!
//! Two finders, each one walk from left to right that never looks at a byte more than a few times:
//! a run of digits and dots, or of hexadecimal groups and colons, is read whole, judged once, and
//! the walk goes on behind it. In doubt it is an address, because a miss is worse than a stand-in
//! too many; the exceptions are the look-alikes that audit logs are full of, each named below.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use super::encoded::Text;
use super::{Found, What, key};

/// Finds every IPv4 address of `text`.
pub(super) fn find_v4(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut floor = 0;
    while let Some(offset) = memchr(b'.', &bytes[floor..]) {
        let dot = floor + offset;
        if !digit_at(bytes, dot + 1) || dot == floor || !bytes[dot - 1].is_ascii_digit() {
            floor = dot + 1;
            continue;
        }
        let start = dot - bytes[floor..dot].iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let end = dot + bytes[dot..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        dotted_run(bytes, start, end, found);
        floor = end;
    }
}

/// Finds the addresses in a run of digits and dots: one, unless `..` parts it.
fn dotted_run(bytes: &[u8], start: usize, end: usize, found: &mut Vec<Found>) {
    let mut at = start;
    while at < end {
        let run = &bytes[at..end];
        let length = run.windows(2).position(|pair| pair == b"..").unwrap_or(run.len());
        let mut stop = at + length;
        let next = stop + 2;
        while stop > at && bytes[stop - 1] == b'.' {
            stop -= 1;
        }
        while at < stop && bytes[at] == b'.' {
            at += 1;
        }
        let stop = at + address_before_port(&bytes[at..stop]).unwrap_or(stop - at);
        if let Some(address) = quad(&bytes[at..stop])
            && !address.is_unspecified()
            && !is_version(bytes, at, stop)
        {
            found.push(reverse_name(bytes, address, at, stop));
        }
        at = next;
    }
}

/// Exactly four decimal parts up to 255; leading zeros are read as decimal, as people do.
pub(super) fn quad(text: &[u8]) -> Option<Ipv4Addr> {
    if text.len() > 15 {
        return None;
    }
    let mut octets = [0; 4];
    let mut count = 0;
    for part in text.split(|&b| b == b'.') {
        if !(1..=3).contains(&part.len()) || count == 4 || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = part.iter().fold(0, |number: u16, digit| number * 10 + u16::from(digit - b'0'));
        octets[count] = u8::try_from(number).ok()?;
        count += 1;
    }
    (count == 4).then(|| Ipv4Addr::from(octets))
}

/// How long the address is in `203.0.113.4.443`, as `tcpdump` writes a port. Object identifiers begin with 0, 1 or 2.
fn address_before_port(run: &[u8]) -> Option<usize> {
    let dot = run.iter().rposition(|b| *b == b'.')?;
    let (address, port) = (quad(&run[..dot])?, &run[dot + 1..]);
    if !(1..=5).contains(&port.len()) || port[0] == b'0' {
        return None;
    }
    let number = port.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))?;
    (number <= u32::from(u16::MAX) && address.octets()[0] > 2).then_some(dot)
}

/// Four numbers that are a version: `v1.2.3.4`, `1.2.3.4-beta`, `1.2.3.4rc1`, `Chrome/120.0.0.0`.
///
/// Any other word that touches them is one that somebody forgot to part from an address.
fn is_version(bytes: &[u8], start: usize, end: usize) -> bool {
    is_called_version(&bytes[..start]) || is_prerelease(bytes, start, end) || is_product(bytes, start, end)
}

pub(super) fn is_called_version(before: &[u8]) -> bool {
    const WORDS: [&[u8]; 7] = [b"v", b"ver", b"version", b"rel", b"release", b"build", b"rev"];
    const LONGEST: usize = 7;
    let length = before.iter().rev().take(LONGEST + 1).take_while(|b| b.is_ascii_alphabetic()).count();
    let word = &before[before.len() - length..];
    WORDS.iter().any(|version| word.eq_ignore_ascii_case(version))
}

/// What a version's first number can be where nothing but what follows speaks for one. Of software that is told by four
/// numbers hardly any has come further, and addresses of people nearly all begin higher; 10 is what private ones begin with.
fn may_begin_version(number: &[u8]) -> bool {
    const HIGHEST: u16 = 31;
    let number = number.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n: u16, b| n * 10 + u16::from(b - b'0'));
    number <= HIGHEST && number != 10
}

/// `1.2.3.4-beta`. Hosts are named like that, too (`203.0.113.4-dev`), so the number has to be one that a version begins
/// with, and a low one before the words that hosts bear more often; or a word before it says that it is a version.
fn is_prerelease(bytes: &[u8], start: usize, end: usize) -> bool {
    const STAGES: [&[u8]; 6] = [b"alpha", b"beta", b"rc", b"snapshot", b"canary", b"nightly"];
    const OF_HOSTS: [&[u8]; 6] = [b"pre", b"dev", b"preview", b"release", b"ga", b"build"];
    let rest = &bytes[end..];
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let is_one = |stage: &&[u8]| starts_with_ignoring_case(rest, stage) && !letter_at(rest, stage.len());
    let (is_stage, is_of_hosts) = (STAGES.iter().any(is_one), OF_HOSTS.iter().any(is_one));
    if !(is_stage || is_of_hosts) {
        return false;
    }
    let is_low = bytes.get(start + 1) == Some(&b'.');
    let before = bytes[..start].strip_suffix(b" ").or_else(|| bytes[..start].strip_suffix(b"-"));
    (may_begin_version(&bytes[start..end]) && (is_stage || is_low)) || before.is_some_and(is_called_version)
}

/// The version of a product in a user agent (RFC 9110 section 10.1.5), as in `Chrome/120.0.0.0`.
///
/// `hosts/203.0.113.4` and `https://203.0.113.4` have the same shape. So the name must stand where a
/// product can, and the number must end in `.0.0`, which is a network at most and nobody's machine; or the name must be a
/// product's in what a browser sends. Either of these alone is not enough (`Zoom/203.0.113.4` may be what somebody called
/// from): then the number has to be one that a version begins with.
fn is_product(bytes: &[u8], start: usize, end: usize) -> bool {
    // As they write themselves: `slack/203.0.113.4` is a channel's or a path.
    const PRODUCTS: [&[u8]; 23] = [
        b"Chrome",
        b"Chromium",
        b"HeadlessChrome",
        b"CriOS",
        b"Edg",
        b"Edge",
        b"EdgA",
        b"EdgiOS",
        b"OPR",
        b"Opera",
        b"Firefox",
        b"FxiOS",
        b"Safari",
        b"Version",
        b"Electron",
        b"Slack",
        b"Teams",
        b"Zoom",
        b"Outlook",
        b"SamsungBrowser",
        b"YaBrowser",
        b"Vivaldi",
        b"Brave",
    ];
    // Whose second number is 0, and whose first has long been more than others' ever is.
    const OF_CHROMIUM: [&[u8]; 8] =
        [b"Chrome", b"Chromium", b"HeadlessChrome", b"CriOS", b"Edg", b"Edge", b"EdgA", b"EdgiOS"];
    const LONGEST_NAME: usize = 32;
    let Some(before) = bytes[..start].strip_suffix(b"/") else { return false };
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let length = before.iter().rev().take(LONGEST_NAME).take_while(is_name).count();
    let (before, name) = before.split_at(before.len() - length);
    let stands_alone =
        matches!(before.last(), None | Some(b' ' | b'\n' | b'\t' | b'+' | b'"' | b'\'' | b'(' | b';' | b',' | b'='));
    if !stands_alone || !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    let of_browser = starts_with_ignoring_case(bytes, b"mozilla/");
    let known = PRODUCTS.contains(&name);
    let second = bytes[start..end].split(|b| *b == b'.').nth(1);
    bytes[start..end].ends_with(b".0.0")
        || (OF_CHROMIUM.contains(&name) && second == Some(b"0"))
        || (of_browser && known)
        || ((of_browser || known) && may_begin_version(&bytes[start..end]))
}

/// `4.113.0.203.in-addr.arpa` is 203.0.113.4 (RFC 1035 section 3.5).
fn reverse_name(bytes: &[u8], address: Ipv4Addr, start: usize, end: usize) -> Found {
    const SUFFIX: &[u8] = b".in-addr.arpa";
    if !starts_with_ignoring_case(&bytes[end..], SUFFIX) {
        return Found { start, end, what: What::Ip(address.into()) };
    }
    let [a, b, c, d] = address.octets();
    Found { start, end: end + SUFFIX.len(), what: What::Ip(Ipv4Addr::new(d, c, b, a).into()) }
}

/// Finds the 32 nibbles before `.ip6.arpa` (RFC 3596 section 2.5).
pub(super) fn find_ip6_arpa(text: &Text<'_>, found: &mut Vec<Found>) {
    const SUFFIX: &[u8] = b".ip6.arpa";
    const NIBBLES: usize = 63;
    let bytes = text.bytes;
    let mut floor = 0;
    while let Some(offset) = memchr(b'6', &bytes[floor..]) {
        let six = floor + offset;
        floor = six + 1;
        let Some(end) = six.checked_sub(3) else { continue };
        let Some(start) = end.checked_sub(NIBBLES) else { continue };
        if !starts_with_ignoring_case(&bytes[end..], SUFFIX) {
            continue;
        }
        let nibbles = bytes[start..end].rchunks(2).map(|pair| match pair {
            [b'.', nibble] | [nibble] => (*nibble as char).to_digit(16),
            _ => None,
        });
        // The last label is the first nibble.
        let value = nibbles.into_iter().try_fold(0u128, |value, nibble| Some(value << 4 | u128::from(nibble?)));
        if let Some(value) = value.filter(|value| *value != 0) {
            found.push(Found { start, end: end + SUFFIX.len(), what: What::Ip(Ipv6Addr::from(value).into()) });
        }
    }
}

/// Finds every IPv6 address of `text`, with its zone.
pub(super) fn find_v6(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut floor = 0;
    while let Some(offset) = memchr(b':', &bytes[floor..]) {
        let run = Run::read(bytes, floor, floor + offset);
        if let Some((address, mut end)) = run.judge() {
            end = zone_end(bytes, end);
            found.push(Found { start: run.start, end, what: What::Ip(address.into()) });
        }
        floor = run.next;
    }
}

/// Finds our own IPv6 stand-ins, and addresses that are nobody's.
pub(super) fn find_own(bytes: &[u8], mut each: impl FnMut(usize, usize, Ipv6Addr)) {
    let mut floor = 0;
    while let Some(offset) = memchr(b':', &bytes[floor..]) {
        let run = Run::read(bytes, floor, floor + offset);
        if let Some(address) = run.own() {
            each(run.start, run.end, address);
        }
        floor = run.next;
    }
}

fn is_stand_in(address: Ipv6Addr) -> bool {
    key::is_ip_pseudonym(address) || key::is_sealed_v4(address)
}

/// Hexadecimal groups with colons between them, as they stand in the text.
///
/// A word before the run is a label (`src:2001:db8::1`) or a path (`std::add`); its colon is not of
/// the run. Neither is one after it.
#[derive(Debug, Default)]
struct Run {
    start: usize,
    end: usize,
    /// Where the search goes on.
    next: usize,
    groups: [u16; 8],
    /// How many groups there are, also beyond eight.
    count: usize,
    /// How many `::` there are; `:::` is two.
    gaps: usize,
    /// How many groups stand before the first gap.
    before_gap: usize,
    pairs: usize,
    has_digit: bool,
    has_long_group: bool,
    /// Where the last group begins, and whether it is a decimal number.
    last: usize,
    last_is_decimal: bool,
}

impl Run {
    /// Reads the run that the colon at `colon` belongs to; nothing before `floor` does.
    fn read(bytes: &[u8], floor: usize, colon: usize) -> Run {
        let mut run = Run::default();
        let word = bytes[floor..colon].iter().rev().take(5).take_while(|b| b.is_ascii_alphanumeric()).count();
        let mut at = colon;
        run.start = colon;
        if word > 0 {
            match group(bytes, colon - word) {
                Some(end) => {
                    run.start = colon - word;
                    run.push(bytes, run.start, end);
                }
                None if begins_grown_together(&bytes[colon - word..colon]) => {
                    run.start = colon - 4;
                    run.push(bytes, run.start, colon);
                }
                None => {
                    run.start = colon + 1;
                    at = colon + 1;
                }
            }
        }
        run.read_on(bytes, at);
        run
    }

    fn read_on(&mut self, bytes: &[u8], mut at: usize) {
        loop {
            self.end = at;
            let colons = bytes[at..].iter().take_while(|&&b| b == b':').count();
            at += colons;
            self.next = at;
            let group_end = group(bytes, at).or_else(|| self.last_group(bytes, at));
            if colons == 1 && self.count == 0 && self.start == self.end {
                self.start = at;
            } else if colons > 1 && (group_end.is_some() || !letter_or_digit_at(bytes, at)) {
                if self.gaps == 0 {
                    self.before_gap = self.count;
                }
                self.gaps += colons - 1;
                self.end = at;
            }
            let Some(group_end) = group_end else { return };
            if bytes.get(group_end) == Some(&b'.')
                && let Some((address, end)) = embedded(bytes, at)
            {
                self.push_embedded(address, end);
                return;
            }
            self.push(bytes, at, group_end);
            at = group_end;
            self.end = at;
            self.next = at;
            if bytes.get(at) != Some(&b':') {
                return;
            }
        }
    }

    /// A group that a word follows at once, `2001:db8::1and`, where what is before it is more than a path's beginning.
    fn last_group(&self, bytes: &[u8], start: usize) -> Option<usize> {
        let is_more = self.has_digit && (self.count > 1 || (self.count == 1 && self.has_long_group));
        let digits = bytes[start..].iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
        let has_digit = bytes[start..start + digits].iter().any(u8::is_ascii_digit);
        (is_more && has_digit && (1..=4).contains(&digits)).then_some(start + digits)
    }

    fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        let digits = &bytes[start..end];
        if let Some(slot) = self.groups.get_mut(self.count) {
            *slot = digits.iter().fold(0, |n, b| n << 4 | (*b as char).to_digit(16).unwrap_or(0) as u16);
        }
        self.count += 1;
        self.pairs += usize::from(digits.len() == 2);
        self.has_digit |= digits.iter().any(u8::is_ascii_digit);
        self.has_long_group |= digits.len() == 4;
        self.last = start;
        self.last_is_decimal = digits.iter().all(u8::is_ascii_digit);
    }

    /// `::ffff:203.0.113.4`; where the dotted part does not fit, `12:203.0.113.4`, it stands alone.
    fn push_embedded(&mut self, address: Ipv4Addr, end: usize) {
        if !matches!((self.gaps, self.count), (1, ..=5) | (0, 6)) {
            return;
        }
        let [a, b, c, d] = address.octets();
        self.groups[self.count] = u16::from_be_bytes([a, b]);
        self.groups[self.count + 1] = u16::from_be_bytes([c, d]);
        self.count += 2;
        self.has_digit = true;
        self.end = end;
        self.next = end;
    }

    /// The address and where it ends.
    ///
    /// Not addresses: times and ratios (too few groups), MACs, EUI-64 and fingerprints (all groups
    /// are pairs), paths like `a::b` (no digit, and too short to be more than words).
    fn judge(&self) -> Option<(Ipv6Addr, usize)> {
        let mut end = self.end;
        let plausible = match (self.gaps, self.count) {
            (0, ..8) => false,
            (0, 8) => self.pairs < 8,
            (0, 9) if self.last_is_decimal && self.pairs + 1 < self.count => {
                end = self.last - 1;
                true
            }
            (0, _) => self.pairs + 1 < self.count,
            (1, 0) => false,
            // `B::C1` is a path: nobody has addresses below 2000::, but for those of translation and of nothing.
            (1, 2)
                if self.before_gap == 1 && self.groups[0] < 0x2000 && !matches!(self.groups[0], 0 | 0x64 | 0x100) =>
            {
                false
            }
            (1, 1..8) => self.has_digit || self.has_long_group || self.count >= 3,
            // Not one address but not a path either: a label or port grown together with one.
            _ => self.has_digit && self.count > 0,
        };
        let address = self.address();
        let well_formed = end < self.end || self.count + self.gaps <= 8;
        let ours = is_stand_in(address) && well_formed;
        (plausible && !ours && !address.is_unspecified()).then_some((address, end))
    }

    /// The address, if it is a stand-in or nobody's.
    fn own(&self) -> Option<Ipv6Addr> {
        let well_formed = matches!((self.gaps, self.count), (0, 8) | (1, ..8));
        Some(self.address()).filter(|address| well_formed && (is_stand_in(*address) || address.is_unspecified()))
    }

    fn address(&self) -> Ipv6Addr {
        let count = self.count.min(8);
        let mut groups = [0; 8];
        let split = if self.gaps > 0 { self.before_gap.min(count) } else { count };
        groups[..split].copy_from_slice(&self.groups[..split]);
        groups[8 - (count - split)..].copy_from_slice(&self.groups[split..count]);
        Ipv6Addr::from(groups)
    }
}

/// The first group of an address in use, with a letter before it that is of a word: `h2001`, `xfe80`.
fn begins_grown_together(word: &[u8]) -> bool {
    let &[letter, first, _, _, _] = word else { return false };
    let group = &word[1..];
    letter.is_ascii_alphabetic()
        && matches!(first, b'2' | b'3' | b'f' | b'F')
        && group.iter().all(u8::is_ascii_hexdigit)
        && group.iter().any(u8::is_ascii_digit)
}

/// The end of a group of one to four hexadecimal digits, if one begins here.
fn group(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = bytes[start..].iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    let end = start + digits;
    ((1..=4).contains(&digits) && !letter_or_digit_at(bytes, end)).then_some(end)
}

/// The dotted quad that begins here.
fn embedded(bytes: &[u8], start: usize) -> Option<(Ipv4Addr, usize)> {
    let length = bytes[start..].iter().take(23).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let run = &bytes[start..start + length];
    let trimmed = run.len() - run.iter().rev().take_while(|&&b| b == b'.').count();
    let end = address_before_port(&run[..trimmed]).unwrap_or(trimmed);
    let address = quad(&run[..end])?;
    (!digit_at(bytes, start + length)).then_some((address, start + end))
}

/// `%eth0` behind a link-local address (RFC 4007 section 11).
///
/// Windows numbers its zones: whether `%12` is one or an escape, the caller has to find out.
fn zone_end(bytes: &[u8], end: usize) -> usize {
    const LONGEST_ZONE: usize = 64;
    if bytes.get(end) != Some(&b'%') || !letter_or_digit_at(bytes, end + 1) {
        return end;
    }
    let is_zone = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let mut length = bytes[end + 1..].iter().take(LONGEST_ZONE).take_while(is_zone).count();
    while !bytes[end + length].is_ascii_alphanumeric() {
        length -= 1;
    }
    end + 1 + length
}

fn digit_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

fn letter_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphabetic)
}

fn letter_or_digit_at(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

fn starts_with_ignoring_case(bytes: &[u8], start: &[u8]) -> bool {
    bytes.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// The network an address is in: /24 for IPv4, /48 for IPv6.
///
/// An IPv4 address inside an IPv6 one is cut as IPv4, also in 6to4 (`2002::/16`), whose /48 would
/// hold all of it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    let v6 = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            return Ipv4Addr::new(a, b, c, 0).into();
        }
        IpAddr::V6(v6) => v6,
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        let [a, b, c, _] = v4.octets();
        return Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped().into();
    }
    let [a, b, c, ..] = v6.segments();
    let c = if a == 0x2002 { c & 0xFF00 } else { c };
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
}
