//! Every form of every header, in two tables.

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn now() -> DateTime<Utc> {
    "2026-09-14T08:22:31Z".parse().unwrap()
}

#[test]
fn every_form_of_a_wait_is_understood() {
    let epoch = now().timestamp();
    type Case<'a> = (&'a [(&'static str, &'a str)], Option<f64>);
    let cases: &[Case<'_>] = &[
        (&[("retry-after", "30")], Some(30.0)),
        (&[("retry-after", " 30 ")], Some(30.0)),
        (&[("retry-after", "0")], Some(0.0)),
        (&[("retry-after", "1.5")], Some(1.5)),
        (&[("retry-after", "-3")], Some(0.0)),
        (&[("retry-after", "86400")], Some(86400.0)),
        (&[("retry-after", "86401")], None),
        (&[("retry-after", "1e300")], None),
        (&[("retry-after", "NaN")], None),
        (&[("retry-after", "inf")], None),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", "")], None),
        (&[("retry-after", "Mon, 14 Sep 2026 08:23:01 GMT")], Some(30.0)),
        (&[("retry-after", "Monday, 14-Sep-26 08:23:01 GMT")], Some(30.0)),
        (&[("retry-after", "Mon Sep 14 08:23:01 2026")], Some(30.0)),
        (&[("retry-after", "2026-09-14T08:23:01Z")], Some(30.0)),
        (&[("retry-after", "2026-09-14T10:23:01.5+02:00")], Some(30.5)),
        (&[("retry-after", "Mon, 14 Sep 2026 08:00:00 GMT")], Some(0.0)),
        (&[("retry-after", "Mon, 14 Sep 2093 08:00:00 GMT")], None),
        // Both times are of the vendor's clock, which is ten minutes before ours.
        (&[("retry-after", "Mon, 14 Sep 2026 08:33:01 GMT"), ("date", "Mon, 14 Sep 2026 08:32:31 GMT")], Some(30.0)),
        // Several: the longest.
        (&[("retry-after", "30, 60")], Some(60.0)),
        (&[("retry-after", "60"), ("retry-after", "30")], Some(60.0)),
        (&[("retry-after-ms", "250"), ("retry-after", "9")], Some(0.25)),
        (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(9.0)),
        (&[("ratelimit", "\"default\";r=0;t=30")], Some(30.0)),
        (&[("ratelimit", "\"default\";r=5;t=30")], None),
        (&[("ratelimit", "\"burst\";r=0;t=5, \"day\";r=70;t=4000")], Some(5.0)),
        (&[("ratelimit", "\"burst\";r=0;t=5, \"day\";r=0;t=4000")], Some(4000.0)),
        (&[("retry-after", "soon"), ("ratelimit", "\"default\";r=0;t=30")], Some(30.0)),
        (&[("retry-after", "7"), ("ratelimit", "\"default\";r=0;t=30")], Some(7.0)),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "12")], Some(12.0)),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &(epoch + 7).to_string())], Some(7.0)),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-1")], Some(0.0)),
        (&[("x-ratelimit-remaining", "0")], None),
        (&[("x-ratelimit-reset", "12")], None),
        (&[], None),
    ];
    for (pairs, expected) in cases {
        let wait = retry_after(&headers(pairs), now()).map(|wait| wait.as_secs_f64());
        assert_eq!(wait, *expected, "{pairs:?}");
    }
}

#[test]
fn a_refusal_needs_not_say_that_nothing_is_left() {
    let cases = [
        (headers(&[("x-ratelimit-reset", "12")]), Some(12)),
        (headers(&[("x-ratelimit-limit", "5"), ("x-ratelimit-reset", "12")]), Some(12)),
        // It refuses for some other reason.
        (headers(&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "12")]), None),
    ];
    for (headers, expected) in cases {
        assert_eq!(reset(&headers, now()), expected.map(Duration::from_secs), "{headers:?}");
    }
}

/// `name limit/window left@reset`, with `-` for what is not told.
fn shown(told: &Told) -> String {
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let seconds = |wait: Option<Duration>| wait.map_or("-".to_owned(), |wait| wait.as_secs_f64().to_string());
    let Told { name, limit, window, remaining, reset } = told;
    format!("{name} {}/{} {}@{}", number(*limit), seconds(*window), number(*remaining), seconds(*reset))
}

#[test]
fn every_form_of_a_quota_is_understood() {
    let epoch = now().timestamp();
    let ms = now().timestamp_millis();
    type Case<'a> = (&'a [(&'static str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        // The standard's draft, as Cloudflare sends it.
        (
            &[("ratelimit", "\"default\";r=50;t=30"), ("ratelimit-policy", "\"default\";q=100;w=60")],
            &["default 100/60 50@30"],
        ),
        // Its documentation has two names in its two examples; the numbers go together.
        (
            &[("ratelimit", "\"default\";r=50;t=30"), ("ratelimit-policy", "\"burst\";q=100;w=60")],
            &["default 100/60 50@30"],
        ),
        (
            &[("ratelimit", "\"default\";r=500;t=30"), ("ratelimit-policy", "\"burst\";q=100;w=60")],
            &["default -/- 500@30", "burst 100/60 -@-"],
        ),
        // Several policies, in another order, one of them not counted at present.
        (
            &[
                ("ratelimit", "\"day\";r=4000;t=70000, \"minute\";r=0;t=12"),
                ("ratelimit-policy", "\"minute\";q=50;w=60,\"hour\";q=1000;w=3600 , \"day\";q=5000;w=86400"),
            ],
            &["day 5000/86400 4000@70000", "minute 50/60 0@12", "hour 1000/3600 -@-"],
        ),
        // The same, each on a line of its own, and names that are tokens.
        (
            &[
                ("ratelimit", "day;r=4000;t=70000"),
                ("ratelimit", "minute;r=0;t=12"),
                ("ratelimit-policy", "minute;q=50;w=60"),
                ("ratelimit-policy", "day;q=5000;w=86400"),
            ],
            &["day 5000/86400 4000@70000", "minute 50/60 0@12"],
        ),
        // Names that hold what separates; a partition key; parameters nobody knows.
        (
            &[
                ("ratelimit", "\"a, b;r=1\";r=7;t=3;pk=:cHNzdCw7:;acme=\"x;r=0\""),
                ("ratelimit-policy", "\"a, b;r=1\";q=9;w=10;qu=\"requests\""),
            ],
            &["a, b;r=1 9/10 7@3"],
        ),
        // A quota of something that is not a request.
        (
            &[
                ("ratelimit", "\"bytes\";r=0;t=30, \"calls\";r=8;t=30"),
                ("ratelimit-policy", "\"bytes\";q=10000;w=60;qu=\"content-bytes\", \"calls\";q=10;w=60"),
            ],
            &["calls 10/60 8@30"],
        ),
        // Earlier drafts.
        (
            &[("ratelimit", "limit=100, remaining=50, reset=30"), ("ratelimit-policy", "100;w=60")],
            &["ratelimit 100/60 50@30"],
        ),
        (
            &[
                ("ratelimit-limit", "100"),
                ("ratelimit-remaining", "50"),
                ("ratelimit-reset", "30"),
                ("ratelimit-policy", "100;w=60;comment=\"sliding, window\", 5000;w=86400"),
            ],
            &["ratelimit 100/60 50@30", "5000 5000/86400 -@-"],
        ),
        (
            &[("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-remaining", "4"), ("ratelimit-reset", "1")],
            &["ratelimit 10/1 4@1", "ratelimit 50/60 -@-"],
        ),
        // What most vendors send, with each kind of reset.
        (
            &[("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", "12")],
            &["x-ratelimit 60/- 59@12"],
        ),
        (&[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", "0.25")], &["x-ratelimit -/- 59@0.25"]),
        (
            &[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", &(epoch + 7).to_string())],
            &["x-ratelimit -/- 59@7"],
        ),
        (
            &[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", &format!("{}.5", epoch + 7))],
            &["x-ratelimit -/- 59@7.5"],
        ),
        (
            &[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", &(ms + 1500).to_string())],
            &["x-ratelimit -/- 59@1.5"],
        ),
        (
            &[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", "Mon, 14 Sep 2026 08:23:01 GMT")],
            &["x-ratelimit -/- 59@30"],
        ),
        (&[("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", "2026-09-14T08:23:01Z")], &["x-ratelimit -/- 59@30"]),
        // By the vendor's own clock.
        (
            &[
                ("x-rate-limit-limit", "60"),
                ("x-rate-limit-remaining", "59"),
                ("x-rate-limit-reset", &(epoch + 600).to_string()),
                ("date", "Mon, 14 Sep 2026 08:32:01 GMT"),
            ],
            &["x-rate-limit 60/- 59@30"],
        ),
        (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset-after", "0.75")], &["x-ratelimit -/- 1@0.75"]),
        // Several values: each with its own where the lists match, else the first.
        (
            &[
                ("x-ratelimit-limit", "100, 1000"),
                ("x-ratelimit-remaining", "50, 20"),
                ("x-ratelimit-reset", "10, 3600"),
            ],
            &["x-ratelimit 100/- 50@10", "x-ratelimit 1000/- 20@3600"],
        ),
        (
            &[
                ("x-ratelimit-limit", "100"),
                ("x-ratelimit-limit", "1000"),
                ("x-ratelimit-remaining", "50"),
                ("x-ratelimit-reset", "10"),
            ],
            &["x-ratelimit 100/- 50@10"],
        ),
        // Both at once are two views of perhaps two quotas.
        (
            &[("ratelimit", "\"default\";r=50;t=30"), ("x-ratelimit-remaining", "50"), ("x-ratelimit-reset", "30")],
            &["default -/- 50@30", "x-ratelimit -/- 50@30"],
        ),
        // Missing parts.
        (&[("x-ratelimit-limit", "60")], &["x-ratelimit 60/- -@-"]),
        (&[("x-ratelimit-remaining", "3")], &["x-ratelimit -/- 3@-"]),
        (&[("ratelimit", "\"default\";r=3")], &["default -/- 3@-"]),
        (&[("ratelimit-policy", "\"default\";q=3")], &["default 3/- -@-"]),
        (&[("ratelimit", "\"default\"")], &[]),
        (&[("ratelimit", "")], &[]),
        // Negative: nothing is left, or the reset was; a limit below one is none at all.
        (&[("x-ratelimit-remaining", "-4"), ("x-ratelimit-reset", "-1")], &["x-ratelimit -/- 0@0"]),
        (&[("x-ratelimit-limit", "-1"), ("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "9")], &[]),
        (&[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")], &[]),
        // Absurd.
        (
            &[("x-ratelimit-limit", "1e30"), ("x-ratelimit-remaining", "1e30"), ("x-ratelimit-reset", "1e30")],
            &["x-ratelimit 18446744073709551615/- 18446744073709551615@-"],
        ),
        (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900000")], &["x-ratelimit -/- 0@-"]),
        (&[("x-ratelimit-remaining", "NaN"), ("x-ratelimit-reset", "inf")], &[]),
        (&[("x-ratelimit-remaining", "many"), ("x-ratelimit-reset", "later")], &[]),
        (&[("ratelimit", "\"default\";r=x;t=y"), ("ratelimit-policy", "\"default\";q=z;w=-1")], &[]),
        (&[("ratelimit", "\"open;r=1;t=2")], &[]),
        (&[("ratelimit-policy", "\"default\";q=5;w=1e12")], &["default 5/- -@-"]),
        (&[], &[]),
    ];
    for (pairs, expected) in cases {
        let found: Vec<String> = told(&headers(pairs), now()).iter().map(shown).collect();
        assert_eq!(found, *expected, "{pairs:?}");
    }
}

#[test]
fn a_vendor_with_endless_quotas_is_not_listened_to_for_ever() {
    let many: Vec<String> = (0..1000).map(|at| format!("\"{}\";r=1;t={at}", "n".repeat(at))).collect();
    let found = told(&headers(&[("ratelimit", &many.join(","))]), now());
    assert_eq!(found.len(), MOST);
    assert!(found.iter().all(|told| told.name.len() <= 64));
}
