//! Where connectors are looked up by name: the operator's own, and those that come with the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Connector;
use crate::document::{Context, Document, Place, Problem, did_you_mean};

const EMBEDDED: &[(&str, &str)] = &[
    ("ashby", include_str!("../../connectors/ashby.toml")),
    ("auth0", include_str!("../../connectors/auth0.toml")),
    ("cloudflare", include_str!("../../connectors/cloudflare.toml")),
    ("github", include_str!("../../connectors/github.toml")),
    ("nirvana", include_str!("../../connectors/nirvana.toml")),
    ("okta", include_str!("../../connectors/okta.toml")),
    ("telnyx", include_str!("../../connectors/telnyx.toml")),
    ("voximplant", include_str!("../../connectors/voximplant.toml")),
];

/// The names of those that come with the binary, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The file of the one of that name that comes with the binary.
#[must_use]
pub fn source(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Every connector there is. The operator's own stand before those that come with the binary, and its default has only
/// the latter.
#[derive(Debug, Default)]
pub struct Catalogue {
    own: BTreeMap<String, Own>,
}

/// A connector of the operator's.
#[derive(Debug)]
struct Own {
    /// What messages call its file.
    file: String,
    text: String,
    /// `None` when it has mistakes.
    connector: Option<Arc<Connector>>,
}

/// Why a name leads to no connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is in a file of the operator's that has mistakes. They were told when it was read.
    Broken,
    /// There is none of that name.
    Unknown {
        /// What to write instead.
        hint: String,
    },
}

impl Catalogue {
    /// Those that come with the binary, and the operator's own in `files`, each called by its file's stem. What is wrong
    /// with these is among the problems then.
    #[must_use]
    pub fn read(files: &[PathBuf], context: &Context<'_>) -> Self {
        let mut catalogue = Self::default();
        for path in files {
            catalogue.add(path, context);
        }
        catalogue
    }

    fn add(&mut self, path: &Path, context: &Context<'_>) {
        let file = path.display().to_string();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                context.problems.push(Problem::error(format!("cannot read `{file}`: {error}")));
                self.own.entry(name).or_insert(Own { file, text: String::new(), connector: None });
                return;
            }
        };
        let document = Document::parse(&file, &text, context.problems);
        if let Some(document) = &document {
            self.check_name(&name, document, context);
        }
        let connector = document.and_then(|document| Connector::from_document(&name, &document, context));
        // Of two files of one name the first counts, so that pipelines are held against something.
        self.own.entry(name).or_insert(Own { file, text, connector: connector.map(Arc::new) });
    }

    fn check_name(&self, name: &str, document: &Document, context: &Context<'_>) {
        let fail = |message: String, hint: String| {
            context.problems.push(Problem::error(message).at(&Place::whole(document.file())).hint(hint));
        };
        if let Some(first) = self.own.get(name) {
            let hint =
                format!("the other is `{}`; a connector's name is its file's stem, so rename one of them", first.file);
            fail(format!("two connectors are called `{name}`"), hint);
        }
        let is_bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        if !name.chars().all(is_bare) {
            let hint = "a connector's name is its file's stem: letters without accents, digits, `_` and `-`";
            fail(format!("`{name}` is no name for a connector"), hint.to_owned());
        }
    }

    /// Every name, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let embedded = EMBEDDED.iter().map(|(name, _)| *name);
        let all: BTreeSet<&str> = embedded.chain(self.own.keys().map(String::as_str)).collect();
        all.into_iter()
    }

    /// The connector of that name, or why there is none.
    pub fn get(&self, name: &str) -> Result<Arc<Connector>, Absent> {
        match self.own.get(name) {
            Some(own) => own.connector.clone().ok_or(Absent::Broken),
            None => Connector::embedded(name).ok_or_else(|| Absent::Unknown { hint: self.hint(name) }),
        }
    }

    fn hint(&self, name: &str) -> String {
        match did_you_mean(name, self.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", self.names().collect::<Vec<_>>().join(", ")),
        }
    }

    /// The TOML of the connector of that name, mistakes and all.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&str> {
        self.own.get(name).map(|own| own.text.as_str()).or_else(|| source(name))
    }

    /// The operator's file that the connector of that name is in.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
        self.own.get(name).map(|own| own.file.as_str())
    }

    /// The operator's connectors that take the place of one that comes with the binary: their names and files.
    pub fn replacing(&self) -> impl Iterator<Item = (&str, &str)> {
        let replacing = self.own.iter().filter(|(name, _)| source(name).is_some());
        replacing.map(|(name, own)| (name.as_str(), own.file.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Problems;

    #[test]
    fn every_embedded_connector_is_sound_and_every_file_is_embedded() {
        for name in names() {
            assert!(Connector::embedded(name).is_some(), "{name}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, names().count());
    }

    /// A catalogue with these files of the operator's, and what was said of them.
    fn catalogue(files: &[(&str, &str)]) -> (Catalogue, String) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
        for (path, (_, text)) in paths.iter().zip(files) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let problems = Problems::new();
        let catalogue = Catalogue::read(&paths, &Context::new(&problems));
        (catalogue, problems.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn an_own_connector_is_added_or_stands_before_the_embedded_one() {
        let own = source("telnyx").unwrap().replace("title = \"Telnyx audit events\"", "title = \"Ours\"");
        let (catalogue, said) = catalogue(&[("acme-dns.toml", &own), ("telnyx.toml", &own)]);
        assert_eq!(said, "");
        let names: Vec<&str> = catalogue.names().collect();
        assert_eq!(
            names,
            ["acme-dns", "ashby", "auth0", "cloudflare", "github", "nirvana", "okta", "telnyx", "voximplant"]
        );
        let title = |name: &str| catalogue.get(name).unwrap().definition.connector.title.clone();
        assert_eq!([title("acme-dns"), title("telnyx"), title("ashby")], ["Ours", "Ours", "Ashby audit log"]);
        assert_eq!(catalogue.source("telnyx"), Some(own.as_str()));
        assert_eq!(catalogue.source("ashby"), source("ashby"));
        assert!(catalogue.file("telnyx").is_some_and(|file| file.ends_with("/telnyx.toml")));
        assert_eq!(catalogue.file("ashby"), None);
        assert_eq!(catalogue.replacing().map(|(name, _)| name).collect::<Vec<_>>(), ["telnyx"]);
    }

    #[test]
    fn a_broken_connector_is_never_replaced_by_the_embedded_one() {
        let (catalogue, said) = catalogue(&[("telnyx.toml", "[connector]\n")]);
        assert!(said.contains("error: missing key `auth`\n"), "{said}");
        assert_eq!(catalogue.get("telnyx").unwrap_err(), Absent::Broken);
        assert_eq!(catalogue.source("telnyx"), Some("[connector]\n"));
        let hint = "did you mean `telnyx`?".to_owned();
        assert_eq!(catalogue.get("telnix").unwrap_err(), Absent::Unknown { hint });
    }

    #[test]
    fn of_two_files_of_one_name_the_second_is_an_error() {
        let telnyx = source("telnyx").unwrap();
        let (catalogue, said) =
            catalogue(&[("a/ours.toml", telnyx), ("b/ours.toml", telnyx), ("our dns.toml", telnyx)]);
        let expected = "\
error: two connectors are called `ours`
 --> b/ours.toml
  hint: the other is `a/ours.toml`; a connector's name is its file's stem, so rename one of them

error: `our dns` is no name for a connector
 --> our dns.toml
  hint: a connector's name is its file's stem: letters without accents, digits, `_` and `-`
";
        assert_eq!(said, expected);
        assert!(catalogue.file("ours").is_some_and(|file| file.ends_with("a/ours.toml")));
    }
}
