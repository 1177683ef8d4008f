//! How a record is known again when the vendor hands it out twice.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Value, json};

/// The short form of a record's id that the journal remembers: 128 bits of SHA-256, so that ids of any length cost the
/// same and none of them has to be kept in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(pub [u8; 16]);

impl RecordKey {
    /// The key of the record with that id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self::of_bytes(id.as_bytes())
    }

    /// The key of something that is remembered of a record beside itself, named by `what`. No record has the same one.
    #[must_use]
    pub fn derived(self, what: &str) -> Self {
        Self::of_bytes(&[what.as_bytes(), b"\0", &self.0].concat())
    }

    /// The key of what is told by those bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(std::array::from_fn(|index| digest[index]))
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// An id for a record that has none: equal for equal content, whatever the order of its keys.
///
/// The top-level members named in `except` do not count. Ashby, for one, empties `request` after 30 days.
#[must_use]
pub fn fingerprint(record: Value, except: &[String]) -> String {
    let mut text = Vec::new();
    canonical(record, except, &mut text);
    RecordKey::of_bytes(&text).to_string()
}

fn canonical(value: Value, except: &[String], out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().filter(|member| !except.iter().any(|key| key == member.key)).collect();
            members.sort_by_key(|member| member.key);
            out.push(b'{');
            for member in members {
                json::encode(&Value::String(member.key), out);
                out.push(b':');
                canonical(member.value, &[], out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                canonical(*item, &[], out);
                out.push(b',');
            }
            out.push(b']');
        }
        scalar => json::encode(&scalar, out),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arena;
    use super::*;

    fn print(text: &str) -> String {
        let arena = Arena::new();
        fingerprint(json::decode(text.as_bytes(), &arena).unwrap(), &["request".to_owned()])
    }

    #[test]
    fn a_fingerprint_ignores_key_order_and_the_excepted_members() {
        let first = print(r#"{"a":1,"b":{"c":[1,2],"d":null},"request":{"ip":"192.0.2.1"}}"#);
        let later = print(r#"{"b":{"d":null,"c":[1,2]},"request":null,"a":1}"#);
        assert_eq!(first, later);
        assert_eq!(first.len(), 32);
    }

    #[test]
    fn a_fingerprint_tells_different_records_apart() {
        let texts =
            [r#"{"a":1}"#, r#"{"a":"1"}"#, r#"{"a":[1]}"#, r#"{"a":{"request":1}}"#, r#"{"a":{}}"#, r#"{"a":[1,2]}"#];
        let prints: std::collections::HashSet<_> = texts.iter().map(|text| print(text)).collect();
        assert_eq!(prints.len(), texts.len());
    }
}
