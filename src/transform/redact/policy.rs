//! What the operator wants: an action for each detector, for own patterns, and for fields.

use serde::Deserialize;

use super::fields::Fields;
use super::key::Key;
use super::pattern::Pattern;

/// What finds something in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Detector {
    /// E-mail addresses.
    Email,
    /// IP addresses.
    Ip,
    /// Telephone numbers with `+`.
    Phone,
    /// JSON Web Tokens.
    Jwt,
    /// Keys of APIs, and private keys.
    ApiKey,
    /// Numbers of payment cards.
    Card,
    /// The operator's expressions.
    Pattern,
    /// The whole value of a field, by its path.
    Field,
}

impl Detector {
    /// All of them.
    pub const ALL: [Detector; 8] =
        [Self::Email, Self::Ip, Self::Phone, Self::Jwt, Self::ApiKey, Self::Card, Self::Pattern, Self::Field];

    /// Its key in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "emails",
            Self::Ip => "ips",
            Self::Phone => "phones",
            Self::Jwt => "jwts",
            Self::ApiKey => "api_keys",
            Self::Card => "cards",
            Self::Pattern => "patterns",
            Self::Field => "fields",
        }
    }

    /// What `mask` makes of it, where it need not look like an address.
    pub(super) fn mask(self) -> &'static str {
        match self {
            Self::Phone => "masked-phone",
            Self::Jwt => "masked-jwt",
            Self::ApiKey => "masked-key",
            Self::Card => "masked-card",
            _ => "masked",
        }
    }
}

/// What becomes of an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailAction {
    /// `masked@masked.invalid`
    Mask,
    /// Nothing is left of it; the text around it stays.
    Remove,
    /// `e1-<26 base32>@pseudonym.invalid`, the same for the same address and key.
    Pseudonym,
    /// `x1-<base32>@encrypted.invalid`; who has the key can undo it.
    Encrypt,
    /// `masked@example.com`; where the host is an IP address or holds one, as [`Self::Mask`].
    KeepDomain,
}

/// What becomes of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpAction {
    /// `0.0.0.0` or `::`
    Mask,
    /// Nothing is left of it; the text around it stays.
    Remove,
    /// An address in `3fff:add::/32`, the same for the same address and key.
    Pseudonym,
    /// An address in `3fff:aee::/32` or a zone of `::`; who has the key can undo it.
    Encrypt,
    /// Its network: the first 24 bits of IPv4 and 48 of IPv6. The zone goes.
    Truncate,
}

/// What becomes of any other text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextAction {
    /// `masked-phone` and the like.
    Mask,
    /// Nothing is left of it; the text around it stays.
    Remove,
    /// `e1-<26 base32>`, the same for the same text and key.
    Pseudonym,
    /// `x1-<base32>`; who has the key can undo it.
    Encrypt,
}

/// What becomes of the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldAction {
    /// Every text and number in it is masked.
    Mask,
    /// The field is left out.
    Remove,
    /// Every text and number in it becomes a pseudonym.
    Pseudonym,
    /// Every text and number in it is encrypted.
    Encrypt,
    /// Nothing is looked for in it.
    Keep,
}

/// What a [`Redactor`](super::Redactor) is to do. Nothing, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// `None` leaves e-mail addresses alone.
    pub emails: Option<EmailAction>,
    /// `None` leaves IP addresses alone.
    pub ips: Option<IpAction>,
    /// `None` leaves telephone numbers alone.
    pub phones: Option<TextAction>,
    /// `None` leaves JSON Web Tokens alone.
    pub jwts: Option<TextAction>,
    /// `None` leaves keys of APIs alone.
    pub api_keys: Option<TextAction>,
    /// `None` leaves numbers of payment cards alone.
    pub cards: Option<TextAction>,
    /// The operator's expressions.
    pub patterns: Vec<Pattern>,
    /// Fields with an action of their own.
    pub fields: Fields,
    /// Needed by the `pseudonym` and `encrypt` actions, ignored without one.
    pub key: Option<Key>,
}

/// Why a policy cannot be carried out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// An action that needs a key, and no key.
    #[error("`{option} = \"{action}\"` needs a key")]
    MissingKey {
        /// `emails`, `ips`, …
        option: String,
        /// `pseudonym` or `encrypt`.
        action: &'static str,
    },
    /// A key that could be guessed.
    #[error("the redaction key has {bytes} bytes, it needs {min} or more", min = Key::MIN_BYTES)]
    ShortKey {
        /// Its length.
        bytes: usize,
    },
}

impl PolicyError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        let least = Key::MIN_BYTES;
        match self {
            Self::MissingKey { .. } => {
                format!("add `key = {{ file = \"…\" }}` with {least} random bytes or more, or choose \"mask\"")
            }
            Self::ShortKey { .. } => "make one with `openssl rand -hex 32`".to_owned(),
        }
    }
}

/// An action together with the key it needs.
#[derive(Debug, Clone)]
pub(super) enum Treatment {
    Mask,
    Remove,
    Pseudonym(Key),
    Encrypt(Key),
    /// Of an e-mail address its domain, of an IP address its network.
    Coarsen,
}

impl Treatment {
    pub(super) fn new(action: impl Into<Action>, option: &str, key: Option<&Key>) -> Result<Self, PolicyError> {
        let need = |action| key.cloned().ok_or(PolicyError::MissingKey { option: option.to_owned(), action });
        Ok(match action.into() {
            Action::Mask => Self::Mask,
            Action::Remove => Self::Remove,
            Action::Pseudonym => Self::Pseudonym(need("pseudonym")?),
            Action::Encrypt => Self::Encrypt(need("encrypt")?),
            Action::Coarsen => Self::Coarsen,
        })
    }
}

/// What all kinds of actions come to.
pub(super) enum Action {
    Mask,
    Remove,
    Pseudonym,
    Encrypt,
    Coarsen,
}

impl From<EmailAction> for Action {
    fn from(action: EmailAction) -> Self {
        match action {
            EmailAction::Mask => Self::Mask,
            EmailAction::Remove => Self::Remove,
            EmailAction::Pseudonym => Self::Pseudonym,
            EmailAction::Encrypt => Self::Encrypt,
            EmailAction::KeepDomain => Self::Coarsen,
        }
    }
}

impl From<IpAction> for Action {
    fn from(action: IpAction) -> Self {
        match action {
            IpAction::Mask => Self::Mask,
            IpAction::Remove => Self::Remove,
            IpAction::Pseudonym => Self::Pseudonym,
            IpAction::Encrypt => Self::Encrypt,
            IpAction::Truncate => Self::Coarsen,
        }
    }
}

impl From<TextAction> for Action {
    fn from(action: TextAction) -> Self {
        match action {
            TextAction::Mask => Self::Mask,
            TextAction::Remove => Self::Remove,
            TextAction::Pseudonym => Self::Pseudonym,
            TextAction::Encrypt => Self::Encrypt,
        }
    }
}
