//! `auditline redact` and `auditline reveal` on the real binary: what one hides the other shows, to whoever has the key.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const EVENTS: &str = concat!(
    r#"{"actor":{"user":{"name":"Ada","email_addr":"ada@example.com"}},"n":1.50,"ada@example.com":[]}"#,
    "\n",
    r#"{"src_endpoint":{"ip":"203.0.113.4"},"url":"https://x.example/?u=ada%40example.com","raw":"from 2001:db8::1"}"#,
    "\n",
    "not JSON, by bob@example.com\n",
);

/// A configuration with a pipeline that encrypts, and its keys.
fn install(keys: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("one", "an invented secret, the first one\n");
    write("two", "an invented secret, the other one\n");
    write("log.ndjson", EVENTS);
    write("auditline.toml", "pipelines = [\"archive.toml\"]\n[sinks.siem.file]\npath = \"out.ndjson\"\n");
    let redact =
        format!("emails = \"encrypt\", ips = \"encrypt\", fields = {{ \"actor.user.name\" = \"encrypt\" }}, {keys}");
    let source = "[source.file]\npath = \"log.ndjson\"\nconnector = \"okta\"\n";
    write("archive.toml", &format!("{source}[[transform]]\nredact = {{ {redact} }}\n[to.siem]\n"));
    folder
}

const FIRST: &str = "key = { file = \"one\" }";
const SECOND: &str = "keys = { 1 = { file = \"one\" }, 2 = { file = \"two\" } }";

fn auditline(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command.args(arguments).current_dir(folder).env_remove("AUDITLINE_LOG");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it prints UTF-8")
}

#[test]
fn reveal_shows_what_redact_has_hidden() {
    for keys in [FIRST, SECOND] {
        let folder = install(keys);
        let hidden = auditline(folder.path(), &["redact", "log.ndjson", "--pipeline", "archive"], "");
        assert!(hidden.status.success(), "{}", text(&hidden.stderr));
        let hidden = text(&hidden.stdout);
        for address in ["ada", "Ada", "bob", "203.0.113.4", "db8"] {
            assert!(!hidden.contains(address), "{hidden}");
        }
        let clear = auditline(folder.path(), &["reveal", "--pipeline", "archive"], hidden);
        assert_eq!((clear.status.code(), text(&clear.stdout)), (Some(0), EVENTS), "{}", text(&clear.stderr));
        assert_eq!(text(&clear.stderr), "7 revealed\n");
        // Told again, whatever the key: it is redacted no further.
        let again = auditline(folder.path(), &["redact", "--pipeline", "archive"], hidden);
        assert_eq!(text(&again.stdout), hidden);
    }
}

#[test]
fn what_lacks_its_key_stays_and_is_counted() {
    let folder = install(SECOND);
    let hidden = auditline(folder.path(), &["redact", "log.ndjson", "--pipeline", "archive"], "");
    let hidden = text(&hidden.stdout);
    let reveal = |arguments: &[&str]| auditline(folder.path(), &[&["reveal"], arguments].concat(), hidden);
    let lacking = reveal(&["--key-file", "two"]);
    assert_eq!((lacking.status.code(), text(&lacking.stdout)), (Some(1), hidden));
    assert_eq!(text(&lacking.stderr), "0 revealed\n7 left: of epoch 2, whose key is not here\n");
    let wrong = reveal(&["--key-file", "2=one"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), hidden));
    assert_eq!(text(&wrong.stderr), "0 revealed\n7 left: made with another key than the one given for their epoch\n");
    let right = reveal(&["--key-file", "one", "--key-file", "2=two"]);
    assert_eq!((right.status.code(), text(&right.stdout)), (Some(0), EVENTS));
    let none = reveal(&[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).starts_with("error: there is no key\n"), "{}", text(&none.stderr));
    let pseudonym = "e1-jrv6evancv3mod5zcaibmzr25q@pseudonym.invalid";
    let kept = auditline(folder.path(), &["reveal", "--key-file", "one", pseudonym], "");
    assert_eq!((kept.status.code(), text(&kept.stdout)), (Some(0), format!("{pseudonym}\n").as_str()));
    assert_eq!(text(&kept.stderr), "0 revealed\n1 left: pseudonyms, which no key can undo\n");
}

#[test]
fn explain_says_where_and_shows_nothing_of_what_it_found() {
    let folder = install(FIRST);
    let explained = auditline(folder.path(), &["redact", "--explain", "log.ndjson"], "");
    assert_eq!(
        text(&explained.stdout),
        "1\tactor.user.email_addr\temails\tmasked@masked.invalid\n\
         1\tmasked@masked.invalid\temails\tmasked@masked.invalid\n\
         2\tsrc_endpoint.ip\tips\t0.0.0.0\n\
         2\turl\temails\tmasked%40masked.invalid\n\
         2\traw\tips\t::\n\
         3\t-\temails\tmasked@masked.invalid\n"
    );
    assert_eq!(text(&explained.stderr), "\nDETECTOR   FOUND\nemails         4\nips            2\n");
    let shown = auditline(folder.path(), &["redact", "--explain", "--show-found"], "a\nb, call +12025550143\n");
    assert_eq!(text(&shown.stdout), "2\t-\tphones\tmasked-phone\t+12025550143\n");
}

#[test]
fn a_key_over_several_lines_is_masked_whole() {
    let folder = install(FIRST);
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nq2w=\n-----END PRIVATE KEY-----";
    let masked = auditline(folder.path(), &["redact"], &format!("{{\"a\":1}}\n{key}\nthe end\n"));
    assert_eq!(text(&masked.stdout), "{\"a\":1}\nmasked-key\nthe end\n");
}
