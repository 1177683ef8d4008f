//! A value that is never printed: tokens, passwords, keys.
//!
//! A secret knows where it came from, so that a message can name the variable or the file while the value stays inside.

mod hidden;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

pub use self::hidden::Hidden;

/// The newtype name by which a deserializer learns that a secret is asked for.
///
/// One that knows it looks the value up and hands the visitor a sequence of three strings: `env`, `file` or `literal`;
/// the variable's name or the path; the value. Any other hands over a plain string, which becomes a literal.
pub const SECRET_NAME: &str = "$auditline::Secret";

/// Where a secret came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The environment variable of this name.
    Env(String),
    /// The file at this path.
    File(PathBuf),
    /// Written out in the configuration.
    Literal,
}

/// A value that `Debug` and `Display` print as `***`. Never empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret {
    value: String,
    origin: Origin,
}

/// Why there is no secret where one was promised.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment has no such variable.
    #[error("environment variable `{0}` is not set")]
    NotSet(String),
    /// There is a variable, a file or a literal, and nothing in it.
    #[error("{0} is empty")]
    Empty(String),
    /// The file cannot be read, or is not UTF-8.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Secret {
    /// A secret that was written out.
    pub fn literal(value: impl Into<String>) -> Result<Self, SecretError> {
        Self::new(value.into(), Origin::Literal, || "the secret".to_owned())
    }

    /// The secret in the variable `name` of `environment`.
    pub fn from_env(name: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Self, SecretError> {
        let value = environment(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?;
        Self::new(value, Origin::Env(name.to_owned()), || format!("environment variable `{name}`"))
    }

    /// The secret in the file at `path`, without the one line break an editor or `echo` leaves at its end.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        Self::new(line.to_owned(), Origin::File(path.to_owned()), || format!("`{}`", path.display()))
    }

    fn new(value: String, origin: Origin, what: impl Fn() -> String) -> Result<Self, SecretError> {
        if value.is_empty() {
            return Err(SecretError::Empty(what()));
        }
        Ok(Self { value, origin })
    }

    /// The value itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Where it came from, fit to be printed.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SECRET_NAME, SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
        // The deserializer's own words would quote the value.
        let value =
            String::deserialize(deserializer).map_err(|_| de::Error::custom("expected a secret as a string"))?;
        Secret::literal(value).map_err(de::Error::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Secret, A::Error> {
        let mut next = || {
            parts
                .next_element::<String>()?
                .ok_or_else(|| de::Error::custom("expected a secret's origin, name and value"))
        };
        let (kind, name, value) = (next()?, next()?, next()?);
        let origin = match kind.as_str() {
            "env" => Origin::Env(name),
            "file" => Origin::File(name.into()),
            _ => Origin::Literal,
        };
        Secret::new(value, origin, || "the secret".to_owned()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_printed() {
        let secret = Secret::literal("hunter2").unwrap();
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn comes_from_the_environment() {
        let environment = |name: &str| (name == "TOKEN").then(|| "abc".to_owned());
        let secret = Secret::from_env("TOKEN", environment).unwrap();
        assert_eq!(secret.expose(), "abc");
        assert_eq!(secret.origin(), &Origin::Env("TOKEN".to_owned()));
        let error = Secret::from_env("OTHER", environment).unwrap_err();
        assert_eq!(error.to_string(), "environment variable `OTHER` is not set");
        let error = Secret::from_env("TOKEN", |_| Some(String::new())).unwrap_err();
        assert_eq!(error.to_string(), "environment variable `TOKEN` is empty");
    }

    #[test]
    fn a_file_loses_one_line_break_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, value) in [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), (" a\n\n", " a\n")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(Secret::from_file(&path).unwrap().expose(), value);
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Empty(_))));
        let missing = Secret::from_file(&folder.path().join("none"));
        assert!(matches!(missing, Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn a_plain_format_yields_a_literal_and_errors_without_the_value() {
        let secret: Secret = serde_json::from_str("\"abc\"").unwrap();
        assert_eq!((secret.expose(), secret.origin()), ("abc", &Origin::Literal));
        let error = serde_json::from_str::<Secret>("8675309").unwrap_err();
        assert!(!error.to_string().contains("8675309"), "{error}");
        assert!(serde_json::from_str::<Secret>("\"\"").is_err());
    }
}
