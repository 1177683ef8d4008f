//! Credentials that change, end, or are refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;

use super::*;

const BEARER: &str = r#"bearer = "{token}""#;
const RULES: &str = r#"
    records = "items"
    id = ["id"]
    time = ["at"]

    [[errors.rule]]
    status = [403]
    then = "stop"
    hint = "unlock the account"

    [[errors.rule]]
    status = [401]
    then = "configuration"
    hint = "check the token"
"#;

#[tokio::test]
async fn a_file_that_has_changed_is_read_again_and_the_budget_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "one").unwrap();
    let rewritten = path.clone();
    let vendor = Vendor::start(move |asked, before| match (asked.line().as_str(), before) {
        ("/events Bearer one", 0) => nothing(),
        // The token is changed while the request is under way.
        (_, 2) => {
            std::fs::write(&rewritten, "three").unwrap();
            answer(401, "no")
        }
        ("/events Bearer two" | "/events Bearer three", _) => nothing(),
        _ => answer(401, "no"),
    })
    .await;
    let settings = settings(&connector(BEARER, RULES), &vendor.address, &[("token", secret_file(&path))]);
    let known_as = settings.upstream();
    let upstream = upstream(settings);
    call(&upstream).await.unwrap();
    std::fs::write(&path, "two").unwrap();
    call(&upstream).await.unwrap();
    call(&upstream).await.unwrap();
    let sent = ["one", "two", "two", "three"].map(|token| format!("/events Bearer {token}"));
    assert_eq!(vendor.asked(), sent);
    assert_eq!(upstream.settings().upstream(), known_as);
}

#[tokio::test]
async fn a_refused_credential_that_has_not_changed_is_for_a_person_at_once() {
    let vendor = Vendor::start(|_, _| answer(401, r#"the token one-secret is wrong"#)).await;
    let upstream = upstream(settings(&connector(BEARER, RULES), &vendor.address, &[("token", secret("one-secret"))]));
    let told = call(&upstream).await.unwrap_err();
    assert_eq!(told, "Acme answered HTTP 401: the token *** is wrong | check the token");
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_vendor_that_must_not_be_asked_again_is_not() {
    let vendor = Vendor::start(|_, _| answer(403, "locked")).await;
    let upstream = upstream(settings(&connector(BEARER, RULES), &vendor.address, &[("token", secret("one"))]));
    for _ in 0..3 {
        assert_eq!(call(&upstream).await.unwrap_err(), "Acme answered HTTP 403: locked | unlock the account");
    }
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_vendor_may_tell_when_the_credential_ends() {
    let vendor = Vendor::start(|_, _| with(nothing(), "x-token-expires", "2027-01-31 00:00:00 UTC")).await;
    let rest = format!("{RULES}\n[credential]\nexpires_header = \"X-Token-Expires\"\n");
    let noted = Some(instant("2030-01-01T00:00:00Z"));
    let mut settings = settings(&connector(BEARER, &rest), &vendor.address, &[("token", secret("one"))]);
    settings.credential_expires = noted;
    let source = source(settings);
    assert_eq!(source.credential_expires(), noted);
    read(&source, &source.start()).await.unwrap();
    assert_eq!(source.credential_expires(), Some(instant("2027-01-31T00:00:00Z")));
}

/// A Voximplant whose clock is an hour behind, and which tells so as it does: by an error under HTTP 200.
async fn voximplant(always: Option<u16>) -> Vendor {
    Vendor::start(move |asked, _| {
        let their_time = Utc::now() - TimeDelta::hours(1);
        let issued = issued_at(asked);
        let code = always.or((issued > their_time.timestamp()).then_some(455));
        let body = match code {
            Some(code) => format!(r#"{{"error":{{"code":{code},"msg":"JWT is not valid"}}}}"#),
            None => r#"{"result":[],"count":0,"total_count":0}"#.to_owned(),
        };
        with(answer(200, body), "date", &their_time.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    })
    .await
}

fn issued_at(asked: &Asked) -> i64 {
    let token = asked.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Json>(&claims).unwrap()["iat"].as_i64().unwrap()
}

fn voximplant_settings(vendor: &Vendor) -> Settings {
    let key = include_str!("../../simulator/keys/voximplant-private.pem");
    let credentials = serde_json::json!({ "account_id": 1, "key_id": "k", "private_key": key }).to_string();
    let connector = Connector::embedded("voximplant").unwrap();
    settings(&connector, &vendor.address, &[("credentials", secret(&credentials))])
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_set_by_the_vendors_date() {
    let vendor = voximplant(None).await;
    let source = source(voximplant_settings(&vendor));
    read(&source, &source.start()).await.unwrap();
    let issued: Vec<i64> = vendor.asked.lock().unwrap().iter().map(issued_at).collect();
    let [wrong, right] = issued[..] else { panic!("{issued:?}") };
    assert!((3590..=3610).contains(&(wrong - right)), "{issued:?}");
}

#[tokio::test]
async fn a_token_that_is_refused_after_that_too_is_for_a_person() {
    for code in [100, 455] {
        let vendor = voximplant(Some(code)).await;
        let source = source(voximplant_settings(&vendor));
        let error = read(&source, &source.start()).await.unwrap_err();
        let expected = format!(
            "Voximplant answered HTTP 200: {code}: JWT is not valid | \
             check that the service account's key still exists and that this machine's clock is right"
        );
        assert_eq!(told(&error), expected);
        assert_eq!(vendor.asked().len(), 2);
    }
}
