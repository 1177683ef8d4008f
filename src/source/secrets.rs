//! Secrets that change under way: a file is read again when it has changed, so that a credential rotates without a
//! restart.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use auditline_sinks::secret::{Origin, Secret};
use serde_json::Value as Json;

/// A secret, and what its file has held since. Copies are the same secret.
#[derive(Clone, Debug)]
pub struct Rotating {
    /// What it was first: the credential that a budget is known by.
    first: Secret,
    /// The members it must have, where it is a JSON object.
    members: Arc<[String]>,
    /// Held while a small file is read, and never across an await.
    held: Arc<Mutex<Held>>,
}

#[derive(Debug)]
struct Held {
    value: Secret,
    /// What the file looked like before the value was read. Absent until it was looked at for the first time.
    stamp: Option<Stamp>,
    /// How often the value has changed.
    changes: u64,
    /// The file could not be used when it was looked at last, and a person was told.
    troubled: bool,
}

/// What tells a file that was replaced or written to, through whatever links lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self { place: (about.dev(), about.ino()), size: about.len(), modified: about.modified().ok() }
    }
}

impl From<Secret> for Rotating {
    fn from(secret: Secret) -> Self {
        Self::new(secret, &[])
    }
}

impl Rotating {
    /// A secret that has been read, being a JSON object with these members unless there are none.
    #[must_use]
    pub fn new(secret: Secret, members: &[String]) -> Self {
        let held = Held { value: secret.clone(), stamp: None, changes: 0, troubled: false };
        Self { first: secret, members: members.into(), held: Arc::new(Mutex::new(held)) }
    }

    /// What it was when the configuration was read.
    #[must_use]
    pub fn first(&self) -> &Secret {
        &self.first
    }

    /// What it is as far as we know.
    #[must_use]
    pub fn now(&self) -> Secret {
        self.held().value.clone()
    }

    /// How often it has changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.held().changes
    }

    /// Reads the file again if it looks as if it had changed: cheap enough to be asked before every request.
    pub fn look(&self) {
        let Origin::File(path) = self.first.origin() else { return };
        let mut held = self.held();
        let stamp = std::fs::metadata(path).ok().map(|about| Stamp::of(&about));
        if stamp.is_none() || stamp != held.stamp {
            // Taken before the reading: what is written in between is seen the next time.
            held.stamp = stamp;
            self.read(&mut held);
        }
    }

    /// Reads the file again however it looks: some writes leave no trace.
    pub fn read_again(&self) {
        self.read(&mut self.held());
    }

    /// Keeps the last good value where the file has none: whoever replaces it may be half way through.
    fn read(&self, held: &mut Held) {
        let Origin::File(path) = self.first.origin() else { return };
        // What a pipe held is gone, and nobody may ever write to it again.
        if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
            return;
        }
        let outcome =
            Secret::from_file(path).map_err(|error| error.to_string()).and_then(|secret| {
                match lacking_member(&secret, &self.members) {
                    Some(member) => Err(format!("it is not a JSON object with the member `{member}`")),
                    None => Ok(secret),
                }
            });
        match outcome {
            Ok(secret) => {
                held.troubled = false;
                if secret != held.value {
                    held.value = secret;
                    held.changes += 1;
                    tracing::info!(file = %path.display(), "the credential has changed, and is used from now on");
                }
            }
            Err(reason) if !held.troubled => {
                held.troubled = true;
                tracing::warn!(file = %path.display(), reason, "cannot read the credential again: the last one goes on");
            }
            Err(_) => {}
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic while the lock is held")
    }
}

/// The first of `members` that a secret lacks, if it is to be a JSON object that has them.
#[must_use]
pub fn lacking_member<'m>(secret: &Secret, members: &'m [String]) -> Option<&'m str> {
    let object: Option<BTreeMap<String, Json>> = serde_json::from_str(secret.expose()).ok();
    let lacks = |member: &&String| object.as_ref().is_none_or(|object| !object.contains_key(*member));
    members.iter().find(lacks).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Writes a version as Kubernetes does: a folder beside the others, and a link that is replaced in one step.
    fn mount(root: &Path, version: &str, value: &str) {
        let folder = root.join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("token"), value).unwrap();
        let link = root.join("..data.new");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        fs::rename(link, root.join("..data")).unwrap();
        if !root.join("token").is_symlink() {
            std::os::unix::fs::symlink("..data/token", root.join("token")).unwrap();
        }
    }

    #[test]
    fn a_mounted_secret_changes_with_its_links_and_keeps_its_last_value_while_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        mount(root.path(), "1", "one");
        let secret = Rotating::from(Secret::from_file(&root.path().join("token")).unwrap());
        let seen = |secret: &Rotating| {
            secret.look();
            (secret.now().expose().to_owned(), secret.changes())
        };
        assert_eq!(seen(&secret), ("one".to_owned(), 0));
        mount(root.path(), "2", "two");
        assert_eq!(seen(&secret.clone()), ("two".to_owned(), 1));
        mount(root.path(), "3", "");
        assert_eq!(seen(&secret), ("two".to_owned(), 1));
        fs::remove_file(root.path().join("..data")).unwrap();
        assert_eq!(seen(&secret), ("two".to_owned(), 1));
        mount(root.path(), "4", "one");
        assert_eq!(seen(&secret), ("one".to_owned(), 2));
        assert_eq!(secret.first().expose(), "one");
    }

    #[test]
    fn a_write_that_leaves_no_trace_is_found_by_reading_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("token");
        fs::write(&path, "one").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let secret = Rotating::from(Secret::from_file(&path).unwrap());
        secret.look();
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        secret.look();
        assert_eq!(secret.now().expose(), "one");
        secret.read_again();
        assert_eq!((secret.now().expose(), secret.changes()), ("two", 1));
    }

    #[test]
    fn half_a_json_file_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key.json");
        fs::write(&path, r#"{"id":1,"key":"a"}"#).unwrap();
        let secret = Rotating::new(Secret::from_file(&path).unwrap(), &["id".to_owned(), "key".to_owned()]);
        for (text, changes) in [(r#"{"id":2,"#, 0), (r#"{"id":2}"#, 0), (r#"{"id":2,"key":"b"}"#, 1)] {
            fs::write(&path, text).unwrap();
            secret.read_again();
            assert_eq!(secret.changes(), changes, "{text}");
        }
    }
}
