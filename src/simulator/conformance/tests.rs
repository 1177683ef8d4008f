//! Every connector passes, and one that is not whole does not.

use super::*;
use crate::connector::{names, source};
use crate::document::{Context, Problems};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connector_conforms() {
    let connectors: Vec<_> = names().filter_map(Connector::embedded).collect();
    let runs = connectors.iter().map(|connector| async move { (connector.name.clone(), run(connector).await) });
    for (name, lines) in futures::future::join_all(runs).await {
        let wrong: Vec<&Line> = lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_))).collect();
        assert_eq!(wrong, Vec::<&Line>::new(), "{name}");
        let passed = lines.iter().filter(|line| line.outcome == Outcome::Passed).count();
        assert!(passed >= 14, "{name} passed {passed} cases only: {lines:#?}");
    }
}

/// What a case comes to for an embedded connector with pieces of it replaced.
async fn outcome(name: &str, changes: &[(&str, &str)], read: &str, case: Case) -> Outcome {
    let mut text = source(name).unwrap().to_owned();
    for (piece, instead) in changes {
        assert!(text.contains(piece), "{piece}");
        text = text.replacen(piece, instead, 1);
    }
    let problems = Problems::new();
    let connector = Connector::parse(name, "changed.toml", &text, &Context::new(&problems));
    let connector = Arc::new(connector.unwrap_or_else(|| panic!("{problems}")));
    one(&connector, read.to_owned(), case).await.outcome
}

#[tokio::test]
async fn what_does_not_go_together_is_found_out() {
    // A page that is not asked for as long as it is expected to be looks like the last one.
    let total = "paginate.offset = { ceiling = 10000, total = \"total_count\" }";
    let size = "form.count = \"{page_size}\"\n";
    let changes = [(total, "paginate.offset = {}"), (size, "")];
    let short = outcome("voximplant", &changes, "pages", Case::EveryPage).await;
    let failed = Outcome::Failed("19 of 32 records do not arrive, the first one of 2025-06-13 06:10:39 UTC".to_owned());
    assert_eq!(short, failed);

    // Every page is taken for an error.
    let (error, result) = ("{ path = \"error\", exists = true }", "{ path = \"total_count\", exists = true }");
    let refused = outcome("voximplant", &[(error, result)], "pages", Case::EveryPage).await;
    assert!(
        matches!(&refused, Outcome::Failed(reason) if reason.starts_with("Voximplant answered HTTP 200")),
        "{refused:?}"
    );

    // A rule before the one for cursors takes its answer.
    let rule = "[[errors.rule]]\nstatus = [400, 422]\n";
    let before = format!("[[errors.rule]]\nstatus = [400]\nthen = \"configuration\"\n\n{rule}");
    let stopped = outcome("nirvana", &[(rule, &before)], "pages", Case::ExpiredCursors).await;
    assert_eq!(stopped, Outcome::Failed("Nirvana Labs answered HTTP 400: the cursor has expired".to_owned()));
}

#[tokio::test]
async fn what_does_not_concern_a_connector_is_named() {
    let rule = "then = \"reset_cursor\"";
    let without = outcome("ashby", &[(rule, "then = \"retry\"")], "pages", Case::ExpiredCursors).await;
    let reason = "no rule says `reset_cursor`, so that an expired one stops the pipeline until it is restarted";
    assert_eq!(without, Outcome::Skipped(reason.to_owned()));
    let overlap = outcome("nirvana", &[("overlap = \"30m\"", "overlap = \"0s\"")], "pages", Case::Late).await;
    assert_eq!(overlap, Outcome::Skipped("it has no overlap".to_owned()));
    let pages = outcome("telnyx", &[], "pages", Case::RepeatedCursor).await;
    assert_eq!(pages, Outcome::Skipped("it has no cursors".to_owned()));
}

/// A connector of a vendor of nobody's: `auth`, `[read.pages]` and what follows it, and what `[decode]` says.
fn acme(auth: &str, read: &str, decode: &str) -> Arc<Connector> {
    let order = if read.contains("order = ") { "" } else { "order = \"ascending\"" };
    let text = format!(
        r#"
        [connector]
        title = "Acme audit log"
        vendor = "Acme"
        base_url = "https://{{domain}}/v1"
        verified_on = "2026-11-25"
        sources = []

        [parameters]
        domain = {{ about = "the tenant", pattern = "host" }}
        token = {{ secret = true, optional = true, about = "the token" }}
        client_id = {{ optional = true, about = "the client" }}
        client_secret = {{ secret = true, optional = true, about = "its secret" }}

        [[auth]]
        {auth}

        [window]
        size = "1d"
        grow_to = "4d"
        lag = "1m"
        overlap = "10m"
        slack = "0s"
        bounds = "half_open"
        time_format = "%Y-%m-%dT%H:%M:%S%.3fZ"

        [errors]
        message = ["message"]

        [[errors.rule]]
        status = [410]
        cursor = true
        then = "reset_cursor"

        [limits]
        rate = "1000/1s"
        in_flight = 1

        [ocsf]
        product = "Acme"
        class = "entity_management"
        severity = "Informational"
        activity = {{ from = "action", values = {{ "*" = "Read" }} }}
        map = {{ entity = {{ uid = {{ from = "id", otherwise = "unknown" }} }} }}

        [decode]
        id = ["id"]
        time = ["at"]
        {decode}

        [read.pages]
        {order}
        page_sizes = [100, 50]
        {read}
        "#
    );
    let problems = Problems::new();
    let connector = Connector::parse("acme", "acme.toml", &text, &Context::new(&problems));
    Arc::new(connector.unwrap_or_else(|| panic!("{problems}")))
}

const BEARER: &str = "bearer = \"{token}\"";
const ITEMS: &str = "records = \"items\"";
const WINDOW: &str = r#"query = { from = "{from}", until = "{until}", limit = "{page_size}""#;

/// A way to read that pages like that, with more in its query.
fn get(paginate: &str, query: &str) -> String {
    format!("{paginate}\nrequest = {{ method = \"GET\", path = \"/log\", {WINDOW}{query} }} }}\n")
}

async fn all_pass(what: &str, connector: &Arc<Connector>, skipped: usize) {
    let lines = run(connector).await;
    let wrong: Vec<&Line> = lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_))).collect();
    assert_eq!(wrong, Vec::<&Line>::new(), "{what}");
    let rest: Vec<&Line> = lines.iter().filter(|line| line.outcome != Outcome::Passed).collect();
    assert_eq!(rest.len(), skipped, "{what}: {rest:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_page_is_covered() {
    let link = get("paginate.link = {}", "");
    let url = get("paginate.url = { next = [\"paging.next\"], more = \"paging.more\" }", "");
    let keyset = get("paginate.keyset = { id = \"seq\" }", ", after = \"{after_id}\"");
    let with_time = "paginate.keyset = { id = \"id\", time = \"at\" }";
    let with_time = get(with_time, ", after = \"{after_id}\", since = \"{after_time}\"");
    let numbers = get("paginate.page = { first = 0, ceiling = 9 }", ", page = \"{page}\"");
    let cases = [
        // No ceiling; and where there are no cursors, none that expires or repeats itself.
        ("links", acme(BEARER, &link, ""), 1),
        ("links, newest first", acme(BEARER, &format!("order = \"newest_first\"\n{link}"), ""), 1),
        ("addresses", acme(BEARER, &url, ITEMS), 1),
        ("ids", acme(BEARER, &keyset, ITEMS), 3),
        ("ids and times, in lines", acme(BEARER, &with_time, "format = \"ndjson\""), 3),
        ("numbers up to a ceiling", acme(BEARER, &numbers, ITEMS), 2),
    ];
    let runs = cases.iter().map(|(what, connector, skipped)| all_pass(what, connector, *skipped));
    futures::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_a_way_to_read_is_covered() {
    let each = r#"
        paginate.cursor = { next = ["next"], empty_page_ends = true }
        request = { method = "GET", path = "/projects/{each}/log", query = { from = "{from}", until = "{until}", at = "{cursor}" } }
        each = { request = { method = "GET", path = "/projects", query = { at = "{cursor}" } }, records = "items", id = "slug", paginate = { cursor = { next = ["next"] } } }
    "#;
    let detail = format!(
        "{}detail = {{ request = {{ method = \"GET\", path = \"/log/{{record.ref.id}}\" }}, record = \"event\" }}\n",
        get("paginate.offset = { total = \"count\" }", ", skip = \"{offset}\"")
    );
    let graphql = r#"
        paginate.cursor = { next = ["data.log.end"], more = "data.log.more" }
        [read.pages.request]
        method = "POST"
        path = "/graphql"
        graphql.query = "query ($from: String!, $until: String!, $first: Int, $after: String) { log { id } }"
        graphql.variables = { from = "{from}", until = "{until}", first = "{page_size}", after = "{cursor}" }
    "#;
    let job = r#"
        request = { method = "POST", path = "/reports", json = { span = { from = "{from}", until = "{until}" }, kind = "audit" } }
        [read.pages.job]
        id = "report.id"
        poll = { method = "GET", path = "/reports/{job}" }
        ready = "report.done_at"
        size = "report.bytes"
        download = { method = "GET", path = "/reports/{job}/file" }
        every = "15s"
        give_up = "1h"
        [read.pages.job.find]
        request = { method = "GET", path = "/reports", query = { since = "{ordered_at}" } }
        records = "reports"
        id = "id"
        matches = { "span.from" = "{from}", "span.until" = "{until}" }
        time = "created"
    "#;
    let cases = [
        ("each", acme(BEARER, each, ITEMS), 1),
        ("detail", acme(BEARER, &detail, ITEMS), 3),
        ("graphql", acme(BEARER, graphql, "records = \"data.log.nodes\""), 1),
        ("job", acme(BEARER, job, ""), 3),
    ];
    let runs = cases.iter().map(|(what, connector, skipped)| all_pass(what, connector, *skipped));
    futures::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_authenticate_is_covered() {
    let read = get("paginate.link = {}", "");
    for way in [
        r#"headers = { X-Token = "{token}", X-Client = "{client_id}" }"#,
        r#"basic = { user = "{client_id}", password = "{client_secret}" }"#,
        r#"oauth2 = { token_url = "/oauth/token", client_id = "{client_id}", client_secret = "{client_secret}", send = "basic", scope = "read:logs" }"#,
        r#"oauth2 = { token_url = "https://{domain}/t", client_id = "{client_id}", client_secret = "{client_secret}", send = "form" }"#,
        r#"oauth2 = { token_url = "/t", client_id = "{client_id}", client_secret = "{client_secret}", send = "json", parameters = { audience = "https://{domain}/" } }"#,
    ] {
        let connector = acme(way, &read, "");
        assert_eq!(
            one(&connector, "pages".to_owned(), Case::Authentication(0)).await.outcome,
            Outcome::Passed,
            "{way}"
        );
    }
}
