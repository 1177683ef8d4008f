//! What a way to read must be: variables that have a value where they stand, and parts that go together.

use super::Checker;
use crate::connector::model::{Detail, Each, Find, Job, Paginate, Read, Request};
use crate::document::Spanned;

/// Variables that the source fills in wherever it reads a window.
const READING: &[&str] = &["from", "until", "page", "page_size", "offset", "cursor", "after_id", "after_time"];
/// Variables of a job's later requests.
const JOB: &[&str] = &["job"];
/// Variables of the request that looks for a job.
const FIND: &[&str] = &["from", "until", "ordered_at"];
/// Variables of the request that fetches a listed record.
const DETAIL: &[&str] = &["from", "until", "record"];
/// The parent whose log is read.
const EACH: &str = "each";

impl Checker<'_> {
    pub(super) fn growth(&self) {
        let window = &self.definition.window;
        if let Some(grow_to) = window.grow_to.as_ref().filter(|grow_to| grow_to.value.0 < window.size.0) {
            let message = format!("`grow_to` is less than `size`, which is {}", window.size);
            self.error(&grow_to.place, message, "a window begins with `size` and grows from there");
        }
    }

    pub(super) fn read(&self, name: &Spanned<String>, read: &Read) {
        let with_each = |variables: &[&'static str]| {
            let each = read.each.as_ref().map(|_| EACH);
            variables.iter().copied().chain(each).collect::<Vec<_>>()
        };
        self.request(&read.request, &with_each(READING));
        self.paging(name, read.paginate.as_ref(), &read.request);
        if let Some(job) = &read.job {
            self.job(name, job, read);
        }
        if let Some(each) = &read.each {
            self.each(name, each, &read.request);
        }
        if let Some(detail) = &read.detail {
            self.detail(name, detail, &with_each(DETAIL));
        }
    }

    /// A request that does not say where it is would read the first page for ever.
    fn paging(&self, name: &Spanned<String>, paginate: Option<&Paginate>, request: &Request) {
        let needed = match paginate {
            Some(Paginate::Page { .. }) => "page",
            Some(Paginate::Offset { .. }) => "offset",
            Some(Paginate::Cursor { .. }) => "cursor",
            Some(Paginate::Keyset { .. }) => "after_id",
            Some(Paginate::Link {} | Paginate::Url { .. }) | None => return,
        };
        if !uses(request, needed) {
            let hint = format!("put `{{{needed}}}` into its query, form or json");
            self.error(&name.place, format!("`{name}` pages by {needed}, but its request does not say so"), &hint);
        }
        if matches!(paginate, Some(Paginate::Keyset { time: None, .. })) && uses(request, "after_time") {
            let message = format!("`{name}` asks behind a time, but does not say where a record has it");
            self.error(&name.place, message, "add `time` to `paginate.keyset`");
        }
    }

    fn job(&self, name: &Spanned<String>, job: &Job, read: &Read) {
        self.request(&job.poll, JOB);
        self.request(&job.download, JOB);
        if let Some(find) = &job.find {
            self.find(find);
        }
        if read.paginate.is_some() {
            self.error(&name.place, format!("`{name}` has a job and pages"), "the result of a job is one file");
        }
        if read.each.is_some() || read.detail.is_some() {
            let message = format!("`{name}` has a job, which goes with neither `each` nor `detail`");
            self.error(&name.place, message, "the result of a job is one file");
        }
    }

    fn find(&self, find: &Find) {
        self.request(&find.request, FIND);
        for template in find.matches.values() {
            self.variables(&template.value, &template.place, FIND);
        }
    }

    fn each(&self, name: &Spanned<String>, each: &Each, request: &Request) {
        self.request(&each.request, READING);
        self.paging(name, each.paginate.as_ref(), &each.request);
        if !uses(request, EACH) {
            let message = format!("`{name}` is read for each parent, but its request does not say for which");
            self.error(&name.place, message, "put `{each}` into its path, query, form or json");
        }
    }

    fn detail(&self, name: &Spanned<String>, detail: &Detail, variables: &[&str]) {
        self.request(&detail.request, variables);
        if !uses(&detail.request, "record") {
            let message = format!("the details of `{name}` are asked for without saying of which record");
            self.error(
                &name.place,
                message,
                "put `{record.PATH}` into the request of `detail`, for example `{record.id}`",
            );
        }
        // One that is gone is kept as it was listed: a fingerprint would call that another record.
        if self.definition.decode.id.is_empty() {
            let message = format!("`{name}` fetches details, but records have no `id` to be known again by");
            self.error(&name.place, message, "add `id` to `[decode]`");
        }
    }
}

/// Whether a request depends on that variable.
fn uses(request: &Request, variable: &str) -> bool {
    let mut templates = request.templates().into_iter();
    templates.any(|(template, _)| template.variables().any(|known| known == variable))
}

#[cfg(test)]
mod tests {
    use crate::connector::{Connector, source};
    use crate::document::{Context, Problems};

    /// What is said of the Telnyx connector with one piece of it replaced.
    fn said(piece: &str, instead: &str) -> Vec<String> {
        let text = source("telnyx").unwrap();
        assert!(text.contains(piece), "{piece}");
        let problems = Problems::new();
        Connector::parse("telnyx", "telnyx.toml", &text.replacen(piece, instead, 1), &Context::new(&problems));
        let said = problems.to_string();
        let lines = said.lines().map(str::trim_start);
        let lines = lines.filter_map(|line| line.strip_prefix("error: ").or(line.strip_prefix("hint: ")));
        lines.map(str::to_owned).collect()
    }

    const PAGES: &str = "paginate.page = { first = 1, total = \"meta.total_pages\" }";

    #[test]
    fn every_way_of_paging_is_accepted_where_the_request_goes_with_it() {
        for paginate in [
            "paginate.link = {}",
            "paginate.url = { next = [\"paging.next\"], more = \"paging.more\" }",
            "paginate.keyset = { id = \"id\", time = \"created_at\" }\nrequest.query.after = \"{after_id}\"",
            "paginate.page = { first = 0, ceiling = 10 }",
        ] {
            let (keys, request) = paginate.split_once('\n').unwrap_or((paginate, ""));
            let request = request.replace("request.", "");
            let text = source("telnyx").unwrap().replacen(PAGES, keys, 1);
            let text = text.replacen("query.sort = \"asc\"", &format!("query.sort = \"asc\"\n{request}"), 1);
            let problems = Problems::new();
            let connector = Connector::parse("telnyx", "telnyx.toml", &text, &Context::new(&problems));
            assert!(connector.is_some() && !problems.has_errors(), "{paginate}: {problems}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let cases: &[(&str, &str, &[&str])] = &[
            (
                PAGES,
                "paginate.keyset = { id = \"id\" }",
                &[
                    "`pages` pages by after_id, but its request does not say so",
                    "put `{after_id}` into its query, form or json",
                ],
            ),
            (
                "size = \"1d\"",
                "size = \"1d\"\ngrow_to = \"1h\"",
                &["`grow_to` is less than `size`, which is 1d", "a window begins with `size` and grows from there"],
            ),
            (
                "[decode]",
                "[read.pages.each]\nrequest = { method = \"GET\", path = \"/projects\" }\nid = \"id\"\n\n[decode]",
                &[
                    "`pages` is read for each parent, but its request does not say for which",
                    "put `{each}` into its path, query, form or json",
                ],
            ),
            (
                "[decode]",
                "[read.pages.detail]\nrequest = { method = \"GET\", path = \"/events/{page}\" }\n\n[decode]",
                &[
                    "the details of `pages` are asked for without saying of which record",
                    "put `{record.PATH}` into the request of `detail`, for example `{record.id}`",
                    "`{page}` is neither a parameter nor known here",
                    "known here: from, until, record, api_key",
                ],
            ),
        ];
        for (piece, instead, expected) in cases {
            assert_eq!(&said(piece, instead), expected, "{instead}");
        }
    }
}
