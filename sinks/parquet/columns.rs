//! Which columns a class of events has: the same for every file, whatever the events in it hold.

use std::sync::{Arc, OnceLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::ocsf::{Attribute, Class, facts};

/// How deep objects have columns of their own: `actor.user.uid`. OCSF's nest without end.
const DEPTH: usize = 3;
/// What of OCSF's profiles has columns below the first level. The others stand for things a SaaS vendor's log has not.
const PROFILES: [&str; 3] = ["cloud", "datetime", "host"];
/// Objects that tell of machines and files, which a SaaS vendor's log hardly knows: JSON in one column. A column costs 180 bytes
/// in every file, whether there is anything in it or not.
const CLOSED: [&str; 17] = [
    "agent",
    "container",
    "device_hw_info",
    "digital_signature",
    "extension",
    "file",
    "fingerprint",
    "image",
    "ldap_person",
    "logger",
    "network_interface",
    "network_proxy",
    "os",
    "process",
    "reporter",
    "timespan",
    "transformation_info",
];
/// The same for the owner of an endpoint, and the group it belongs to.
const CLOSED_NAMES: [&str; 2] = ["owner", "pool"];
/// The text column for all that has no place in the others.
pub const EXTRA: &str = "extra";

/// One column, or a group of them.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether it holds a list of these.
    pub list: bool,
}

/// What a column holds.
#[derive(Debug)]
pub enum Kind {
    Text,
    /// Any JSON, as text.
    Json,
    Integer,
    Float,
    Boolean,
    Object(Vec<Column>),
}

/// The columns of a class, and what Arrow calls them.
#[derive(Debug)]
pub struct Table {
    /// By name. [`EXTRA`] is not among them.
    pub columns: Vec<Column>,
    pub schema: SchemaRef,
}

impl Table {
    /// The table of a class. Made once.
    pub fn of(class: &'static Class) -> &'static Self {
        static MADE: OnceLock<Vec<(&'static str, OnceLock<Table>)>> = OnceLock::new();
        let made = MADE.get_or_init(|| facts().classes.iter().map(|class| (class.uid, OnceLock::new())).collect());
        let (_, table) = made.iter().find(|(uid, _)| *uid == class.uid).expect("classes come from the facts");
        table.get_or_init(|| Self::new(class))
    }

    fn new(class: &Class) -> Self {
        let columns = columns(&class.attributes, 1);
        let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
        fields.push(Field::new(EXTRA, DataType::Utf8, true));
        Self { columns, schema: Arc::new(Schema::new(fields)) }
    }
}

fn columns(attributes: &[Attribute], depth: usize) -> Vec<Column> {
    attributes.iter().filter(|attribute| !attribute.deprecated).map(|attribute| Column::new(attribute, depth)).collect()
}

impl Column {
    fn new(attribute: &Attribute, depth: usize) -> Self {
        let kind = Kind::of(attribute, depth);
        let list = attribute.list && !matches!(kind, Kind::Json);
        Self { name: attribute.name, kind, list }
    }

    fn field(&self) -> Field {
        let kind = self.kind.data_type();
        // `element` is what Parquet's own specification calls it.
        let of_list = |kind| DataType::List(Arc::new(Field::new("element", kind, true)));
        Field::new(self.name, if self.list { of_list(kind) } else { kind }, true)
    }
}

impl Kind {
    fn of(attribute: &Attribute, depth: usize) -> Self {
        if let Some(name) = attribute.object() {
            let members = facts().object(name);
            let is_text = members.is_empty() || depth >= DEPTH || !is_at_hand(attribute);
            return if is_text { Self::Json } else { Self::Object(columns(members, depth + 1)) };
        }
        match attribute.kind {
            "boolean_t" => Self::Boolean,
            // `int` and `bigint` are one to every reader, and a vendor's number may be any.
            "integer_t" | "long_t" | "port_t" | "timestamp_t" => Self::Integer,
            "float_t" => Self::Float,
            "json_t" => Self::Json,
            _ => Self::Text,
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Object(columns) => DataType::Struct(columns.iter().map(Column::field).collect::<Fields>()),
        }
    }
}

fn is_at_hand(attribute: &Attribute) -> bool {
    if CLOSED.contains(&attribute.object().unwrap_or_default()) || CLOSED_NAMES.contains(&attribute.name) {
        return false;
    }
    attribute.profiles.is_empty() || attribute.profiles.iter().any(|profile| PROFILES.contains(profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(columns: &[Column]) -> usize {
        let of = |column: &Column| match &column.kind {
            Kind::Object(columns) => leaves(columns),
            _ => 1,
        };
        columns.iter().map(of).sum()
    }

    #[test]
    fn every_class_has_as_many_columns_as_readers_bear() {
        for class in &facts().classes {
            let table = Table::of(class);
            let leaves = leaves(&table.columns);
            assert!((400..750).contains(&leaves), "{}: {leaves}", class.name);
            assert!(table.columns.iter().all(|column| column.name != EXTRA));
            assert!(table.columns.is_sorted_by_key(|column| column.name));
        }
    }

    #[test]
    fn what_people_ask_for_has_a_column() {
        let class = facts().classes.iter().find(|class| class.name == "api_activity").unwrap();
        let schema = &Table::of(class).schema;
        let kind = |path: &str| {
            let mut fields = schema.fields().clone();
            let mut found = None;
            for name in path.split('.') {
                let field =
                    fields.iter().find(|field| field.name() == name).unwrap_or_else(|| panic!("{path}")).clone();
                let inner = match field.data_type() {
                    DataType::List(element) => element.data_type().clone(),
                    kind => kind.clone(),
                };
                if let DataType::Struct(members) = &inner {
                    fields = members.clone();
                }
                found = Some(field.data_type().clone());
            }
            found.unwrap()
        };
        for path in ["actor.user.uid", "src_endpoint.ip", "metadata.product.vendor_name", "api.operation", "unmapped"] {
            assert_eq!(kind(path), DataType::Utf8, "{path}");
        }
        assert_eq!(kind("time"), DataType::Int64);
        assert_eq!(kind("resources.uid"), DataType::Utf8);
        assert_eq!(kind("cloud.account.uid"), DataType::Utf8);
        assert_eq!(kind("actor.user.groups"), DataType::Utf8);
        assert!(matches!(kind("resources"), DataType::List(_)));
    }
}
