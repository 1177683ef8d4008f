//! What a request for a token looks like, and what each answer comes to.

use reqwest::StatusCode;
use serde_json::json;

use super::*;
use crate::document::{Context, Document, Problems};

fn way(keys: &str) -> Oauth2 {
    let text = format!("client_id = \"{{id}}\"\nclient_secret = \"{{secret}}\"\n{keys}");
    let problems = Problems::new();
    let document = Document::parse("way.toml", &text, &problems).unwrap();
    document.decode(&Context::new(&problems)).unwrap_or_else(|| panic!("{problems}"))
}

fn lookup(name: &str) -> Option<Json> {
    match name {
        "id" => Some(json!("a client")),
        "secret" => Some(json!("p:w+ü")),
        "tenant" => Some(json!("a/b")),
        _ => None,
    }
}

fn asked(keys: &str, base: &str) -> Result<Prepared, String> {
    request(&way(keys), &Url::parse(base).unwrap(), &lookup).map_err(|error| error.to_string())
}

#[test]
fn each_form_says_who_asks() {
    let keys = "token_url = \"/token\"\nparameters = { audience = \"x\", left_out = \"{none}\" }\n";
    let sent = |send: &str| {
        let prepared = asked(&format!("send = \"{send}\"\n{keys}"), "https://api.example.com/v2?x=1").unwrap();
        assert_eq!((prepared.method.as_str(), prepared.url.as_str()), ("POST", "https://api.example.com/token"));
        let authorization = prepared.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        (authorization, String::from_utf8(prepared.body).unwrap())
    };
    let basic = "Basic YStjbGllbnQ6cCUzQXclMkIlQzMlQkM=".to_owned();
    assert_eq!(sent("basic"), (Some(basic), "audience=x&grant_type=client_credentials".to_owned()));
    let form = "audience=x&client_id=a+client&client_secret=p%3Aw%2B%C3%BC&grant_type=client_credentials";
    assert_eq!(sent("form"), (None, form.to_owned()));
    let body = r#"{"audience":"x","client_id":"a client","client_secret":"p:w+ü","grant_type":"client_credentials"}"#;
    assert_eq!(sent("json"), (None, body.to_owned()));
}

#[test]
fn a_vendor_may_have_a_grant_of_its_own() {
    let keys = "token_url = \"/token\"\nscope = \"{none}\"\nparameters = { grant_type = \"account_credentials\" }\n";
    assert_eq!(asked(keys, "https://api.example.com").unwrap().body, b"grant_type=account_credentials");
}

#[test]
fn the_secret_travels_to_the_named_host_over_https_or_stays_on_this_machine() {
    let api = "https://api.example.com/v2";
    for (token_url, base, expected) in [
        ("/token", api, Ok("https://api.example.com/token")),
        ("https://login.example.net/{tenant}/token", api, Ok("https://login.example.net/a%2Fb/token")),
        ("http://127.0.0.1:9/token", api, Ok("http://127.0.0.1:9/token")),
        ("http://login.example.net/token", api, Err("`http://login.example.net/token` is no address for a token")),
        ("https://login.example.net/token", "http://127.0.0.1:8080/v2", Ok("http://127.0.0.1:8080/token")),
        ("https://{none}/token", api, Err("`https://{none}/token` is no address for a token")),
    ] {
        let found = asked(&format!("token_url = \"{token_url}\"\n"), base).map(|prepared| prepared.url.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{token_url}");
    }
}

fn judged(status: u16, body: &str) -> Result<(String, u64), (String, Option<String>)> {
    let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() };
    granted(&answer, &way("token_url = \"/token\"\n"), Utc::now())
        .map(|granted| (granted.token, granted.good_for.as_secs()))
        .map_err(|refused| (refused.said, refused.hint))
}

#[test]
fn a_token_is_kept_for_as_long_as_it_is_safe() {
    for (rest, expected) in [
        (r#","token_type":"bearer","expires_in":3600"#, 3540),
        (r#","expires_in":"3600""#, 3540),
        ("", 240),
        (r#","expires_in":null"#, 240),
        (r#","expires_in":-5"#, 240),
        (r#","expires_in":30"#, 15),
        (r#","expires_in":60"#, 30),
        (r#","expires_in":1e300"#, 86340),
    ] {
        let body = format!(r#"{{"access_token":"abc"{rest}}}"#);
        assert_eq!(judged(200, &body), Ok(("abc".to_owned(), expected)), "{body}");
    }
}

#[test]
fn an_error_is_for_a_person_unless_it_may_pass() {
    let client = "check `id` and `secret`: the vendor does not take them, or they have expired";
    let grant = "the vendor does not let this client ask by itself: allow it the grant `client_credentials`";
    for (status, body, said, hint) in [
        (401, r#"{"error":"invalid_client","error_description":"no"}"#, "HTTP 401: invalid_client: no", Some(client)),
        (200, r#"{"error":"bad_verification_code"}"#, "HTTP 200: bad_verification_code", Some(client)),
        (400, r#"{"error":"unauthorized_client"}"#, "HTTP 400: unauthorized_client", Some(grant)),
        (404, "<html>", "HTTP 404: <html>", Some("check `base_url`: there are no tokens at this address")),
        (503, "", "HTTP 503", None),
        (429, r#"{"error":"rate"}"#, "HTTP 429: rate", None),
        (400, r#"{"error":"temporarily_unavailable"}"#, "HTTP 400: temporarily_unavailable", None),
        // What else it holds may be a token.
        (200, r#"{"accessToken":"abc"}"#, "HTTP 200 without a token", None),
    ] {
        assert_eq!(judged(status, body), Err((said.to_owned(), hint.map(str::to_owned))), "{body}");
    }
    let (said, hint) = judged(200, r#"{"access_token":"abc","token_type":"mac"}"#).unwrap_err();
    assert!(said.contains("`mac`") && hint.is_some() && !said.contains("abc"), "{said}");
}
