//! `labels` and `fields`: the same for every event.

use std::collections::BTreeMap;

use super::Kind;
use super::draft::Draft;
use crate::event::Value;

/// What the operator knows of everything that a pipeline reads.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    /// Words such as `prod`.
    pub labels: Vec<String>,
    /// Names and values such as `region = "eu"`.
    pub fields: BTreeMap<String, String>,
}

impl Kind for Fixed {
    fn add<'a>(&self, _: Value<'a>, draft: &mut Draft<'a>) {
        self.labels.iter().for_each(|label| draft.label(label));
        self.fields.iter().for_each(|(name, value)| draft.field(name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::apply;
    use super::*;

    fn fixed() -> Fixed {
        let fields = [("team", "blue"), ("cost", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Fixed { labels: vec!["prod".to_owned(), "eu".to_owned()], fields: fields.into() }
    }

    #[test]
    fn ocsf_has_them_in_its_metadata() {
        assert_eq!(
            apply(fixed(), r#"{"class_uid":3004,"metadata":{"uid":"r-1","labels":["old"]},"time":0}"#),
            concat!(
                r#"{"class_uid":3004,"metadata":{"uid":"r-1","labels":["old","prod","eu"],"#,
                r#""tags":[{"name":"cost","value":"7"},{"name":"team","value":"blue"}]},"time":0}"#
            )
        );
    }

    #[test]
    fn ecs_has_them_as_tags_and_labels() {
        assert_eq!(
            apply(fixed(), r#"{"ecs":{"version":"8.17.0"},"tags":["old"],"labels":{"team":"red","x":"y"}}"#),
            r#"{"ecs":{"version":"8.17.0"},"tags":["old","prod","eu"],"labels":{"x":"y","cost":"7","team":"blue"}}"#
        );
    }

    #[test]
    fn a_dot_is_no_object_of_ecs() {
        let dotted = Fixed { labels: Vec::new(), fields: [("a.b.c".to_owned(), "d".to_owned())].into() };
        let found = apply(dotted.clone(), r#"{"ecs":{"version":"9"},"labels":{"a_b_c":"old"}}"#);
        assert_eq!(found, r#"{"ecs":{"version":"9"},"labels":{"a_b_c":"d"}}"#);
        assert!(apply(dotted, r#"{"class_uid":1,"metadata":{}}"#).contains(r#"{"name":"a.b.c","value":"d"}"#));
    }

    #[test]
    fn an_envelope_has_them_at_the_top() {
        let once = apply(fixed(), r#"{"id":"r-1","record":{"metadata":1}}"#);
        let fields = r#""fields":{"cost":"7","team":"blue"}"#;
        assert_eq!(once, format!(r#"{{"id":"r-1","record":{{"metadata":1}},"labels":["prod","eu"],{fields}}}"#));
        let more = Fixed { labels: Vec::new(), fields: [("team".to_owned(), "red".to_owned())].into() };
        let twice = apply(more, &once);
        assert!(twice.ends_with(r#""labels":["prod","eu"],"fields":{"cost":"7","team":"red"}}"#), "{twice}");
    }

    #[test]
    fn what_a_vendor_has_in_their_place_is_kept() {
        let found = apply(fixed(), r#"{"labels":{"a":1},"fields":[2]}"#);
        assert_eq!(found, r#"{"labels":[{"a":1},"prod","eu"],"fields":[2]}"#);
    }

    #[test]
    fn an_ocsf_event_stays_valid() {
        let enriched = super::super::tests::valid_ocsf(fixed());
        assert_eq!(enriched["metadata"]["tags"][1]["name"], "team");
    }

    #[test]
    fn nothing_to_add_changes_nothing() {
        for body in [r#"{"class_uid":1,"metadata":{"labels":[]}}"#, r#"{"id":"r-1"}"#, "[1]"] {
            assert_eq!(apply(Fixed::default(), body), body);
        }
    }
}
