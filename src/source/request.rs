//! From a connector's request and the place in a window to an HTTP request.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;
use url::Url;
use url::form_urlencoded::Serializer;

use super::settings::Filter;
use crate::connector::model::{self, FilterEncoding, Filters};
use crate::connector::{as_text, encoded, fill_members};

/// A request that is complete but for its authentication.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The verb.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Headers of the connector's.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Vec<u8>,
    /// Whether the request carries a vendor's cursor.
    pub with_cursor: bool,
    /// It must not be sent again by itself when its answer is lost: what it does is not to be done twice.
    pub once: bool,
}

/// Fills in a request. Parameters whose variables have no value are left out; `filters` go where the others are.
pub fn prepare(
    base: &Url,
    request: &model::Request,
    encoding: &Filters,
    filters: &[Filter],
    lookup: &(dyn Fn(&str) -> Option<Json> + Sync),
) -> Prepared {
    let path = request.path.fill_text(&|name| lookup(name).map(|value| Json::String(encoded(&as_text(&value)))));
    let mut url = base.clone();
    url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), path.unwrap_or_default()));

    let mut query = pairs(&request.query, lookup);
    let mut form = pairs(&request.form, lookup);
    let mut json = fill_members(&request.json, &lookup);
    let variables = request.graphql.as_ref().map(|graphql| fill_members(&graphql.variables, &lookup));
    let mut variables = variables.unwrap_or_default();
    for filter in filters {
        if request.graphql.is_some() {
            variables.insert(filter.name.clone(), json_filter(filter, encoding));
        } else if !request.json.is_empty() {
            json.insert(filter.name.clone(), json_filter(filter, encoding));
        } else if !request.form.is_empty() {
            form.extend(text_filter(filter, encoding));
        } else {
            query.extend(text_filter(filter, encoding));
        }
    }
    if !query.is_empty() {
        url.set_query(Some(&Serializer::new(String::new()).extend_pairs(&query).finish()));
    }
    if let Some(graphql) = &request.graphql {
        json.insert("query".to_owned(), graphql.query.value.as_str().into());
        json.insert("variables".to_owned(), Json::Object(variables));
    }

    let mut headers = HeaderMap::new();
    for (name, template) in &request.headers {
        let value = template.fill_text(&lookup).and_then(|value| HeaderValue::from_str(&value).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value) {
            headers.insert(name, value);
        }
    }
    let body = if request.graphql.is_some() || !request.json.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Json::Object(json).to_string().into_bytes()
    } else if !request.form.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Serializer::new(String::new()).extend_pairs(&form).finish().into_bytes()
    } else {
        Vec::new()
    };
    let method = match request.method {
        model::Method::Get => Method::GET,
        model::Method::Post => Method::POST,
    };
    Prepared { method, url, headers, body, with_cursor: lookup("cursor").is_some(), once: false }
}

fn pairs<'a>(
    templates: impl IntoIterator<Item = (&'a String, &'a crate::document::Spanned<crate::connector::Template>)>,
    lookup: &(dyn Fn(&str) -> Option<Json> + Sync),
) -> Vec<(String, String)> {
    let filled = |template: &crate::connector::Template| Some(as_text(&template.fill(&lookup)?));
    templates.into_iter().filter_map(|(name, template)| Some((name.clone(), filled(template)?))).collect()
}

fn text_filter(filter: &Filter, encoding: &Filters) -> Vec<(String, String)> {
    let values = filter.values.iter().map(as_text);
    match encoding.encode {
        FilterEncoding::Join => vec![(filter.name.clone(), values.collect::<Vec<_>>().join(&encoding.separator))],
        _ => values.map(|value| (filter.name.clone(), value)).collect(),
    }
}

fn json_filter(filter: &Filter, encoding: &Filters) -> Json {
    match (encoding.encode, filter.values.as_slice()) {
        (FilterEncoding::Single, [value]) => value.clone(),
        _ => Json::Array(filter.values.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connector::Connector;

    fn lookup(name: &str) -> Option<Json> {
        match name {
            "from" => Some(json!("2026-09-01T00:00:00Z")),
            "until" => Some(json!("2026-09-02T00:00:00Z")),
            "page" => Some(json!(1)),
            "page_size" => Some(json!(250)),
            "offset" => Some(json!(0)),
            "account_id" => Some(json!("a/b c")),
            _ => None,
        }
    }

    fn prepared(connector: &str, filters: &[Filter]) -> Prepared {
        let connector = Connector::embedded(connector).unwrap();
        let definition = &connector.definition;
        let read = definition.read.get("pages").unwrap();
        let base = Url::parse(&definition.connector.base_url.to_string()).unwrap();
        prepare(&base, &read.request, &definition.filters, filters, &lookup)
    }

    #[test]
    fn brackets_and_colons_of_a_query_are_encoded() {
        let url = prepared("telnyx", &[]).url;
        assert_eq!(url.path(), "/v2/audit_events");
        let expected = "filter%5Bcreated_after%5D=2026-09-01T00%3A00%3A00Z&filter%5Bcreated_before%5D=2026-09-02T00%3A00%3A00Z\
                        &page%5Bnumber%5D=1&page%5Bsize%5D=250&sort=asc";
        assert_eq!(url.query(), Some(expected));
    }

    #[test]
    fn a_parameter_in_a_path_cannot_leave_its_segment_and_lists_repeat_the_key() {
        let filter = Filter { name: "raw_method.not".to_owned(), values: vec![json!("GET"), json!("HEAD")] };
        let url = prepared("cloudflare", &[filter]).url;
        assert_eq!(url.path(), "/client/v4/accounts/a%2Fb%20c/logs/audit");
        assert!(url.query().unwrap().ends_with("raw_method.not=GET&raw_method.not=HEAD"), "{url}");
    }

    #[test]
    fn a_form_joins_lists_and_a_json_body_keeps_types() {
        let filter = Filter { name: "filtered_cmd".to_owned(), values: vec![json!("AddUser"), json!("DelUser")] };
        let body = String::from_utf8(prepared("voximplant", &[filter]).body).unwrap();
        assert!(body.contains("filtered_cmd=AddUser%3BDelUser") && body.contains("count=250&"), "{body}");
        let filter = Filter { name: "actorIds".to_owned(), values: vec![json!("a")] };
        let body: Json = serde_json::from_slice(&prepared("ashby", &[filter]).body).unwrap();
        let expected = json!({"startDate": "2026-09-01T00:00:00Z", "endDate": "2026-09-02T00:00:00Z", "limit": 250, "actorIds": ["a"]});
        assert_eq!(body, expected);
    }

    /// The body of a request as written in a connector.
    fn body(request: &str, filters: &[Filter]) -> Json {
        let problems = crate::document::Problems::new();
        let text = format!("method = \"POST\"\npath = \"/x\"\n{request}");
        let document = crate::document::Document::parse("request.toml", &text, &problems).unwrap();
        let request: model::Request = document.decode(&crate::document::Context::new(&problems)).unwrap();
        let base = Url::parse("https://api.example.com").unwrap();
        let prepared = prepare(&base, &request, &Filters::default(), filters, &lookup);
        assert_eq!(prepared.headers[CONTENT_TYPE], "application/json");
        serde_json::from_slice(&prepared.body).unwrap()
    }

    #[test]
    fn a_graphql_query_is_sent_as_it_is_with_the_variables_that_have_values() {
        let request = r#"
            graphql.query = "query ($from: String) { log(from: $from) { id } }"
            graphql.variables = { from = "{from}", after = "{cursor}", n = "{page_size}", by = { only = "{cursor}" }, asc = true }
        "#;
        let filter = Filter { name: "action".to_owned(), values: vec![json!("a")] };
        let expected = json!({
            "query": "query ($from: String) { log(from: $from) { id } }",
            "variables": { "from": "2026-09-01T00:00:00Z", "n": 250, "asc": true, "action": "a" },
        });
        assert_eq!(body(request, &[filter]), expected);
        assert_eq!(body("graphql.query = \"{ a }\"", &[]), json!({ "query": "{ a }", "variables": {} }));
    }

    #[test]
    fn a_json_body_nests_and_is_there_even_when_nothing_of_it_is() {
        let request =
            "json.filter.from = \"{from}\"\njson.filter.to = \"{none}\"\njson.page = { n = \"{page}\", size = 5 }";
        let expected = json!({ "filter": { "from": "2026-09-01T00:00:00Z" }, "page": { "n": 1, "size": 5 } });
        assert_eq!(body(request, &[]), expected);
        assert_eq!(body("json.a.b = \"{none}\"", &[]), json!({}));
    }
}
