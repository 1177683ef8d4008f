//! What a connector file must be beyond well-formed: names that resolve, shapes that can work.

mod example;
mod read;

use chrono::format::{Item, StrftimeItems};
use reqwest::header::HeaderName;
use serde_json::Value as Json;
use url::Url;

use super::model::{Auth, Definition, FilterEncoding, Format, Oauth2, Paginate, Pattern, Read, Request};
use super::template::Template;
use crate::document::{Place, Problem, Problems, did_you_mean};

/// Reports everything unsound; `true` when there is nothing.
pub fn check(definition: &Definition, problems: &Problems) -> bool {
    let before = problems.count(crate::document::Severity::Error);
    let checker = Checker { definition, problems };
    checker.base_url();
    checker.time_format();
    checker.growth();
    checker.auth();
    checker.credential();
    checker.decode();
    checker.filters();
    for (name, read) in &definition.read {
        checker.read(name, read);
    }
    checker.examples();
    if definition.read.is_empty() {
        problems.push(Problem::error("a connector needs at least one `[read.NAME]`"));
    }
    problems.count(crate::document::Severity::Error) == before
}

struct Checker<'a> {
    definition: &'a Definition,
    problems: &'a Problems,
}

impl Checker<'_> {
    fn error(&self, place: &Place, message: String, hint: &str) {
        self.problems.push(Problem::error(message).at(place).hint(hint));
    }

    fn base_url(&self) {
        let base = &self.definition.connector.base_url;
        if self.address(base, &base.place) {
            return;
        }
        self.error(&base.place, format!("expected an https URL, found `{base}`"), "tokens travel to this host");
    }

    /// Whether a template makes an address that a credential may travel to, once its variables have values. What is
    /// wrong with the variables themselves is told here.
    fn address(&self, template: &Template, place: &Place) -> bool {
        let in_host: Vec<&str> = template.host_variables().collect();
        self.variables(template, place, &[]);
        for name in template.variables() {
            let Some(parameter) = self.definition.parameters.get(name) else { continue };
            if parameter.secret {
                self.error(
                    place,
                    "a secret stands in this address".to_owned(),
                    "addresses are printed, and kept by whoever passes them on",
                );
            } else if parameter.optional {
                self.error(
                    place,
                    format!("`{{{name}}}` may be left out"),
                    "an address is not complete without it: let it not be `optional`",
                );
            } else if in_host.contains(&name) && parameter.pattern != Some(Pattern::Host) {
                let hint =
                    format!("give `[parameters.{name}]` a `pattern = \"host\"`, so that it cannot name another host");
                self.error(place, format!("`{{{name}}}` stands in the host, and may be anything"), &hint);
            }
        }
        let example = template.fill_address(&|_| Some(Json::from("x"))).and_then(|text| Url::parse(&text).ok());
        example.is_some_and(|url| {
            let plain = url.username().is_empty() && url.password().is_none();
            url.scheme() == "https" && plain && url.query().is_none() && url.fragment().is_none()
        })
    }

    fn time_format(&self) {
        let format = &self.definition.window.time_format;
        if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
            self.error(&format.place, format!("`{format}` is not a time format"), "for example \"%Y-%m-%dT%H:%M:%SZ\"");
        }
    }

    fn auth(&self) {
        for way in &self.definition.auth {
            for template in way.needed().into_iter().chain(way.optional()) {
                self.variables(template, &way.place, &[]);
            }
            if let Auth::Oauth2(oauth2) = &way.value {
                self.token_url(oauth2);
            }
        }
        if self.definition.auth.is_empty() {
            self.problems.push(Problem::error("a connector needs at least one `[[auth]]`"));
        }
    }

    fn token_url(&self, oauth2: &Oauth2) {
        let (template, place) = (&oauth2.token_url.value, &oauth2.token_url.place);
        let text = template.to_string();
        let is_sound = match text.starts_with('/') {
            // A second slash would begin another host.
            true => !text.starts_with("//"),
            false => self.address(template, place),
        };
        if !is_sound {
            let message = format!("expected a path or an https URL, found `{text}`");
            self.error(place, message, "for example \"/oauth/token\": the client's secret travels there");
        }
    }

    fn credential(&self) {
        let Some(header) = &self.definition.credential.expires_header else { return };
        if HeaderName::try_from(header.as_str()).is_err() {
            self.error(
                &header.place,
                format!("`{header}` is not the name of a header"),
                "for example \"x-token-expires\"",
            );
        }
    }

    fn decode(&self) {
        let decode = &self.definition.decode;
        if let (Format::Ndjson, Some(records)) = (decode.format, &decode.records) {
            let message = "`records` beside `format = \"ndjson\"`".to_owned();
            self.error(&records.place, message, "each line is a record: leave `records` out");
        }
        let by_cursor = |read: &Read| matches!(read.paginate, Some(Paginate::Cursor { .. } | Paginate::Url { .. }));
        let endless = self.definition.read.iter().filter(|(_, read)| decode.records.is_none() && by_cursor(read));
        for (name, _) in endless {
            let message = format!("`{name}` pages by a cursor, but an answer has records and nothing else");
            self.error(&name.place, message, "say where the `records` are, or page in another way");
        }
    }

    fn filters(&self) {
        let filters = &self.definition.filters;
        let unknown =
            filters.single.iter().chain(filters.values.keys()).find(|name| !filters.all().any(|n| n == *name));
        if let Some(name) = unknown {
            self.problems.push(Problem::error(format!("`{name}` is not among the names of the filters")));
        }
        if filters.encode == FilterEncoding::Join && filters.separator.is_empty() {
            self.problems.push(Problem::error("filters that are joined need a `separator`"));
        }
    }

    fn request(&self, request: &Request, own: &[&str]) {
        for (template, place) in request.templates() {
            self.variables(template, place, own);
        }
        let mut bodies: Vec<(&str, &Place)> = [
            ("form", request.form.values().map(|template| &template.place).min_by_key(|place| start(place))),
            ("json", request.json.values().map(|tree| &tree.place).min_by_key(|place| start(place))),
            ("graphql", request.graphql.as_ref().map(|graphql| &graphql.query.place)),
        ]
        .into_iter()
        .filter_map(|(name, place)| Some((name, place?)))
        .collect();
        bodies.sort_by_key(|(_, place)| start(place));
        if let [(first, _), (second, place), ..] = bodies[..] {
            self.error(place, format!("`{second}` beside `{first}`: a request has one body"), "leave one of them out");
        }
        for (name, value) in request.graphql.iter().flat_map(|graphql| &graphql.variables) {
            let query = &request.graphql.as_ref().expect("it has variables").query;
            if !declares(query, name) {
                let hint = format!("declare it there, as in `query (${name}: String)`");
                self.error(&value.place, format!("the query has no variable `${name}`"), &hint);
            }
        }
    }

    fn variables(&self, template: &Template, place: &Place, own: &[&str]) {
        let parameters = || self.definition.parameters.keys().map(|name| name.value.as_str());
        for variable in template.variables() {
            if own.contains(&variable) || parameters().any(|name| name == variable) {
                continue;
            }
            let known: Vec<&str> = own.iter().copied().chain(parameters()).collect();
            let hint = match did_you_mean(variable, known.iter().copied()) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.error(place, format!("`{{{variable}}}` is neither a parameter nor known here"), &hint);
        }
    }
}

fn start(place: &Place) -> usize {
    place.span().map_or(0, |span| span.start)
}

/// Whether a GraphQL query speaks of `$name`.
fn declares(query: &str, name: &str) -> bool {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    query.split('$').skip(1).any(|rest| rest.split(|char| !is_name(char)).next() == Some(name))
}

#[cfg(test)]
mod tests;
