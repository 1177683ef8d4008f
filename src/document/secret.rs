//! Looking up the secrets a document names, and warning of those it holds.

use std::path::Path;

use auditline_sinks::secret::{Origin, Secret, SecretError};

use super::decode::{Failure, Session};
use super::mask;
use super::names;
use super::node::{Node, Value};
use super::problem::Problem;

const KNOWN: [&str; 2] = ["env", "file"];
const HOW: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";

/// The three strings [`SECRET_NAME`](auditline_sinks::secret::SECRET_NAME) promises.
pub(super) fn resolve(node: &Node, session: &Session<'_>) -> Result<[String; 3], Failure> {
    mask::hide_secret(node);
    let secret = match node.value() {
        Value::String(text) => literal(node, text, session)?,
        Value::Table(_) => reference(node, session)?,
        _ => {
            let message = format!("expected a secret, found {}", node.kind());
            return Err(Failure::with_hint(message, HOW));
        }
    };
    let value = secret.expose().to_owned();
    Ok(match secret.origin() {
        Origin::Env(name) => ["env".to_owned(), name.clone(), value],
        Origin::File(path) => ["file".to_owned(), path.display().to_string(), value],
        Origin::Literal => ["literal".to_owned(), String::new(), value],
    })
}

fn literal(node: &Node, text: &str, session: &Session<'_>) -> Result<Secret, Failure> {
    let secret = Secret::literal(text).map_err(|error| Failure::with_hint(error.to_string(), HOW))?;
    let problem = Problem::warning("a secret is written out here").at(&node.place());
    session.context.problems.push(problem.hint(HOW));
    Ok(secret)
}

fn reference(node: &Node, session: &Session<'_>) -> Result<Secret, Failure> {
    let entries = node.entries().unwrap_or_default();
    for entry in entries.iter().filter(|entry| !KNOWN.contains(&entry.name.as_str())) {
        session.unknown(node, entry, "key", &KNOWN);
    }
    let wrong = |message: &str| Err(Failure::with_hint(message, HOW));
    let (name, result) = match (node.get("env"), node.get("file")) {
        (Some(name), None) => (name, text(name).and_then(|text| from_env(name, text, session))),
        (None, Some(path)) => (path, text(path).and_then(|text| from_file(path, text, session))),
        (Some(_), Some(_)) => return wrong("`env` beside `file`: only one can be meant"),
        (None, None) if entries.is_empty() => {
            return wrong("this table does not say where the secret is");
        }
        (None, None) => {
            // The unknown key has been reported, and is all there is.
            session.strike(node);
            return Err(Failure::Told);
        }
    };
    // Settled at the name, so that the caret is under it; the whole secret is then done with as well.
    session.settle(name, result).inspect_err(|_| session.strike(node))
}

fn text(node: &Node) -> Result<&str, Failure> {
    let wrong = || Failure::wrong(format!("expected a string, found {}", node.kind()));
    node.as_str().ok_or_else(wrong)
}

fn from_env(node: &Node, name: &str, session: &Session<'_>) -> Result<Secret, Failure> {
    if !names::is_variable(name) {
        // Likely the secret itself: it must not be echoed.
        mask::hide_literal(node);
        return Err(Failure::with_hint(
            "this is not the name of an environment variable",
            "a name has letters, digits and `_`, as in `{ env = \"API_TOKEN\" }`",
        ));
    }
    if let Some(stand_in) = session.context.stand_ins {
        return stand_in_for(name, stand_in);
    }
    Secret::from_env(name, session.context.environment).map_err(|error| match error {
        SecretError::NotSet(_) if !names::is_plainly_a_variable(name) => Failure::with_hint(
            "no environment variable of this name is set, and it looks like a secret itself",
            "export the secret under a name, and write the name here, as in `{ env = \"API_TOKEN\" }`",
        ),
        SecretError::Empty(_) => {
            Failure::with_hint(error.to_string(), format!("give `{name}` a value, or use `{{ file = \"path\" }}`"))
        }
        _ => Failure::with_hint(error.to_string(), format!("export `{name}`, or use `{{ file = \"path\" }}`")),
    })
}

fn from_file(node: &Node, path: &str, session: &Session<'_>) -> Result<Secret, Failure> {
    if let Some(stand_in) = session.context.stand_ins {
        return stand_in_for(path, stand_in);
    }
    let path = node.file().folder().join(Path::new(path));
    Secret::from_file(&path).map_err(|error| match error {
        SecretError::Unreadable { ref source, .. } => {
            Failure::with_hint(format!("{error}: {source}"), "relative paths begin at the folder of this file")
        }
        error => Failure::wrong(error.to_string()),
    })
}

fn stand_in_for(name: &str, stand_in: &dyn Fn(&str) -> String) -> Result<Secret, Failure> {
    Secret::literal(stand_in(name)).map_err(|error| Failure::wrong(error.to_string()))
}
