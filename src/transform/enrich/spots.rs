//! Where in an event the texts stand that are looked up.

use std::sync::Arc;

use super::draft::Form;
use crate::event::{Path, Value};

/// Where to look, in each of the three forms of an event.
#[derive(Clone, Debug)]
pub struct Spots {
    ocsf: Arc<[Spot]>,
    ecs: Arc<[Spot]>,
    envelope: Arc<[Spot]>,
}

/// One of the places.
#[derive(Debug)]
pub struct Spot {
    path: Path,
    /// The path as it is written.
    pub name: String,
}

impl Spots {
    /// The places that OCSF and ECS have for this. The envelope has none: what is in it is the vendor's.
    pub fn usual(ocsf: &[&str], ecs: &[&str]) -> Self {
        let spots = |names: &[&str]| names.iter().filter_map(|name| Some(Spot::new(name.parse().ok()?))).collect();
        Self { ocsf: spots(ocsf), ecs: spots(ecs), envelope: spots(&[]) }
    }

    /// The places that the operator names, whatever the form.
    pub fn own(paths: Vec<Path>) -> Self {
        let spots: Arc<[Spot]> = paths.into_iter().map(Spot::new).collect();
        Self { ocsf: Arc::clone(&spots), ecs: Arc::clone(&spots), envelope: spots }
    }

    /// The texts that stand there, in this order, and the digits of numbers. Of a list, each of its items.
    pub fn texts<'s, 'a>(&'s self, form: Form, body: Value<'a>) -> impl Iterator<Item = (&'s Spot, &'a str)> {
        let spots = match form {
            Form::Ocsf => &self.ocsf,
            Form::Ecs => &self.ecs,
            Form::Envelope => &self.envelope,
        };
        spots.iter().flat_map(move |spot| texts(spot.path.find(body)).map(move |text| (spot, text)))
    }
}

impl Spot {
    fn new(path: Path) -> Self {
        Self { name: path.to_string(), path }
    }

    /// The member of the event whose `ip` this is: `src_endpoint` for `src_endpoint.ip`.
    pub fn holder(&self) -> Option<&str> {
        match self.path.parts() {
            [holder, member] if member == "ip" => Some(holder),
            _ => None,
        }
    }
}

fn texts<'a>(value: Option<Value<'a>>) -> impl Iterator<Item = &'a str> {
    let items = value.and_then(|value| value.as_array()).unwrap_or_default();
    value.into_iter().chain(items.iter().copied()).filter_map(|value| match value {
        Value::String(text) | Value::Number(text) => (!text.is_empty()).then_some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Arena, json};

    #[test]
    fn texts_numbers_and_items_of_lists_are_found_in_the_order_of_the_paths() {
        let arena = Arena::new();
        let body = br#"{"a":{"ip":"one"},"list":["two",3,null,{"x":1},""],"n":4,"empty":"","no":{"ip":true}}"#;
        let body = json::decode(body, &arena).unwrap();
        let paths = ["n", "list", "a.ip", "empty", "no.ip", "absent.x", "a"].map(|path| path.parse().unwrap());
        let spots = Spots::own(paths.into());
        let found: Vec<_> = spots.texts(Form::Envelope, body).map(|(spot, text)| (spot.name.as_str(), text)).collect();
        assert_eq!(found, [("n", "4"), ("list", "two"), ("list", "3"), ("a.ip", "one")]);
        assert_eq!(Spots::usual(&["a.ip"], &["n"]).texts(Form::Envelope, body).count(), 0);
        assert_eq!(Spots::usual(&["a.ip"], &["n"]).texts(Form::Ecs, body).next().unwrap().1, "4");
    }

    #[test]
    fn the_holder_of_an_address_is_a_member_of_the_event() {
        let holder = |path: &str| Spot::new(path.parse().unwrap()).holder().map(ToOwned::to_owned);
        assert_eq!(holder("src_endpoint.ip").as_deref(), Some("src_endpoint"));
        for path in ["ip", "a.b.ip", "a.address"] {
            assert_eq!(holder(path), None, "{path}");
        }
    }
}
