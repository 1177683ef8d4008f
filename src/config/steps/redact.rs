//! `redact = { … }`: what becomes of addresses.

use auditline_sinks::secret::Secret;
use serde::Deserialize;

use crate::document::{Context, Place, Problem, Spanned};
use crate::transform::redact::{EmailAction, IpAction, Policy, PolicyError, PseudonymKey, Redact, Redactor};

/// The epoch of the one key there is.
const FIRST_EPOCH: u16 = 1;

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// What becomes of e-mail addresses.
    #[serde(default)]
    emails: Option<Spanned<EmailAction>>,
    /// What becomes of IP addresses.
    #[serde(default)]
    ips: Option<Spanned<IpAction>>,
    /// The key of pseudonyms.
    #[serde(default)]
    key: Option<Spanned<Secret>>,
}

impl Written {
    pub fn build(&self, step: &Place, context: &Context<'_>) -> Option<Redact> {
        if self.emails.is_none() && self.ips.is_none() {
            let problem = Problem::error("this step redacts nothing").at(step);
            context.problems.push(problem.hint("say what becomes of `emails`, of `ips`, or of both"));
            return None;
        }
        let (emails, ips) = (self.emails.as_ref().map(|emails| emails.value), self.ips.as_ref().map(|ips| ips.value));
        if let Some(key) = &self.key
            && emails != Some(EmailAction::Pseudonym)
            && ips != Some(IpAction::Pseudonym)
        {
            let problem = Problem::warning("nothing here is made a pseudonym, so this key is not used").at(&key.place);
            context.problems.push(problem.hint("leave it out, or choose \"pseudonym\""));
        }
        let key = self.key.as_ref().map(|key| PseudonymKey::new(FIRST_EPOCH, key.expose().as_bytes())).transpose();
        match key.map(|key| Policy { emails, ips, key }).and_then(Redactor::new) {
            Ok(redactor) => Some(Redact::new(redactor)),
            Err(error) => {
                let place = match &error {
                    PolicyError::MissingKey { option: "ips" } => self.ips.as_ref().map(|ips| &ips.place),
                    PolicyError::MissingKey { .. } => self.emails.as_ref().map(|emails| &emails.place),
                    PolicyError::ShortKey { .. } => self.key.as_ref().map(|key| &key.place),
                };
                let problem = Problem::error(error.to_string()).at(place.unwrap_or(step));
                context.problems.push(problem.hint(error.hint()));
                None
            }
        }
    }
}
