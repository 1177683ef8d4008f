//! Where requests go: a URL that may name vendor, pipeline, day and hour.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::secret::Secret;
use crate::template::{Place, Template};
use crate::{Batch, DeliveryError, Record};

/// `https://siem.example.com/audit/{vendor}?day={date}`: scheme and host are fixed, what follows may hold placeholders.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    template: Template,
    /// With an `x` for each placeholder: the same scheme and host as every other.
    sample: Url,
}

impl Target {
    fn new(text: &str) -> Result<Self, String> {
        let expected = || "expected a URL such as `https://siem.example.com/audit`".to_owned();
        let template: Template = text.parse().map_err(|error: crate::template::TemplateError| error.to_string())?;
        let prefix = template.literal_prefix();
        let scheme = prefix.find("://").ok_or_else(expected)?;
        let host_ends = prefix[scheme + 3..].find(['/', '?']);
        if host_ends.is_none() && template.literal().is_none() {
            return Err("scheme and host of a URL are fixed: placeholders stand in its path or its query".to_owned());
        }
        let sample = Url::parse(&template.sample()).map_err(|_| expected())?;
        if !matches!(sample.scheme(), "http" | "https") || !sample.has_host() {
            return Err(expected());
        }
        if !sample.username().is_empty() || sample.password().is_some() {
            return Err("credentials do not belong into a URL: use the key `auth`".to_owned());
        }
        if sample.fragment().is_some() {
            return Err("a fragment is never sent: leave out what follows `#`".to_owned());
        }
        Ok(Self { template, sample })
    }

    /// A URL on the same server.
    pub fn sample(&self) -> &Url {
        &self.sample
    }

    /// Whether records of one batch may go to different URLs.
    pub fn varies(&self) -> bool {
        self.template.varies()
    }

    /// The URL of a record. What a placeholder stands for never leaves its segment or its part of the query.
    pub fn of(&self, batch: &Batch, record: &Record, secret_path: Option<&Secret>) -> Result<Url, DeliveryError> {
        let text = self.template.render(batch, record, Place::Url);
        let wrong = |_| DeliveryError::Refused {
            message: format!("`{self}` makes no URL for pipeline `{}`", batch.pipeline),
            hint: "check `url`".to_owned(),
            source: None,
        };
        let mut url = Url::parse(&text).map_err(wrong)?;
        if let Some(secret) = secret_path {
            let path = format!("{}{}", url.path(), secret.expose());
            url.set_path(&path);
        }
        Ok(url)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a token after all.
        let text = self.template.to_string();
        f.write_str(text.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::numbered;

    fn url(target: &str, pipeline: &str, secret: Option<&str>) -> String {
        let batch = numbered(pipeline, 1, 1);
        let secret = secret.map(|secret| Secret::literal(secret).unwrap());
        Target::new(target).unwrap().of(&batch, &batch.records[0], secret.as_ref()).unwrap().to_string()
    }

    #[test]
    fn values_stay_in_their_place() {
        let target = "https://a.example.com:1/{vendor}/{pipeline}/{date}?h={hour}&p={pipeline}";
        assert_eq!(url(target, "north", None), "https://a.example.com:1/example/north/2026-03-14?h=09&p=north");
        assert_eq!(
            url(target, "a/b?c&d#e ü", None),
            "https://a.example.com:1/example/a%2Fb%3Fc%26d%23e%20%C3%BC/2026-03-14?h=09&p=a%2Fb%3Fc%26d%23e%20%C3%BC"
        );
    }

    #[test]
    fn a_secret_ends_the_path_and_is_not_shown() {
        let target = "https://collectors.example.com/receiver/v1/http/?x=1";
        assert_eq!(url(target, "p", Some("aZ3==")), "https://collectors.example.com/receiver/v1/http/aZ3==?x=1");
        let shown = Target::new("https://a/b?token=hunter2").unwrap();
        assert_eq!(format!("{shown} {shown:?}"), "https://a/b https://a/b");
    }

    #[test]
    fn what_is_no_target_is_told_why() {
        for (text, expected) in [
            ("a.example.com/x", "expected a URL"),
            ("ftp://a.example.com/x", "expected a URL"),
            ("https://{vendor}.example.com/", "scheme and host"),
            ("{vendor}", "expected a URL"),
            ("https://a:hunter2@b/", "credentials"),
            ("https://a/#hunter2", "a fragment"),
            ("https://a/{id}", "unknown placeholder `{id}`"),
            ("https://a/{", "`{` is never closed"),
        ] {
            let error = Target::new(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
