//! `geoip` and `asn`: where an address is, and whose network it belongs to, as a MaxMind database says.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, Mmap, Reader, WithinOptions, geoip2};

use super::super::Watched;
use super::Kind;
use super::draft::{Draft, Finding, Form, Members};
use super::hosts;
use super::kept::{Content, Kept, Unread};
use super::spots::Spots;
use crate::event::{Arena, Member, Value};

/// What is asked of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Where an address is.
    Place,
    /// The autonomous system it belongs to.
    System,
}

/// A database. Its pages are the kernel's, which takes them back when memory is short.
pub struct Database {
    reader: Reader<Mmap>,
    wanted: Wanted,
}

/// The kinds of MaxMind's databases that hold nothing of either.
const OTHERS: [&str; 3] = ["Anonymous", "Connection-Type", "Domain"];

const LIKE_MAXMIND: &str = "MaxMind's City, Country, ISP and ASN databases, and others made like them, will do";

/// How many records are tried before a database is used.
const TRIED: usize = 100;

impl Database {
    /// Opens a database that has what is wanted.
    ///
    /// # Errors
    /// Says what the file is not.
    pub fn read(path: &Path, wanted: Wanted) -> Result<Content<Self>, Unread> {
        let reader = open(path).map_err(|error| match error {
            MaxMindDbError::Io(error) | MaxMindDbError::Mmap(error) => Unread::Io(error),
            error => {
                let reason = format!("it is no MaxMind database: {error}");
                Unread::Wrong { line: None, reason, hint: "name a file such as `GeoLite2-City.mmdb`" }
            }
        })?;
        let kind = reader.metadata().database_type.as_str();
        let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        let hint = match wanted {
            _ if has(&OTHERS) => {
                Some("MaxMind's City, Country, ISP and ASN databases, and others made like them, will do")
            }
            Wanted::Place if has(&["ASN", "ISP"]) => Some("autonomous systems are what `asn` is for"),
            Wanted::System if has(&["City", "Country"]) => Some("places are what `geoip` is for"),
            _ => None,
        };
        if let Some(hint) = hint {
            let wanted = if wanted == Wanted::Place { "places" } else { "autonomous systems" };
            return Err(Unread::Wrong { line: None, reason: format!("a database `{kind}` has no {wanted}"), hint });
        }
        let database = Self { reader, wanted };
        if let Some(error) = database.first_odd_record() {
            let reason = format!("its records are not made like MaxMind's: {error}");
            return Err(Unread::Wrong { line: None, reason, hint: LIKE_MAXMIND });
        }
        Ok(Content { value: database, entries: None, passed_over: Vec::new() })
    }

    /// What is wrong with one of the first records. A database of another make would find nothing, and say nothing.
    fn first_odd_record(&self) -> Option<MaxMindDbError> {
        let records = self.reader.networks(WithinOptions::default()).ok()?.take(TRIED);
        records.map(|record| record.and_then(|record| self.decode(&record))).find_map(Result::err)
    }

    /// What it has of an address; nothing of one that is in no network it knows.
    fn find(&self, address: IpAddr) -> Option<Found<'_>> {
        // What is broken inside of a database is as good as not there.
        self.decode(&self.reader.lookup(address).ok()?).ok()?
    }

    fn decode<'d>(&self, record: &LookupResult<'d, Mmap>) -> Result<Option<Found<'d>>, MaxMindDbError> {
        Ok(match self.wanted {
            Wanted::Place => record.decode()?.map(|place| Found::Place(Box::new(place))),
            Wanted::System => record.decode()?.map(Found::System),
        })
    }
}

#[expect(unsafe_code, reason = "the crate has no safe call that leaves the database on the disk")]
fn open(path: &Path) -> Result<Reader<Mmap>, MaxMindDbError> {
    // SAFETY: nobody writes into the file: what keeps databases fresh puts another file in its place, which leaves this one
    // whole for as long as we hold it. The documentation tells the operator so.
    unsafe { Reader::open_mmap(path) }
}

/// Says of addresses what a database knows.
pub struct Geo {
    database: Arc<Kept<Database>>,
    from: Spots,
}

impl Geo {
    /// Looks at the addresses that stand there; without places, at those of the source.
    #[must_use]
    pub fn new(database: Arc<Kept<Database>>, from: Option<Spots>) -> Self {
        Self { database, from: from.unwrap_or_else(|| Spots::usual(&["src_endpoint.ip"], &["source.ip"])) }
    }
}

impl Kind for Geo {
    fn add<'a>(&self, body: Value<'a>, draft: &mut Draft<'a>) {
        let database = self.database.now();
        for (spot, value) in self.from.texts(draft.form, body) {
            let Some(found) = hosts::address(value).and_then(|address| database.find(address)) else { continue };
            let provider = &database.reader.metadata().database_type;
            if let Some((holder, member)) =
                spot.holder().and_then(|holder| Some((holder, found.home(draft.form, holder)?)))
            {
                let members = match draft.form {
                    Form::Ecs => found.ecs(draft.arena),
                    Form::Ocsf | Form::Envelope => found.ocsf(provider, draft.arena),
                };
                if members.is_empty() || (found.is_valid(draft.form) && draft.put(holder, member, members)) {
                    continue;
                }
            }
            let (kind, data) = (found.kind(), found.ocsf(provider, draft.arena));
            draft.enrichment(&Finding { name: &spot.name, value, kind, provider, data });
        }
    }

    fn watched(&self) -> Option<Arc<dyn Watched>> {
        Some(Arc::clone(&self.database) as _)
    }
}

/// What a database has of an address.
enum Found<'d> {
    Place(Box<geoip2::City<'d>>),
    System(geoip2::Asn<'d>),
}

impl Found<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Place(_) => "geoip",
            Self::System(_) => "asn",
        }
    }

    /// The member that a form has for it beside an address of `holder`.
    fn home(&self, form: Form, holder: &str) -> Option<&'static str> {
        Some(match (form, self, holder) {
            (Form::Ocsf, Self::Place(_), "src_endpoint" | "dst_endpoint" | "device") => "location",
            (Form::Ocsf, Self::System(_), "src_endpoint" | "dst_endpoint") => "autonomous_system",
            (Form::Ecs, Self::Place(_), "source" | "destination" | "client" | "server" | "host" | "observer") => "geo",
            (Form::Ecs, Self::System(_), "source" | "destination" | "client" | "server") => "as",
            _ => return None,
        })
    }

    /// OCSF has no location of which only the continent is known.
    fn is_valid(&self, form: Form) -> bool {
        match self {
            Self::Place(place) if form == Form::Ocsf => {
                place.city.names.english.is_some() || place.country.iso_code.is_some() || place.postal.code.is_some()
            }
            _ => true,
        }
    }

    fn ocsf<'a>(&self, provider: &str, arena: &'a Arena) -> &'a [Member<'a>] {
        let mut out = Members::new(arena);
        match self {
            Self::Place(place) => {
                out.text("city", place.city.names.english);
                out.text("region", region(place).as_deref());
                out.text("country", place.country.iso_code);
                out.text("continent", place.continent.names.english);
                out.text("postal_code", place.postal.code);
                out.number("lat", place.location.latitude);
                out.number("long", place.location.longitude);
                if !out.is_empty() {
                    out.text("provider", Some(provider));
                }
            }
            Self::System(system) => {
                out.integer("number", system.autonomous_system_number);
                out.text("name", system.autonomous_system_organization);
            }
        }
        out.finish()
    }

    fn ecs<'a>(&self, arena: &'a Arena) -> &'a [Member<'a>] {
        let mut out = Members::new(arena);
        match self {
            Self::Place(place) => {
                out.text("continent_code", place.continent.code);
                out.text("continent_name", place.continent.names.english);
                out.text("country_iso_code", place.country.iso_code);
                out.text("country_name", place.country.names.english);
                out.text("region_iso_code", region(place).as_deref());
                out.text("region_name", place.subdivisions.first().and_then(|region| region.names.english));
                out.text("city_name", place.city.names.english);
                out.text("postal_code", place.postal.code);
                out.text("timezone", place.location.time_zone);
                if let (Some(latitude), Some(longitude)) = (place.location.latitude, place.location.longitude) {
                    let mut point = Members::new(arena);
                    point.number("lat", Some(latitude));
                    point.number("lon", Some(longitude));
                    out.object("location", point);
                }
            }
            Self::System(system) => {
                out.integer("number", system.autonomous_system_number);
                let mut organization = Members::new(arena);
                organization.text("name", system.autonomous_system_organization);
                out.object("organization", organization);
            }
        }
        out.finish()
    }
}

/// As ISO 3166-2 writes it: `CH-VD`.
fn region(place: &geoip2::City<'_>) -> Option<String> {
    Some(format!("{}-{}", place.country.iso_code?, place.subdivisions.first()?.iso_code?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::tests::{apply, apply_json, ecs, example, ocsf, valid_ocsf};
    use super::*;
    use crate::transform::ocsf::validate;

    fn geo(wanted: Wanted, from: Option<&str>) -> Geo {
        let name = if wanted == Wanted::Place { "places.mmdb" } else { "systems.mmdb" };
        let (database, _) = Kept::open(&example(name), Box::new(move |path| Database::read(path, wanted))).unwrap();
        Geo::new(Arc::new(database), from.map(|path| Spots::own(vec![path.parse().unwrap()])))
    }

    fn lausanne() -> Json {
        json!({
            "city": "Lausanne", "region": "CH-VD", "country": "CH", "continent": "Europe", "postal_code": "1003",
            "lat": 46.5, "long": 6.625, "provider": "Example-City",
        })
    }

    #[test]
    fn ocsf_has_it_beside_the_address() {
        let event = valid_ocsf(geo(Wanted::Place, None));
        assert_eq!(event["src_endpoint"], json!({ "ip": "198.51.100.7", "location": lausanne() }));
        let event = valid_ocsf(geo(Wanted::System, None));
        let system = json!({ "number": 64501, "name": "Example Networks" });
        assert_eq!(event["src_endpoint"], json!({ "ip": "198.51.100.7", "autonomous_system": system }));
        assert_eq!(event.get("enrichments"), None);
    }

    #[test]
    fn what_the_vendor_says_stays_and_the_database_is_heard_beside_it() {
        let mut before = ocsf();
        before["src_endpoint"]["location"] = json!({ "country": "FR" });
        let event = apply_json(geo(Wanted::Place, None), &before);
        assert_eq!(event["src_endpoint"], before["src_endpoint"]);
        let expected = json!([{
            "name": "src_endpoint.ip", "value": "198.51.100.7", "type": "geoip", "provider": "Example-City",
            "data": lausanne(),
        }]);
        assert_eq!(event["enrichments"], expected);
        assert_eq!(validate::problems(&event), [""; 0]);
    }

    #[test]
    fn a_place_without_a_country_is_no_location() {
        let mut before = ocsf();
        before["src_endpoint"]["ip"] = "2001:db8:1::1".into();
        let event = apply_json(geo(Wanted::Place, None), &before);
        assert_eq!(event["src_endpoint"], before["src_endpoint"]);
        assert_eq!(event["enrichments"][0]["data"], json!({ "continent": "Asia", "provider": "Example-City" }));
        assert_eq!(validate::problems(&event), [""; 0]);
    }

    #[test]
    fn ecs_has_it_beside_the_address() {
        let event = apply_json(geo(Wanted::Place, None), &ecs());
        let expected = json!({
            "continent_code": "EU", "continent_name": "Europe", "country_iso_code": "CH",
            "country_name": "Switzerland", "region_iso_code": "CH-VD", "region_name": "Vaud", "city_name": "Lausanne",
            "postal_code": "1003", "timezone": "Europe/Zurich", "location": { "lat": 46.5, "lon": 6.625 },
        });
        assert_eq!(event["source"]["geo"], expected);
        let event = apply_json(geo(Wanted::System, None), &ecs());
        let expected = json!({ "number": 64501, "organization": { "name": "Example Networks" } });
        assert_eq!(event["source"]["as"], expected);
        let mut elsewhere = ecs();
        elsewhere["related"] = json!({ "ip": ["198.51.100.7"] });
        let event = apply_json(geo(Wanted::System, Some("related.ip")), &elsewhere);
        assert_eq!(event["labels"], json!({ "asn_number": "64501", "asn_name": "Example Networks" }));
    }

    #[test]
    fn an_envelope_has_it_among_its_enrichments() {
        let body = r#"{"id":"r-1","record":{"ips":["::ffff:198.51.100.7","no address",7,"192.0.2.250"]}}"#;
        let found = apply(geo(Wanted::System, Some("record.ips")), body);
        let entry = r#"{"name":"record.ips","value":"::ffff:198.51.100.7","type":"asn","provider":"Example-ASN","data":{"number":64501,"name":"Example Networks"}}"#;
        assert_eq!(found, format!("{},\"enrichments\":[{entry}]}}", body.strip_suffix('}').unwrap()));
        assert_eq!(apply(geo(Wanted::System, None), body), body);
    }

    #[test]
    fn another_file_is_refused() {
        let refused = |name: &str, wanted| Database::read(&example(name), wanted).map(|_| ()).unwrap_err().to_string();
        assert_eq!(refused("systems.mmdb", Wanted::Place), "a database `Example-ASN` has no places");
        assert_eq!(refused("places.mmdb", Wanted::System), "a database `Example-City` has no autonomous systems");
        assert!(refused("people.csv", Wanted::Place).starts_with("it is no MaxMind database: "));
        assert!(refused("none.mmdb", Wanted::Place).starts_with("No such file"));
    }
}
