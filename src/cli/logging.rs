//! Log lines, on stderr.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The variable that chooses what is logged, in tracing's own terms: `auditline=debug,warn`.
const VARIABLE: &str = "AUDITLINE_LOG";
/// What is logged when nobody says. What is not ours is heard from `warn` on.
const UNLESS_SET: &str = "warn,auditline=info,auditline_sinks=info,librdkafka=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging.
///
/// # Errors
/// What is wrong with the variable, for a person: to log something else in silence would hide what was asked for.
pub fn start(format: LogFormat) -> Result<(), String> {
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let filter = match wanted.to_str() {
        Some("") => EnvFilter::new(UNLESS_SET),
        Some(text) => filter(text)?,
        None => return Err(format!("`{VARIABLE}` is not UTF-8")),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, String> {
    let wrong = |part: &str| {
        format!(
            "`{VARIABLE}` holds `{part}`, which is no filter of log lines\n\nhint: write a level, or levels by part, as in \
             `auditline=debug,warn`; the levels are `error`, `warn`, `info`, `debug`, `trace` and `off`"
        )
    };
    // tracing takes a word alone for the name of a part, and a misspelled level is one. Not so within `[span{…}]`.
    let is_word = |part: &&str| part.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c));
    let words = text.split(',').map(str::trim).filter(is_word).filter(|_| !text.contains('['));
    let unknown = words.filter(|word| !word.is_empty()).find(|word| word.parse::<LevelFilter>().is_err());
    if let Some(word) = unknown {
        return Err(wrong(word));
    }
    EnvFilter::try_new(text).map_err(|_| wrong(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused_and_not_passed_over() {
        for text in
            ["debug", "WARN", "auditline=debug,warn", "auditline=debug, off", "auditline[read{page=1}]=trace,info"]
        {
            assert!(filter(text).is_ok(), "{text}");
        }
        for (text, named) in [
            ("debgu", "debgu"),
            ("warning", "warning"),
            ("auditline=debug,inof", "inof"),
            ("auditline", "auditline"),
            ("auditline=loud", "auditline=loud"),
            ("auditline:debug", "auditline:debug"),
        ] {
            let said = filter(text).unwrap_err();
            assert!(said.starts_with(&format!("`AUDITLINE_LOG` holds `{named}`, which is no filter")), "{said}");
        }
    }
}
