//! From a request to its answer.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::super::faults;
use super::asked::{Asked, Incoming, What};
use super::records::{LISTED, name_of, sort};
use super::{Entry, Fault, PARENTS, Shared, answer, authentic, recognize};

/// More than any request of a connector takes.
const LARGEST_REQUEST: usize = 1 << 20;

pub async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else {
        return answer::refused(&shared.terms, 413, "too large a request");
    };
    let mut response = shared.respond(&Incoming::new(&head, &body)).await;
    // Its clock is the one that the source is given, or it would seem to be off.
    let date = shared.terms.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

impl Shared {
    async fn respond(&self, incoming: &Incoming) -> Response {
        if let Some(token) = authentic::token(&self.terms, incoming) {
            return token.unwrap_or_else(|reason| {
                self.refuse(401, format!("a token is not asked for as it should be: {reason}"))
            });
        }
        if let Some(early) = self.arrive() {
            self.complain(early);
        }
        if let Err(reason) = authentic::check(&self.terms, &incoming.headers) {
            return self.refuse(401, format!("a request does not authenticate: {reason}"));
        }
        let followed = self.state().walks.followed(incoming);
        let asked = match followed.map_or_else(|| recognize::recognize(&self.recognized, incoming), Ok) {
            Ok(asked) => asked,
            Err(reason) => return self.refuse(404, reason),
        };
        let fault = self.state().trouble.strike(&incoming.key);
        match fault {
            Some(Fault::CutBody) => faults::cut(self.answer(&asked)).await,
            Some(Fault::WebPage) => answer::web_page(200),
            Some(Fault::BadGateway) => answer::web_page(502),
            Some(Fault::ServerError) => answer::refused(&self.terms, 500, "something went wrong"),
            Some(Fault::TooMany(announced)) => {
                let mut response = answer::refused(&self.terms, 429, "too many requests");
                response.headers_mut().extend(announced.headers(self.terms.clock.now()));
                response
            }
            None => self.answer(&asked),
        }
    }

    /// Counts a request, and says when it came earlier than it was told to.
    fn arrive(&self) -> Option<String> {
        let mut state = self.state();
        state.requests += 1;
        state.trouble.arrive()
    }

    fn complain(&self, what: String) {
        let mut state = self.state();
        if !state.complaints.contains(&what) {
            state.complaints.push(what);
        }
    }

    fn refuse(&self, status: u16, reason: String) -> Response {
        let response = answer::refused(&self.terms, status, &reason);
        self.complain(reason);
        response
    }

    fn answer(&self, asked: &Asked) -> Response {
        let answer = match asked.what {
            What::Page => self.page(asked),
            What::Parents => self.parents(asked),
            What::Detail => self.detail(asked),
            What::Order => self.order(asked),
            What::Find => self.find(asked),
            What::Poll => self.poll(asked),
            What::Download => self.download(asked),
        };
        answer.unwrap_or_else(|reason| self.refuse(400, reason))
    }

    /// The entries of the window that is asked for, in the vendor's order.
    pub(super) fn window(&self, asked: &Asked) -> Result<Vec<Entry>, String> {
        let rules = &self.terms.connector.definition.window;
        let window = asked.window(&rules.time_format.value, rules.bounds)?;
        let mut entries = self.state().entries.clone();
        entries.retain(|entry| window.holds(entry.time));
        if let Some(parent) = asked.variables.get("each") {
            entries.retain(|entry| parent_of(entry.number) == *parent);
        }
        sort(&mut entries, self.terms.way_to_read().order);
        Ok(entries)
    }

    fn page(&self, asked: &Asked) -> Result<Response, String> {
        let entries = self.window(asked)?;
        let names: Vec<String> = entries.iter().map(name_of).collect();
        let slice = self.state().walks.slice(&self.paging, asked, &names)?;
        let Some(slice) = slice else { return Ok(answer::expired(&self.terms)) };
        Ok(answer::page(&self.terms, &self.shape, &entries[slice.range.clone()], &slice))
    }

    fn parents(&self, asked: &Asked) -> Result<Response, String> {
        let each = self.terms.way_to_read().each.as_ref().ok_or("there is no list of these")?;
        let names: Vec<String> = (0..PARENTS).map(parent_of).collect();
        let slice = self.state().walks.slice(&self.paging_of_parents, asked, &names)?;
        let Some(slice) = slice else { return Ok(answer::expired(&self.terms)) };
        let place = (each.records.as_ref(), &each.id);
        Ok(answer::parents(&self.terms, place, &names[slice.range.clone()], &slice))
    }

    fn detail(&self, asked: &Asked) -> Result<Response, String> {
        let detail = self.terms.way_to_read().detail.as_ref().ok_or("records are not given out one by one")?;
        let mut names = asked.variables.iter().filter(|(name, _)| name.starts_with(LISTED)).map(|(_, value)| value);
        let entries = self.state().entries.clone();
        let entry = names.find_map(|name| entries.iter().find(|entry| name_of(entry) == *name));
        let record = self.shape.record(entry.ok_or("a record was asked for that is not there")?);
        Ok(match &detail.record {
            Some(path) => answer::members(&self.terms, &[(path, record)]),
            None => answer::sound(&self.terms, record),
        })
    }
}

/// Whose log an entry is in: what a path, a query and JSON have to encode.
fn parent_of(number: u64) -> String {
    format!("a/b&{}=\u{fc}", number % PARENTS)
}
