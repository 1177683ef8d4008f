//! The connectors that come with the binary.

const CATALOGUE: &[(&str, &str)] = &[
    ("ashby", include_str!("../../connectors/ashby.toml")),
    ("cloudflare", include_str!("../../connectors/cloudflare.toml")),
    ("nirvana", include_str!("../../connectors/nirvana.toml")),
    ("telnyx", include_str!("../../connectors/telnyx.toml")),
    ("voximplant", include_str!("../../connectors/voximplant.toml")),
];

/// Their names, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|(name, _)| *name)
}

/// The file of the connector of that name.
#[must_use]
pub fn source(name: &str) -> Option<&'static str> {
    CATALOGUE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::Connector;
    use super::*;

    #[test]
    fn every_embedded_connector_is_sound_and_every_file_is_embedded() {
        for name in names() {
            assert!(Connector::embedded(name).is_some(), "{name}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, names().count());
    }
}
