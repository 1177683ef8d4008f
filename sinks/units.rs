//! Durations and sizes as people write them: `"1h30m"`, `"64MiB"`.
//!
//! Parsed here and not by a crate: those at hand take a number without a unit, read `M` as a month or round in silence,
//! and a limit that is not what its author meant is worse than an error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A span of time, written as whole numbers with units, the largest first: `250ms`, `15m`, `1h30m`, `7d`.
///
/// Units are `w`, `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. A day has 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// A number of bytes, written with its unit: `512B`, `10GB` (10 × 1000³), `64MiB` (64 × 1024²).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Text that is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`{}", told(meant.as_ref()))]
pub struct UnitError {
    expected: &'static str,
    found: String,
    /// What was probably meant, as it is written.
    meant: Option<String>,
}

fn told(meant: Option<&String>) -> String {
    meant.map(|meant| format!("; write `{meant}`")).unwrap_or_default()
}

const DURATION: &str = "a duration such as `250ms`, `15m` or `1h30m`";
const SIZE: &str = "a size such as `512B`, `10GB` or `64MiB`";

/// In nanoseconds.
const TIMES: [(&str, u128); 8] = [
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The number at the start of `text`, the unit behind it, and what follows.
fn quantity(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit);
    Some((number.parse().ok()?, unit, rest))
}

fn nanoseconds(mut text: &str) -> Option<u128> {
    let mut total: u128 = 0;
    let mut units = TIMES.iter();
    loop {
        let (number, unit, rest) = quantity(text)?;
        // Searching on from the last unit is what keeps them in order and each of them single.
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        total += u128::from(number) * length;
        if rest.is_empty() {
            return Some(total);
        }
        text = rest;
    }
}

/// The units that people write in words. A lone capital is none of them: `5M` may be minutes and may be months.
const SPOKEN_TIMES: [(&str, &[&str]); 7] = [
    ("w", &["w", "week", "weeks"]),
    ("d", &["d", "day", "days"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("ms", &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
    ("us", &["us", "µs", "microsecond", "microseconds"]),
];

/// What else stands for a unit of size: without regard to case, and as Kubernetes and people write it.
const SPOKEN_SIZES: [(&str, &[&str]); 9] = [
    ("TiB", &["tib", "ti", "tebibyte", "tebibytes"]),
    ("TB", &["tb", "t", "terabyte", "terabytes"]),
    ("GiB", &["gib", "gi", "gibibyte", "gibibytes"]),
    ("GB", &["gb", "g", "gigabyte", "gigabytes"]),
    ("MiB", &["mib", "mi", "mebibyte", "mebibytes"]),
    ("MB", &["mb", "m", "megabyte", "megabytes"]),
    ("KiB", &["kib", "ki", "kibibyte", "kibibytes"]),
    ("KB", &["kb", "k", "kilobyte", "kilobytes"]),
    ("B", &["b", "byte", "bytes"]),
];

/// Numbers and the words behind them, with blanks, commas and `and` between: `1 hour and 30 minutes`.
fn spoken(text: &str) -> Option<Vec<(u64, &str)>> {
    let is_between = |c: char| c.is_whitespace() || c == ',';
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let after = after.trim_start();
        let (word, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        found.push((number.parse().ok()?, word));
        rest = after.trim_start_matches(is_between);
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    (!found.is_empty()).then_some(found)
}

fn meant_duration(text: &str) -> Option<String> {
    let mut written = String::new();
    for (number, word) in spoken(text)? {
        let lower = if word.len() == 1 { word.to_owned() } else { word.to_lowercase() };
        let (unit, _) = SPOKEN_TIMES.iter().find(|(_, words)| words.contains(&lower.as_str()))?;
        written += &format!("{number}{unit}");
    }
    nanoseconds(&written).map(|_| written)
}

fn meant_size(text: &str) -> Option<String> {
    let [(number, word)] = spoken(text)?.try_into().ok()?;
    let word = word.to_lowercase();
    let (unit, _) = SPOKEN_SIZES.iter().find(|(_, words)| words.contains(&word.as_str()))?;
    Some(format!("{number}{unit}"))
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let duration = nanoseconds(text).and_then(|total| {
            let seconds = u64::try_from(total / 1_000_000_000).ok()?;
            Some(Duration::new(seconds, (total % 1_000_000_000) as u32))
        });
        duration.map(Self).ok_or_else(|| UnitError {
            expected: DURATION,
            found: text.to_owned(),
            meant: meant_duration(text),
        })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_nanos();
        if left == 0 {
            return f.write_str("0s");
        }
        // `7d` reads better than `1w`, and nobody writes `1w3d`.
        for (unit, length) in &TIMES[1..] {
            if left >= *length {
                write!(f, "{}{unit}", left / length)?;
                left %= length;
            }
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let size = quantity(text).filter(|(.., rest)| rest.is_empty());
        let size = size.and_then(|(number, unit, _)| {
            let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*bytes)
        });
        size.map(Self).ok_or_else(|| UnitError { expected: SIZE, found: text.to_owned(), meant: meant_size(text) })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl From<ByteSize> for u64 {
    fn from(size: ByteSize) -> Self {
        size.0
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Quantity(DURATION, PhantomData))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Quantity(SIZE, PhantomData))
    }
}

/// As people write it, so that a schema can show a default.
impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let units: String = TIMES.iter().map(|(unit, _)| format!("([0-9]+{unit})?")).collect();
        json_schema!({
            "title": "duration",
            "description": "A span of time in whole numbers with units, the largest first: `\"250ms\"`, `\"15m\"`, \
                `\"1h30m\"`, `\"7d\"`. Units are `w`, `d`, `h`, `m`, `s`, `ms`, `us` and `ns`; a day has 24 hours.",
            "type": "string",
            "pattern": format!("^{units}$"),
            "minLength": 1,
        })
    }
}

struct Quantity<T>(&'static str, PhantomData<T>);

impl<T> Visitor<'_> for Quantity<T>
where
    T: FromStr<Err = UnitError>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    // A number without a unit is the likeliest mistake: answer it with the example, not with serde's words.
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_slip_is_told_with_what_to_write() {
        let told = |error: UnitError| error.to_string().split_once("; write ").map(|(_, meant)| meant.to_owned());
        for (text, meant) in [
            ("5 minutes", "5m"),
            ("5 min", "5m"),
            ("1 hour and 30 minutes", "1h30m"),
            ("1 Day, 2 hrs", "1d2h"),
            ("30sec", "30s"),
            ("250 ms", "250ms"),
        ] {
            assert_eq!(told(text.parse::<HumanDuration>().unwrap_err()), Some(format!("`{meant}`")), "{text}");
        }
        for text in ["5M", "5", "one hour", "minutes", "", "30m 1h", "1.5 h", "-5 minutes"] {
            assert_eq!(told(text.parse::<HumanDuration>().unwrap_err()), None, "{text}");
        }
        for (text, meant) in
            [("10 GiB", "10GiB"), ("10gb", "10GB"), ("64Mi", "64MiB"), ("1 byte", "1B"), ("512 megabytes", "512MB")]
        {
            assert_eq!(told(text.parse::<ByteSize>().unwrap_err()), Some(format!("`{meant}`")), "{text}");
        }
        for text in ["10", "GiB", "10 Q", "1GiB 5MB", "1.5GiB"] {
            assert_eq!(told(text.parse::<ByteSize>().unwrap_err()), None, "{text}");
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("0s", 0),
            ("90s", 90_000),
        ] {
            let duration: HumanDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named_beside_an_example() {
        let error = "15".parse::<HumanDuration>().unwrap_err();
        assert_eq!(error.to_string(), "expected a duration such as `250ms`, `15m` or `1h30m`, found `15`");
        for text in [
            "",
            "m",
            "1 h",
            "1M",
            "1y",
            "30m1h",
            "1h1h",
            "-1s",
            "1.5h",
            "1h ",
            "99999999999999999999s",
            "18446744073709551615w",
        ] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_so_that_they_read_back() {
        for nanos in [0, 1, 999, 1_000_000, 5_400_000_000_000, 90_061_001_002_003, u64::MAX] {
            let duration = HumanDuration(Duration::from_nanos(nanos));
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        assert_eq!(HumanDuration(Duration::from_secs(5400)).to_string(), "1h30m");
        assert_eq!(HumanDuration(Duration::MAX).to_string().parse(), Ok(HumanDuration(Duration::MAX)));
    }

    #[test]
    fn sizes_need_a_unit_and_print_so_that_they_read_back() {
        for (text, bytes) in [("512B", 512), ("10GB", 10_000_000_000), ("64MiB", 67_108_864), ("1kB", 1000), ("0B", 0)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "512", "64 MiB", "64mib", "1.5GB", "-1B", "1B1B", "99999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for bytes in [0, 1, 1000, 1024, 1536, 67_108_864, 10_000_000_000, u64::MAX] {
            assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
        assert_eq!(ByteSize(67_108_864).to_string(), "64MiB");
    }

    #[test]
    fn a_bare_number_is_answered_with_an_example() {
        let error = serde_json::from_str::<ByteSize>("512").unwrap_err();
        assert!(error.to_string().starts_with("expected a size such as `512B`, `10GB` or `64MiB`, found `512`"));
        assert_eq!(serde_json::from_str::<HumanDuration>("\"1s\"").unwrap().0.as_secs(), 1);
        assert_eq!(serde_json::to_string(&HumanDuration(Duration::from_secs(90))).unwrap(), "\"1m30s\"");
    }
}
