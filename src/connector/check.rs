//! What a connector file must be beyond well-formed: names that resolve, shapes that can work.

mod example;

use chrono::format::{Item, StrftimeItems};

use super::model::{Auth, Definition, FilterEncoding, Paginate, Read, Request};
use super::template::Template;
use crate::document::{Place, Problem, Problems, Spanned, did_you_mean};

/// Variables that the source fills in.
const READING: &[&str] = &["from", "until", "page", "page_size", "offset", "cursor"];
/// Variables of a job's later requests.
const JOB: &[&str] = &["job"];

/// Reports everything unsound; `true` when there is nothing.
pub fn check(definition: &Definition, problems: &Problems) -> bool {
    let before = problems.count(crate::document::Severity::Error);
    let checker = Checker { definition, problems };
    checker.base_url();
    checker.time_format();
    checker.auth();
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
        match url::Url::parse(base) {
            Ok(url) if url.scheme() == "https" => {}
            _ => {
                self.error(&base.place, format!("expected an https URL, found `{base}`"), "tokens travel to this host")
            }
        }
    }

    fn time_format(&self) {
        let format = &self.definition.window.time_format;
        if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
            self.error(&format.place, format!("`{format}` is not a time format"), "for example \"%Y-%m-%dT%H:%M:%SZ\"");
        }
    }

    fn auth(&self) {
        for way in &self.definition.auth {
            let templates: Vec<&Template> = match &way.value {
                Auth::Bearer(token) => vec![token],
                Auth::Headers(headers) => headers.values().collect(),
                Auth::Basic { user, password } => vec![user, password],
                Auth::Jwt(jwt) => [&jwt.key, &jwt.key_id].into_iter().chain(jwt.claims.values()).collect(),
            };
            for template in templates {
                self.variables(template, &way.place, &[]);
            }
        }
        if self.definition.auth.is_empty() {
            self.problems.push(Problem::error("a connector needs at least one `[[auth]]`"));
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

    fn read(&self, name: &Spanned<String>, read: &Read) {
        self.request(&read.request, READING);
        if let Some(job) = &read.job {
            self.request(&job.poll, JOB);
            self.request(&job.download, JOB);
            if read.paginate.is_some() {
                self.error(&name.place, format!("`{name}` has a job and pages"), "the result of a job is one file");
            }
        }
        let needed = match read.paginate {
            Some(Paginate::Page { .. }) => "page",
            Some(Paginate::Offset { .. }) => "offset",
            Some(Paginate::Cursor { .. }) => "cursor",
            None => return,
        };
        let request = &read.request;
        let mut places = [&request.query, &request.form, &request.json].into_iter().flat_map(|map| map.values());
        if !places.any(|template| template.variables().any(|variable| variable == needed)) {
            let hint = format!("put `{{{needed}}}` into its query, form or json");
            self.error(&name.place, format!("`{name}` pages by {needed}, but its request does not say so"), &hint);
        }
    }

    fn request(&self, request: &Request, own: &[&str]) {
        let maps = [&request.headers, &request.query, &request.form, &request.json];
        let templates = maps.into_iter().flat_map(|map| map.values()).chain([&request.path]);
        for template in templates {
            self.variables(&template.value, &template.place, own);
        }
        if !request.form.is_empty() && !request.json.is_empty() {
            let place = &request.path.place;
            self.error(place, "a request has a form or a JSON body, not both".to_owned(), "leave one out");
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
