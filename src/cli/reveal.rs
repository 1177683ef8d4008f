//! `auditline reveal`: what was encrypted, in clear, for whoever has the key.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use auditline_sinks::secret::Secret;
use clap::Args;

use super::input::Input;
use super::redactions;
use super::table::thousands;
use super::{DONE, FAILED, WRONG};
use crate::transform::redact::{Key, Revealed, Revealer};

/// Replace what `redact` has encrypted by what it stands for, in texts, files or standard input. What lacks its key stays
/// as it is, is counted on stderr, and makes the exit code 1.
#[derive(Debug, Args)]
pub struct Reveal {
    /// Texts with stand-ins in them; without any, and without --file, standard input.
    texts: Vec<String>,
    /// A file to read, events or any text.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The file of a key; of another epoch than the first as `2=FILE`.
    #[arg(long, value_name = "FILE", value_parser = parse)]
    key_file: Vec<KeyFile>,
    /// Take the keys of this pipeline's configuration.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    #[command(flatten)]
    input: Input,
}

#[derive(Clone, Debug)]
struct KeyFile {
    epoch: u16,
    path: PathBuf,
}

fn parse(text: &str) -> Result<KeyFile, String> {
    match text.split_once('=').map(|(epoch, path)| (epoch.parse::<u16>(), path)) {
        Some((Ok(0), _)) => Err("epochs are numbers from 1 to 65535".to_owned()),
        Some((Ok(epoch), path)) => Ok(KeyFile { epoch, path: path.into() }),
        _ => Ok(KeyFile { epoch: 1, path: text.into() }),
    }
}

impl Reveal {
    pub async fn main(self) -> u8 {
        let Some(revealer) = self.revealer() else { return WRONG };
        let mut counts = Revealed::default();
        let done = self.reveal(&revealer, &mut counts, &mut std::io::stdout().lock());
        if let Err(reason) = done {
            eprintln!("error: {reason}");
            return FAILED;
        }
        report(&counts);
        if counts.lacks_a_key() { FAILED } else { DONE }
    }

    fn revealer(&self) -> Option<Revealer> {
        let mut keys = Vec::new();
        if let Some(name) = &self.pipeline {
            let transforms = redactions::of_pipeline(&self.input, name)?;
            let steps = transforms.iter().filter_map(|transform| transform.as_redact());
            keys.extend(steps.flat_map(|redact| redact.keys().to_vec()));
        }
        for KeyFile { epoch, path } in &self.key_file {
            match key(*epoch, path) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    eprintln!("error: {reason}");
                    return None;
                }
            }
        }
        if keys.is_empty() {
            eprintln!(
                "error: there is no key\n\nhint: name it by `--key-file FILE`, or take those of a pipeline by `--pipeline NAME`"
            );
            return None;
        }
        Some(Revealer::new(keys))
    }

    fn reveal(&self, revealer: &Revealer, counts: &mut Revealed, out: &mut impl Write) -> Result<(), String> {
        for text in &self.texts {
            line(text.as_bytes(), b"\n", revealer, counts, out)?;
        }
        for path in &self.file {
            let failed = |error| format!("cannot read `{}`: {error}", path.display());
            let file = std::fs::File::open(path).map_err(failed)?;
            lines(BufReader::new(file), revealer, counts, out)?;
        }
        if self.texts.is_empty() && self.file.is_empty() {
            lines(std::io::stdin().lock(), revealer, counts, out)?;
        }
        out.flush().map_err(|error| error.to_string())
    }
}

fn key(epoch: u16, path: &Path) -> Result<Key, String> {
    let secret = Secret::from_file(path).map_err(|error| crate::chain(&error))?;
    Key::new(epoch, secret.expose().as_bytes()).map_err(|error| format!("`{}`: {error}", path.display()))
}

fn lines(
    mut input: impl BufRead,
    revealer: &Revealer,
    counts: &mut Revealed,
    out: &mut impl Write,
) -> Result<(), String> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        input.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot read: {error}"))?;
        if bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
        let (text, end) = bytes.split_at(length);
        line(text, end, revealer, counts, out)?;
    }
}

fn line(
    text: &[u8],
    end: &[u8],
    revealer: &Revealer,
    counts: &mut Revealed,
    out: &mut impl Write,
) -> Result<(), String> {
    let clear = revealer.line(&String::from_utf8_lossy(text), counts);
    let written = out.write_all(clear.as_deref().map_or(text, str::as_bytes)).and_then(|()| out.write_all(end));
    written.map_err(|error| format!("cannot write to standard output: {error}"))
}

fn report(counts: &Revealed) {
    eprintln!("{} revealed", thousands(counts.clear));
    for (epoch, count) in &counts.unknown_epochs {
        eprintln!("{} left: of epoch {epoch}, whose key is not here", thousands(*count));
    }
    if counts.other_key > 0 {
        eprintln!("{} left: made with another key than the one given for their epoch", thousands(counts.other_key));
    }
    if counts.pseudonyms > 0 {
        eprintln!("{} left: pseudonyms, which no key can undo", thousands(counts.pseudonyms));
    }
}
