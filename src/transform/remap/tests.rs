//! Programs over events: what becomes of them, to the digit.

use chrono::DateTime;

use super::*;
use crate::event::json;

fn remap(source: &str, on_error: OnError) -> Remap {
    let (program, mistakes) = Program::compile(source).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"));
    assert_eq!(mistakes, [], "{source}");
    Remap::new(program, on_error)
}

fn apply(source: &str, body: &str) -> Result<String, Exit> {
    let arena = Arena::new();
    let body = json::decode(body.as_bytes(), &arena).unwrap();
    let time = DateTime::from_timestamp_millis(1_789_374_151_250).unwrap();
    let event = Event { id: "r-1", time, body };
    let event = remap(source, OnError::DeadLetter).apply(event, &arena, &mut Notes::default())?;
    assert_eq!((event.id, event.time), ("r-1", time));
    Ok(json::to_string(&event.body))
}

fn reason(source: &str, body: &str) -> String {
    match apply(source, body) {
        Err(Exit::Dead { reason }) => reason,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn a_program_changes_what_it_says_and_nothing_else() {
    let body = r#"{"z":1.10,"b":{"y":"é","x":[-0,true,null,1E2]},"a":"old"}"#;
    assert_eq!(apply(".", body).unwrap(), body);
    assert_eq!(
        apply(".a = upcase(string!(.a))\n.new.c = 1\n.new.b = 2.5\ndel(.b.x[1])", body).unwrap(),
        r#"{"z":1.10,"b":{"y":"é","x":[-0,null,1E2]},"a":"OLD","new":{"b":2.5,"c":1}}"#
    );
}

#[test]
fn the_records_id_and_time_can_be_read() {
    assert_eq!(
        apply(".id = %id\n.at = %time\n.year = format_timestamp!(%time, \"%Y\")", r#"{"x":1}"#).unwrap(),
        r#"{"x":1,"at":"2026-09-14T08:22:31.250Z","id":"r-1","year":"2026"}"#
    );
    let mistakes = Program::compile("%id = \"other\"").unwrap_err();
    assert!(mistakes[0].is_error, "{mistakes:?}");
}

#[test]
fn numbers_that_vrl_rounds_keep_their_digits_wherever_they_go() {
    let body = r#"{"big":12345678901234567890,"long":0.1234567890123456789,"price":1.50,"n":[9007199254740993]}"#;
    assert_eq!(
        apply(".copy = .big\n.list = [.long, .price]\ndel(.long)", body).unwrap(),
        concat!(
            r#"{"big":12345678901234567890,"price":1.50,"n":[9007199254740993],"copy":12345678901234567890,"#,
            r#""list":[0.1234567890123456789,1.50]}"#
        )
    );
}

#[test]
fn numbers_that_vrl_cannot_hold_are_told_and_not_changed() {
    for (body, expected) in [
        (r#"{"a":1e400}"#, "the event has a number that is too large or too small for VRL"),
        (r#"{"a":-1E-400}"#, "the event has a number that is too large or too small for VRL"),
        (
            r#"{"a":[18446744073709551615,18446744073709551614]}"#,
            "the event has two numbers that VRL cannot tell apart",
        ),
        (r#"{"a":0.1,"b":0.1000000000000000055}"#, "the event has two numbers that VRL cannot tell apart"),
    ] {
        assert_eq!(reason(".x = 1", body), expected, "{body}");
    }
    // The same number in two ways is no such thing.
    let body = r#"{"a":1.5,"b":1.50,"c":15e-1,"d":0.0,"e":0e5}"#;
    let copied = apply(".f = .a", body).unwrap();
    assert!(copied == body.replace('}', r#","f":1.5}"#) || copied.contains(r#""f":1.5"#), "{copied}");
}

#[test]
fn doubled_keys_stay_where_the_program_leaves_them_and_go_with_what_it_changes() {
    let body = r#"{"a":{"k":1,"k":2},"b":{"k":1,"k":2},"c":{"k":1,"k":2}}"#;
    assert_eq!(apply(".b.k = 3\ndel(.c.k)", body).unwrap(), r#"{"a":{"k":1,"k":2},"b":{"k":3},"c":{}}"#);
}

#[test]
fn abort_drops_the_event_with_the_words_of_the_program() {
    let dropped = |reason: &str| Err(Exit::Dropped { reason: Arc::from(reason) });
    assert_eq!(apply("abort", r#"{"a":1}"#), dropped("remap"));
    assert_eq!(apply("if .a == 1 { abort \"health checks\" }", r#"{"a":1}"#), dropped("health checks"));
    assert_eq!(apply("if .a == 1 { abort \"health checks\" }", r#"{"a":2}"#), Ok(r#"{"a":2}"#.to_owned()));
    // Words that could hold something of the event are not taken over.
    for source in ["a = string!(.a)\nabort \"of {{ a }}\"", "abort \"of \" + string!(.a)", "abort string!(.a)"] {
        let (program, _) = Program::compile(source).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"));
        let arena = Arena::new();
        let body = json::decode(br#"{"a":"anna@example.com"}"#, &arena).unwrap();
        let event = Event { id: "r-1", time: DateTime::UNIX_EPOCH, body };
        let exit = Remap::new(program, OnError::Mark).apply(event, &arena, &mut Notes::default()).unwrap_err();
        assert_eq!(exit, Exit::Dropped { reason: Arc::from("remap") }, "{source}");
    }
}

#[test]
fn a_failure_says_where_and_nothing_of_the_event() {
    let body = r#"{"who":"anna@example.com"}"#;
    assert_eq!(reason(".x = 1\n  .n = to_int!(.who)", body), "the program failed in `to_int` at line 2, column 8");
    assert_eq!(
        reason("assert!(.who == 1, message: string!(.who))", body),
        "the program failed in `assert` at line 1, column 1"
    );
    assert_eq!(reason(". = [.who]", body), "the program leaves something else than an object");
    assert_eq!(reason(". = {}", body), "the program leaves nothing of the event");
    assert_eq!(reason("del(.)", body), "the program leaves nothing of the event");
    assert_eq!(reason(".raw = decode_base64!(\"/w==\")", body), "the program makes a text that is not UTF-8");
}

#[test]
fn an_event_the_program_fails_on_goes_on_as_it_was_and_marked() {
    let fails = remap(".x = 1\n.n = to_int!(.who)", OnError::Mark);
    let mark = |body: &str| {
        let arena = Arena::new();
        let body = json::decode(body.as_bytes(), &arena).unwrap();
        let event = Event { id: "r-1", time: DateTime::UNIX_EPOCH, body };
        json::to_string(&fails.apply(event, &arena, &mut Notes::default()).unwrap().body)
    };
    assert_eq!(
        mark(r#"{"class_uid":3004,"metadata":{"uid":"r-1"},"who":"anna"}"#),
        concat!(
            r#"{"class_uid":3004,"metadata":{"uid":"r-1","tags":[{"name":"auditline.error","value":"remap"}]},"#,
            r#""who":"anna"}"#
        )
    );
    assert_eq!(
        mark(r#"{"id":"r-1","record":{"n":1.10},"who":"anna"}"#),
        r#"{"id":"r-1","record":{"n":1.10},"who":"anna","labels":["auditline.error:remap"]}"#
    );
}

#[test]
fn what_is_not_the_same_everywhere_and_always_cannot_be_called() {
    for (source, why) in [
        (".at = now()", "`now` cannot be used here: it looks at the clock"),
        (".id = uuid_v4()", "`uuid_v4` cannot be used here: it leaves its result to chance"),
        ("log(.who)", "`log` cannot be used here: what it writes to our log would be of the event"),
        (".m = to_regex!(.x)", "`to_regex` cannot be used here: it compiles a pattern anew"),
    ] {
        let mistakes = Program::compile(source).unwrap_err();
        assert!(mistakes[0].message.starts_with(why), "{source}: {mistakes:?}");
    }
}

#[test]
fn mistakes_know_their_place() {
    let source = ".a = 1\n.b = upcase(.c)\n";
    let mistakes = Program::compile(source).unwrap_err();
    assert_eq!(&source[mistakes[0].span.clone()], "upcase(.c)", "{mistakes:?}");
    let warned = Program::compile("upcase(\"a\")\n.x = 1").unwrap().1;
    assert!(!warned[0].is_error, "{warned:?}");
}
