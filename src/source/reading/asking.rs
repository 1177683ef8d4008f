//! From a place in a window to a request: which variables have which value there.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

use super::Source;
use crate::connector::model::{Each, Find, Paginate, Read, Request};
use crate::source::cursor::{Place, Window};
use crate::source::link;
use crate::source::request::{Prepared, prepare};
use crate::source::settings::Filter;
use crate::source::upstream::Refusal;

/// A job that is ours may have been ordered this much earlier than we think: clocks differ.
pub(super) const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// Variables and their values at one place.
type Variables = Vec<(&'static str, Json)>;

impl Source {
    /// The main request, at the page the window stands at.
    pub(super) fn page_request(&self, read: &Read, window: &Window) -> Result<Prepared, Refusal> {
        let mut variables = self.place_variables(read.paginate.as_ref(), &window.place);
        variables.extend(self.page_size_of(read, window).map(|size| ("page_size", size.into())));
        let request = self.prepared(&read.request, window, &variables, &self.settings().filters);
        self.follow(read.paginate.as_ref(), &window.place, request)
    }

    /// The request for the parents, at that place in their list.
    pub(super) fn parents_request(&self, each: &Each, window: &Window, place: &Place) -> Result<Prepared, Refusal> {
        let variables = self.place_variables(each.paginate.as_ref(), place);
        self.follow(each.paginate.as_ref(), place, self.prepared(&each.request, window, &variables, &[]))
    }

    /// The request that looks for a job ordered at about that time.
    pub(super) fn find_request(&self, find: &Find, window: &Window, ordered_at: DateTime<Utc>) -> Prepared {
        let ordered_at = self.written(ordered_at - CLOCKS_DIFFER);
        self.prepared(&find.request, window, &[("ordered_at", ordered_at)], &[])
    }

    /// A later request of a job: what was ordered was filtered then.
    pub(super) fn job_request(&self, request: &Request, window: &Window, job: &str) -> Prepared {
        self.prepared(request, window, &[("job", job.into())], &[])
    }

    pub(super) fn prepared(
        &self,
        request: &Request,
        window: &Window,
        variables: &[(&str, Json)],
        filters: &[Filter],
    ) -> Prepared {
        let lookup = |name: &str| self.variable(name, window, variables);
        prepare(&self.settings().base_url, request, &self.definition().filters, filters, &lookup)
    }

    /// The value of a variable of the source's, or of a parameter.
    pub(super) fn variable(&self, name: &str, window: &Window, own: &[(&str, Json)]) -> Option<Json> {
        match name {
            "from" => Some(self.written(self.boundary.asked(window.span()).from)),
            "until" => Some(self.written(self.boundary.asked(window.span()).until)),
            "each" => window.parents.as_ref()?.left.first().map(|id| id.clone().into()),
            _ => own
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
                .or_else(|| self.settings().parameter(name)),
        }
    }

    /// An instant as the vendor writes it.
    fn written(&self, time: DateTime<Utc>) -> Json {
        Json::String(time.format(&self.definition().window.time_format.value).to_string())
    }

    fn place_variables(&self, paginate: Option<&Paginate>, place: &Place) -> Variables {
        let first = match paginate {
            Some(Paginate::Page { first, .. }) => *first,
            _ => 1,
        };
        match place {
            Place::Start | Place::Ordering { .. } | Place::Job { .. } => {
                vec![("page", first.into()), ("offset", 0.into())]
            }
            Place::Page(number) => vec![("page", (*number).into())],
            Place::Offset(offset) => vec![("offset", (*offset).into())],
            Place::Token { token, .. } => vec![("cursor", token.clone().into())],
            Place::After { id, time, .. } => {
                let time = time.map(|time| ("after_time", self.written(time)));
                [("after_id", id.clone().into())].into_iter().chain(time).collect()
            }
        }
    }

    /// Where the vendor gave the next page's whole address, that is what is asked, as it was given.
    fn follow(&self, paginate: Option<&Paginate>, place: &Place, mut request: Prepared) -> Result<Prepared, Refusal> {
        if let (Some(Paginate::Link {} | Paginate::Url { .. }), Place::Token { token, .. }) = (paginate, place) {
            let base = &self.settings().base_url;
            request.url = link::at_home(base, base, token).map_err(|where_to| self.elsewhere(&where_to))?;
            request.with_cursor = true;
        }
        Ok(request)
    }

    pub(super) fn elsewhere(&self, where_to: &str) -> Refusal {
        let what = format!("leads to {where_to} for its next page, and a credential is not taken there");
        self.mistake(&what, "check `base_url`: the vendor's pages are at another address")
    }
}
