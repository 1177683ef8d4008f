//! Which names are those of secrets, and which texts can be none.

/// What is known of a value before anybody has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No name says anything about it.
    Harmless,
    /// It stands where secrets stand beside other settings, as in `auth`: shown if it can be none.
    Doubtful,
    /// A name says that it is a secret.
    Secret,
}

/// With what the name of a secret ends, without an `s` behind it.
const ENDINGS: [&str; 11] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
    "cookie",
    "bearer",
    "access_key_id",
];
/// What a library takes under names of its own: a misspelled password among them is known to nobody as one.
pub(super) const OPTIONS: &str = "options";

/// What the key `name`, or a table of this name on the same line, says of a value.
pub(super) fn rank(name: &str) -> Rank {
    let is_auth = |part: &str| part.starts_with("auth") || is_slip(part, "auth", 1);
    match name {
        _ if name == OPTIONS || names_a_secret(name) => Rank::Secret,
        _ if name.to_lowercase().split(['_', '-']).any(is_auth) => Rank::Doubtful,
        _ => Rank::Harmless,
    }
}

/// What the header `[…]` of these names says of the values below it, which have names of their own.
pub(super) fn rank_of_header<'a>(names: impl Iterator<Item = &'a str>) -> Rank {
    let names: Vec<_> = names.collect();
    match names.split_last() {
        Some((last, _)) if *last != OPTIONS && first_word_is_secret(last) => Rank::Secret,
        _ if names.iter().any(|name| rank(name) > Rank::Harmless) => Rank::Doubtful,
        _ => Rank::Harmless,
    }
}

/// Whether a value under this key is likely a secret: `api_key`, `secret_headers`, `Authorization`, and what is nearly
/// written so.
pub(super) fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    // Without the `s` of more than one.
    let singular = key.strip_suffix('s').unwrap_or(&key);
    if ENDINGS.iter().any(|ending| singular.ends_with(ending)) || first_word_is_secret(&key) {
        return true;
    }
    let (before, last) = singular.rsplit_once(['_', '-', '.']).unwrap_or(("", singular));
    let is_slip_of = |ending: &&str| match ending.len() {
        // Among three letters, one that is wrong makes another word; not so behind `api_`.
        ..4 => !before.is_empty() && is_slip(last, ending, 1),
        4..8 => is_slip(last, ending, 1),
        _ => is_slip(last, ending, 2),
    };
    ENDINGS.iter().any(is_slip_of)
}

/// `secret_headers`, `secret_path`.
fn first_word_is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let first = key.split(['_', '-', '.']).next().unwrap_or_default();
    first.starts_with("secret") || is_slip(first, "secret", 1)
}

/// Whether `word` is `meant` with no more than `most` slips of the hand.
fn is_slip(word: &str, meant: &str, most: usize) -> bool {
    // Other words, whose letters happen to be near.
    let is_another = matches!(word, "auto" | "taken" | "path" | "day" | "by" | "secure");
    // A slip brings no more than one strange letter. Asked first, for the distance takes long, and there are many words.
    let may_be = || word.chars().filter(|letter| !meant.contains(*letter)).count() <= most;
    let is_near = || strsim::damerau_levenshtein(word, meant) <= most;
    !is_another && word.len().abs_diff(meant.len()) <= most && may_be() && is_near()
}

/// Whether this is the name of an environment variable beyond doubt: `TELNYX_API_KEY`, `S3_KEY2`, `home`. Anything else
/// may be a secret that was written where its variable's name belongs.
pub(super) fn is_plainly_a_variable(name: &str) -> bool {
    let is_lower = |c: char| c.is_ascii_lowercase();
    let of_one_case = !name.contains(is_lower) || name.chars().all(|c| is_lower(c) || c == '_');
    is_variable(name) && of_one_case && name.split('_').all(is_word)
}

/// Whether this could be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Letters, with a number before or behind them. Short ones may be anything: `K8S`.
fn is_word(part: &str) -> bool {
    let letters = part.trim_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - letters.len();
    part.len() <= 4 || (part.len() <= 24 && digits <= 4 && !letters.contains(|c: char| c.is_ascii_digit()))
}

/// Whether this is a word of a configuration beyond doubt, and no secret: `grpc`, `json_array`, `15m`, `10.0.0.1:514`.
/// Secrets have capitals, or letters and digits in one.
pub(super) fn is_plainly_a_setting(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    let is_part = |part: &str| match part.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "" => part.len() <= 5,
        rest if rest.len() == part.len() => part.len() <= 16 && part.chars().all(|c| c.is_ascii_lowercase()),
        // A number and its unit.
        rest => {
            part.len() <= 6 && (rest.len() == 1 || matches!(rest, "ms" | "KB" | "MB" | "GB" | "KiB" | "MiB" | "GiB"))
        }
    };
    // What is that short is a word: `CEF`, `POST`.
    let is_short = text.len() <= 4 && text.chars().all(|c| c.is_ascii_uppercase());
    is_short || text.len() <= 80 && text.split(|c: char| "_-./:{}*,?".contains(c)).all(is_part)
}

/// The same for what stands beside that which is spoken of: more words, names with capitals, short expressions.
pub(super) fn are_plainly_settings(text: &str) -> bool {
    let is_part = |part: &str| {
        let rest = part.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(part);
        let is_short = part.len() <= 4 && part.chars().all(|c| c.is_ascii_uppercase());
        is_short || is_plainly_a_setting(rest)
    };
    text.len() <= 200 && text.split(|c: char| !c.is_ascii_alphanumeric()).all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_keys() {
        for key in [
            "api_key",
            "token",
            "API-TOKEN",
            "client_secret",
            "passwords",
            "credentials",
            "Authorization",
            "secret_headers",
            "bearer",
            "access_key_id",
        ] {
            assert!(names_a_secret(key), "{key}");
        }
        for key in [
            "topic",
            "keyed",
            "tokenizer",
            "base_url",
            "",
            "header",
            "headers",
            "server",
            "select",
            "key_by",
            "path",
            "credential_expires",
            "token_url",
            "reader",
            "max_day",
        ] {
            assert!(!names_a_secret(key), "{key}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_makes_no_secret_known() {
        for key in
            ["api_kye", "api_ke", "tokn", "toeken", "passwrd", "berer", "secet_headers", "autorizaton", "client_scret"]
        {
            assert!(names_a_secret(key), "{key}");
        }
        for key in ["auth", "auht", "aut", "basic_auth", "authentication"] {
            assert_eq!(rank(key), Rank::Doubtful, "{key}");
        }
        for key in ["auto", "path", "author_of"] {
            assert_ne!(rank(key), Rank::Secret, "{key}");
        }
    }

    #[test]
    fn a_variable_is_told_from_a_secret_in_its_place() {
        for name in ["TELNYX_API_KEY", "TOKEN2", "S3_KEY", "K8S_2FA_TOKEN", "SHA256_SALT", "_", "home", "api_token"] {
            assert!(is_plainly_a_variable(name), "{name}");
        }
        for name in [
            "KEY0123abcd",
            "key_0123abcd",
            "hunter2",
            "AKIAIOSFODNN7EXAMPLE",
            "F2C41D07BE84A6FB",
            "KEY_01234567",
            "CorrectHorseBattery",
            "JBSWYDPEHPKPXPQRSTUVWXYZABCD",
            "sk-live",
            "0123",
            "",
        ] {
            assert!(!is_plainly_a_variable(name), "{name}");
        }
    }

    #[test]
    fn a_setting_is_told_from_a_secret() {
        for text in
            ["grpc", "json_array", "\"15m\"", "10.0.0.1:514", "64MiB", "/var/log/a.ndjson", "logs.{vendor}", "5", ""]
        {
            assert!(is_plainly_a_setting(text), "{text}");
        }
        for text in ["hunter2", "SECRETTOK", "Bearer abc", "5550123", "sk-live-0a1b", "correcthorsebatterystaple"] {
            assert!(!is_plainly_a_setting(text), "{text}");
        }
    }
}
