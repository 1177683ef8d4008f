//! OAuth 2.0 client credentials: who is asked for tokens, when, and what a person is told.

use super::*;

const AUTH: &str = r#"oauth2 = { token_url = "/oauth/token", client_id = "{client_id}", client_secret = "{client_secret}", parameters = { audience = "audit" }, scope = "logs.read" }"#;
const REFUSED: &str = r#"{"error":"invalid_client","error_description":"no client with the secret hunter2-hunter2"}"#;

fn token(number: usize, expires_in: &str) -> Response {
    answer(200, format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":{expires_in}}}"#))
}

fn client() -> [(&'static str, Setting); 2] {
    [("client_id", plain("acme-client")), ("client_secret", secret("hunter2-hunter2"))]
}

/// `client_id:client_secret` of [`client`] in Base64.
const BASIC: &str = "Basic YWNtZS1jbGllbnQ6aHVudGVyMi1odW50ZXIy";

#[tokio::test]
async fn a_token_serves_everybody_until_it_is_about_to_expire() {
    let vendor = Vendor::start(|asked, before| match asked.path.as_str() {
        "/oauth/token" => token(before, "3600"),
        _ => nothing(),
    })
    .await;
    let clock = Clock::standing_at(Utc::now());
    let settings = Settings { clock: clock.clone(), ..settings(&connector(AUTH, ITEMS), &vendor.address, &client()) };
    let upstream = upstream(settings);
    let (one, other) = tokio::join!(call(&upstream), call(&upstream));
    assert_eq!((one.as_deref(), other.as_deref()), (Ok(r#"{"items":[]}"#), Ok(r#"{"items":[]}"#)));
    let began = clock.now();
    for minutes in [58, 59] {
        clock.set(began + TimeDelta::minutes(minutes));
        call(&upstream).await.unwrap();
    }
    let ask = format!("/oauth/token {BASIC}");
    let [first, then] = ["/events Bearer t0", "/events Bearer t4"];
    assert_eq!(vendor.asked(), [&ask, first, first, first, &ask, then]);
    let asked = vendor.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.body, "audience=audit&grant_type=client_credentials&scope=logs.read");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_who_used_it() {
    let vendor = Vendor::start(|asked, before| match asked.line().as_str() {
        "/events Bearer t0" => answer(401, r#"{"message":"expired"}"#),
        line if line.starts_with("/events") => nothing(),
        _ => token(before, "3600"),
    })
    .await;
    let upstream = upstream(settings(&connector(AUTH, ITEMS), &vendor.address, &client()));
    let (one, other) = tokio::join!(call(&upstream), call(&upstream));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let tokens = vendor.asked().iter().filter(|line| line.starts_with("/oauth")).count();
    assert_eq!(tokens, 2, "{:?}", vendor.asked());
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_for_a_person() {
    let errors = format!("{ITEMS}\n[[errors.rule]]\nstatus = [401]\nthen = \"configuration\"\nhint = \"allow it\"\n");
    let vendor = Vendor::start(|asked, before| match asked.path.as_str() {
        "/oauth/token" => token(before, "3600"),
        _ => answer(401, r#"{"message":"not with t2, sorry"}"#),
    })
    .await;
    let upstream = upstream(settings(&connector(AUTH, &errors), &vendor.address, &client()));
    let told = call(&upstream).await.unwrap_err();
    assert_eq!(told, r#"Acme answered HTTP 401: {"message":"not with t2, sorry"} | allow it"#);
    assert_eq!(vendor.asked().len(), 4, "{:?}", vendor.asked());
}

#[tokio::test]
async fn a_wrong_secret_is_told_in_one_sentence_without_it() {
    let vendor = Vendor::start(|_, _| answer(401, REFUSED)).await;
    let upstream = upstream(settings(&connector(AUTH, ITEMS), &vendor.address, &client()));
    let expected = "Acme gives no token: it answered HTTP 401: invalid_client: no client with the secret *** | \
                    check `client_id` and `client_secret`: the vendor does not take them, or they have expired";
    assert_eq!(call(&upstream).await.unwrap_err(), expected);
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_secret_that_has_changed_is_tried_before_a_person_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "first-secret").unwrap();
    let rewritten = path.clone();
    let vendor = Vendor::start(move |asked, before| match asked.path.as_str() {
        "/oauth/token" if before == 0 => {
            std::fs::write(&rewritten, "other-secret").unwrap();
            answer(401, REFUSED)
        }
        "/oauth/token" => token(before, "3600"),
        _ => nothing(),
    })
    .await;
    let parameters = [("client_id", plain("c")), ("client_secret", secret_file(&path))];
    let form = AUTH.replace("oauth2 = { ", "oauth2 = { send = \"form\", ");
    let upstream = upstream(settings(&connector(&form, ITEMS), &vendor.address, &parameters));
    call(&upstream).await.unwrap();
    let asked = vendor.asked.lock().unwrap().clone();
    let secrets: Vec<&str> = asked.iter().filter_map(|asked| asked.body.split("client_secret=").nth(1)).collect();
    let of = |secret: &str| format!("{secret}&grant_type=client_credentials&scope=logs.read");
    assert_eq!(secrets, [of("first-secret"), of("other-secret")]);
    assert_eq!(vendor.asked(), ["/oauth/token -", "/oauth/token -", "/events Bearer t1"]);
}

#[tokio::test]
async fn the_secret_goes_to_the_host_that_the_connector_names_and_to_no_other() {
    let elsewhere = Vendor::start(|_, _| token(0, "3600")).await;
    let address = elsewhere.address.clone();
    let login = Vendor::start(move |asked, _| match asked.path.as_str() {
        "/token" => token(7, "3600"),
        _ => with(answer(307, ""), "location", &format!("{address}/token")),
    })
    .await;
    let vendor = Vendor::start(|_, _| nothing()).await;
    let at = |path: &str| AUTH.replace("/oauth/token", &format!("{}{path}", login.address));
    // What a connector file may not say, a connector may: the check has its own test.
    let build = |path: &str| {
        let mut connector = Arc::into_inner(connector(AUTH, ITEMS)).unwrap();
        let other = crate::document::Document::parse("a.toml", &at(path), &Problems::new()).unwrap();
        connector.definition.auth[0].value = other.decode(&Context::new(&Problems::new())).unwrap();
        upstream(settings(&Arc::new(connector), &vendor.address, &client()))
    };
    call(&build("/token")).await.unwrap();
    let told = call(&build("/moved")).await.unwrap_err();
    assert_eq!(told, "Acme sends us to another address, and a credential is not taken there | check `base_url`");
    assert_eq!(login.asked(), [format!("/token {BASIC}"), format!("/moved {BASIC}")]);
    assert_eq!(vendor.asked(), ["/events Bearer t7"]);
    assert_eq!(elsewhere.asked(), [""; 0]);
}

#[tokio::test]
async fn a_token_server_that_is_down_is_asked_again() {
    let vendor = Vendor::start(|asked, before| match (asked.path.as_str(), before) {
        ("/oauth/token", 0) => answer(503, "<html>down</html>"),
        ("/oauth/token", _) => token(before, "\"60\""),
        _ => nothing(),
    })
    .await;
    let upstream = upstream(settings(&connector(AUTH, ITEMS), &vendor.address, &client()));
    call(&upstream).await.unwrap();
    assert_eq!(vendor.asked().last().unwrap(), "/events Bearer t1");
}
