//! From a vendor's record to an OCSF event: the `[ocsf]` table of a connector.
//!
//! ```toml
//! [ocsf]
//! product = "Example DNS"            # metadata.product.name
//! class = "entity_management"        # the class when no rule below fits; it must fit every record
//! severity = "Informational"         # a word of OCSF, here and in the two below
//! activity = { from = "action", values = { add = "Create", "remove*" = "Delete" } }
//! status = { from = "code", values = { "2*" = "Success", "*" = "Failure" }, otherwise = "Success" }
//! profiles = ["host"]                # optional
//!
//! [ocsf.map]                         # attribute of OCSF = path in the vendor's record
//! actor.user.uid = "user.id"
//! actor.user.type = { from = "user.kind", values = { robot = "Service" } }
//! entity.uid = { from = ["zone.id", "account.id"], otherwise = "unknown" }
//! entity.type = { value = "Network Zone" }
//! "entity.data.before" = "old"       # below an attribute that takes any JSON, names are free
//!
//! [[ocsf.when]]                      # rules, tried in this order; the first that fits counts
//! match = { action = ["login", "sso_*"], "user.id" = { exists = true } }
//! class = "authentication"
//! activity = "Logon"
//! [ocsf.when.map]                    # beside the map above, and before it
//! user.uid = "user.id"
//! service.name = { value = "Example DNS" }
//!
//! [[ocsf.when]]                      # no `match`: fits whenever the record has what the class requires
//! class = "api_activity"
//! [ocsf.when.map]
//! src_endpoint.ip = "client_ip"
//! api.operation = "action"
//! resources.0.uid = "zone.id"        # the first item of a list
//! # An object for each item of the vendor's list. In `match` and `map`, paths begin at the item.
//! http_request.http_headers = { each = "headers", match = { secret = { not = true } }, map = { name = "key", value = "text" } }
//! ```
//!
//! **Values.** A text is a path; a list of texts is tried from its start, and the first that has something that fits
//! counts. `{ from = path or list, values = { word = meaning }, otherwise = constant }` says more, `{ value = constant }`
//! is the same in every event. Words are compared without regard to case, and may begin or end with `*`; the exact word
//! counts before a pattern, and a longer pattern before a shorter one.
//!
//! **Lists.** `{ each = path, map = { … } }` makes an object of every item of a list, and `match` picks items as it picks
//! records. An attribute that is no list is made of the first item that fits: `user = { each = "targets", match = { type =
//! "User" }, map = { uid = "id" } }`. Single values have no `map`: `privileges = { each = "roles", from = "name" }`, where the
//! item itself counts without `from`, and `values` is as above. Where any JSON may stand, `by` makes an object and says where
//! an item has the key: `entity.data = { each = "changes", by = "field", from = "before" }`. The members of a vendor's object
//! are items, too, and keep their keys: `entity.data = { each = "changed", from = "0" }`. Of items with one key the first
//! counts, with `last = true` the last: of what was changed twice, the value before the first change and the one after the
//! last. An item that has `null` there gives nothing; an empty text, list or object is what was emptied, and stays.
//!
//! **Enums** (`status_id`, `type_id` …) are given by the caption's name (`status`, `type`) or their own. A word is looked up
//! in `values`, then among OCSF's captions; any other is *Other*, with the vendor's word as the caption. No word at all is
//! *Unknown*. Captions, `type_uid` and the names of class and category follow by themselves.
//!
//! **Types.** A value that does not fit its attribute (an IP address that is none) counts as missing, and the event says so: its
//! `metadata.tags` has `auditline.misfit` with the attribute, unless the value is in the event elsewhere. What is empty is no
//! misfit, and neither is a word that `values` does not list. Of a list the items that fit are taken. An object of the event
//! is left out if it lacks what OCSF requires of it, or if nothing in it comes from the record; constants alone do not
//! make it appear, unless it has nothing but constants, or the class requires it.
//!
//! **Rules** inherit from `[ocsf]` what their class has, too. A rule whose class requires something that a record does not
//! have does not fit that record. So every event is valid OCSF.
//!
//! **Observables.** What OCSF counts as one (addresses, names, ids of users …) is in `observables`, too, by itself.
//!
//! **Nothing is lost.** What the map does not name, and what stands in the event in another form only (a time, a word with
//! another caption), is in `unmapped`, where the vendor had it. `null` and empty values beside what the map names are left
//! out; what it does not look into at all stays as it is, with what is empty in it.
//!
//! **Conditions.** `match = { path = … }` takes a word, a list of words, `{ exists = true }` (or `false`), `{ prefix = text or
//! list }`, `{ cidr = network or list }` (`"10.0.0.0/8"`, `"2001:db8::/32"`, a single address), or `{ not = … }` around any
//! of these. All of them must hold; of a list of such tables one must. A path that ends in a test's name is written in
//! quotes: `"record.prefix" = "x"`.

mod close;
mod compile;
pub mod coverage;
mod draft;
mod each;
mod form;
mod items;
mod language;
mod leaf;
mod map;
mod origins;
pub mod paths;
mod run;
mod scalar;
mod schema;
mod shape;
mod source;
#[cfg(test)]
pub mod tests;
#[cfg(test)]
pub mod validate;

pub use self::form::Form;
pub use self::map::Map;
pub use self::origins::{ANY, Origin};
pub use self::schema::is_fact;
pub use self::source::{Source, Taken};
use crate::event::Path;

/// What a map needs to know of the connector it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The vendor's name: `metadata.product.vendor_name`.
    pub vendor: String,
    /// The connector's name: `metadata.log_name`.
    pub connector: String,
    /// Where a record has its id. What stands there is in `metadata.uid`, so that it need not be kept twice.
    pub id: Vec<Path>,
    /// Where a record has its time. What stands there is kept as `metadata.original_time`.
    pub time: Vec<Path>,
}
