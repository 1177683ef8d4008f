//! `auditline test`: the connectors' own examples, and what a person sees of one that is not as it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn connectors() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn test(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command.arg("test").args(arguments).current_dir(folder).env_clear();
    command.output().expect("the program runs")
}

/// The whole of what a person sees.
fn seen(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints UTF-8");
    let code = output.status.code().expect("no signal ends it");
    format!("exit code: {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

/// A folder with the Telnyx connector and these examples in it.
fn folder(examples: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/telnyx.toml")).unwrap();
    let (definition, _) = text.split_once("[[example]]").unwrap();
    fs::write(folder.path().join("mine.toml"), format!("{definition}{examples}")).unwrap();
    folder
}

#[test]
fn every_connector_that_comes_with_auditline_passes() {
    let nowhere = tempfile::tempdir().unwrap();
    let embedded = seen(&test(nowhere.path(), &[]));
    assert!(embedded.starts_with("exit code: 0\n") && embedded.contains(" passed, 0 failed\n"), "{embedded}");
    let files: Vec<String> = connectors().iter().map(|path| path.display().to_string()).collect();
    let files = seen(&test(nowhere.path(), &files.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(files, embedded, "with and without their files");
}

#[test]
fn without_files_the_operators_own_connectors_are_tested_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own-vendor");
    let seen = seen(&test(&folder, &[]));
    assert!(seen.starts_with("exit code: 0\n"), "{seen}");
    for line in ["\nashby: a change by a user ... ok\n", "\nexample-dns: a zone is added ... ok\n"] {
        assert!(seen.contains(line), "{seen}");
    }
}

#[test]
fn what_differs_is_told_line_by_line_and_blessing_mends_it() {
    let examples = r#"[[example]]
name = "as it says"
answer = '{"errors":[{"code":"10009","title":"Authentication failed"}]}'
status = 401
error = "Telnyx answered HTTP 401: 10009: Authentication failed"

[[example]]
name = "another id, and one too many"
answer = '{"data":[{"id":"1","created_at":"2026-09-14T08:22:31Z"}]}'
events = [
  '''{"activity_id":0,"activity_name":"Unknown","category_name":"Identity & Access Management","category_uid":3,"class_name":"Entity Management","class_uid":3004,"entity":{"type":"Unknown","type_id":0,"uid":"unknown"},"metadata":{"log_name":"mine","original_time":"2026-09-14T08:22:31Z","product":{"name":"Telnyx","vendor_name":"Telnyx"},"uid":"2","version":"1.8.0"},"severity":"Informational","severity_id":1,"status":"Success","status_id":1,"time":1789374151000,"type_name":"Entity Management: Unknown","type_uid":300400}''',
  '{}',
]

[[example]]
name = "a sentence that nobody says"
answer = '{}'
error = "Telnyx is well"

[[example]]
name = "new"
answer = '{"data":[]}'

[[example]]
name = "no record"
answer = '{"data":["x"]}'
events = []
"#;
    let folder = folder(examples);
    let expected = "\
exit code: 1
--- stdout
mine: as it says ... ok
mine: another id, and one too many ... FAILED
    events.0.metadata.uid: expected \"2\", found \"1\"
    events.1: expected {}, found nothing
mine: a sentence that nobody says ... FAILED
    expected  Telnyx is well
    found     Telnyx answered without the list `data`
mine: new ... FAILED
    it expects neither events nor an error: `--bless` writes what is found
    found     no events
mine: no record ... FAILED
    a record becomes a dead letter: expected an object, found a string

1 passed, 4 failed
--- stderr
";
    assert_eq!(seen(&test(folder.path(), &["mine.toml"])), expected);
    let expected = "\
exit code: 1
--- stdout
mine: as it says ... ok
mine: another id, and one too many ... written
mine: a sentence that nobody says ... written
mine: new ... written
mine: no record ... FAILED
    a record becomes a dead letter: expected an object, found a string

1 passed, 1 failed, 3 written
--- stderr
";
    assert_eq!(seen(&test(folder.path(), &["--bless", "mine.toml"])), expected);
    let again = seen(&test(folder.path(), &["mine.toml"]));
    assert!(again.contains("\n4 passed, 1 failed\n"), "{again}");
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    let folder = folder("[[example]]\nname = \"x\"\nread = \"page\"\nanswer = ''\nevents = []\n");
    let seen = seen(&test(folder.path(), &["mine.toml", "missing.toml"]));
    assert!(seen.starts_with("exit code: 2\n--- stdout\n--- stderr\nerror: there is no `[read.page]`\n"), "{seen}");
    assert!(seen.contains("read = \"page\"\n") && seen.contains("hint: did you mean `pages`?\n"), "{seen}");
    assert!(seen.contains("error: cannot read `missing.toml`: "), "{seen}");
    let nothing = test(folder.path(), &["--bless"]);
    assert_eq!(nothing.status.code(), Some(2), "there is no file to write into");
}

#[test]
fn the_conformance_suite_says_what_it_tried() {
    let folder = folder("");
    let output = test(folder.path(), &["--conformance", "mine.toml"]);
    let seen = seen(&output);
    assert!(seen.starts_with("exit code: 0\n--- stdout\nmine: pages: every page arrives ... ok\n"), "{seen}");
    assert!(seen.contains("\nmine: pages: cursors that expire ... skipped: it has no cursors\n"), "{seen}");
    assert!(seen.ends_with(" passed, 0 failed, 3 skipped\n--- stderr\n"), "{seen}");
}

/// A folder with a main file and one pipeline, which has these examples.
fn pipeline(examples: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let main = "pipelines = [\"pipelines/*.toml\"]\n[sinks.siem.kafka]\nbrokers = [\"k:9092\"]\ntopic = \"audit\"\n";
    fs::write(folder.path().join("auditline.toml"), main).unwrap();
    fs::create_dir(folder.path().join("pipelines")).unwrap();
    fs::write(folder.path().join("pipelines/calls.toml"), format!("{PIPELINE}{examples}")).unwrap();
    folder
}

// Neither variable is set, and the file is not there: a test needs no secret.
const PIPELINE: &str = r#"[source.telnyx]
api_key = { env = "TELNYX_API_KEY" }

[[transform]]
normalize = "none"

[[transform]]
redact = { emails = "pseudonym", key = { file = "redaction-key" } }

[to.siem]
"#;

/// What a person sees of the pipelines, without the connectors' examples.
fn seen_of_pipelines(output: &Output) -> String {
    let lines = seen(output);
    let is_of_connectors = |line: &str| line.ends_with(" ... ok") && !line.starts_with("pipeline ");
    let lines = lines.lines().filter(|line| !is_of_connectors(line) && !line.contains(" passed, "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_pipelines_own_examples_go_through_all_its_transforms() {
    let examples = r#"
# What the vendor says of a change.
[[example]]
name = "another region, and one too many"
record = '''
{"id": "1", "created_at": "2026-09-14T08:22:31Z", "mail": "anna@example.com",
 "changes": [{"field": "region", "to": "eu"}]}
{"id": "2", "created_at": "2026-09-14T08:22:32Z", "n": 1.50}
'''
events = [
  '''{"id":"1","log":"telnyx","record":{"changes":[{"field":"region","to":"us"}],"created_at":"2026-09-14T08:22:31Z","id":"1","mail":"nobody","note":"gone"},"time":"2026-09-14T08:22:31Z","vendor":"Telnyx"}''',
]
dropped = "noise"  # it is not

[[example]]
name = "no record of theirs"
record = '["x"]'

[[example]]
name = "no time of theirs"
record = '{"id": "3", "created_at": "soon"}'
dead_letter = "`created_at` holds no time in a known form: \"soon\""
"#;
    let folder = pipeline(examples);
    let expected = "\
exit code: 1
--- stdout
pipeline calls: another region, and one too many ... FAILED
    events.0.record.changes.0.to: expected \"us\", found \"eu\"
    events.0.record.mail: expected \"nobody\", found \"e1-saedfnjsfwbfc3tw2ii4hqs5xa@pseudonym.invalid\"
    events.0.record.note: expected \"gone\", found nothing
    events.1: expected nothing, found {\"id\":\"2\",\"log\":\"telnyx\",\"record\":{\"created_at\":\"2026-09-14T08:22:32Z\",\"id\":\"2\",\"n\":1.5},\"time\":\"2026-09-14T08:22:32Z\",\"…
    dropped: expected \"noise\", found nothing
pipeline calls: no record of theirs ... FAILED
    it does not say what becomes of its records: `--bless` writes what is found
    dead_letter: expected nothing, found \"expected an object, found a list\"
pipeline calls: no time of theirs ... ok

--- stderr
";
    assert_eq!(seen_of_pipelines(&test(folder.path(), &[])), expected);

    let written = seen(&test(folder.path(), &["--bless", "pipelines/calls.toml"]));
    let expected = "\
exit code: 0
--- stdout
pipeline calls: another region, and one too many ... written
pipeline calls: no record of theirs ... written
pipeline calls: no time of theirs ... ok

1 passed, 0 failed, 2 written
--- stderr
";
    assert_eq!(written, expected);
    let expected = r#"
# What the vendor says of a change.
[[example]]
name = "another region, and one too many"
record = '''
{"id": "1", "created_at": "2026-09-14T08:22:31Z", "mail": "anna@example.com",
 "changes": [{"field": "region", "to": "eu"}]}
{"id": "2", "created_at": "2026-09-14T08:22:32Z", "n": 1.50}
'''
events = [
  '''{"id":"1","log":"telnyx","record":{"changes":[{"field":"region","to":"eu"}],"created_at":"2026-09-14T08:22:31Z","id":"1","mail":"e1-saedfnjsfwbfc3tw2ii4hqs5xa@pseudonym.invalid"},"time":"2026-09-14T08:22:31Z","vendor":"Telnyx"}''',
  '''{"id":"2","log":"telnyx","record":{"created_at":"2026-09-14T08:22:32Z","id":"2","n":1.5},"time":"2026-09-14T08:22:32Z","vendor":"Telnyx"}''',
]
  # it is not

[[example]]
name = "no record of theirs"
record = '["x"]'
dead_letter = "expected an object, found a list"

[[example]]
name = "no time of theirs"
record = '{"id": "3", "created_at": "soon"}'
dead_letter = "`created_at` holds no time in a known form: \"soon\""
"#;
    let file = fs::read_to_string(folder.path().join("pipelines/calls.toml")).unwrap();
    assert_eq!(file.strip_prefix(PIPELINE).unwrap(), expected);
    let again = seen(&test(folder.path(), &["--config", "."]));
    assert!(
        again.starts_with("exit code: 0\n") && again.contains("\npipeline calls: no time of theirs ... ok\n"),
        "{again}"
    );
}

#[test]
fn the_examples_of_the_pipelines_we_show_are_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let seen = seen(&test(&folder, &[]));
    assert!(seen.starts_with("exit code: 0\n"), "{seen}");
    assert!(seen.contains("\npipeline cloudflare: a call with a token ... ok\n"), "{seen}");
}

/// `UPDATE_EXPECT=1 cargo test --test examples` takes what is found as expected.
#[test]
fn coverage_tells_what_a_map_makes_of_its_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command.args(["connectors", "example-dns", "--coverage"]).current_dir(root.join("examples/own-vendor")).env_clear();
    let found = seen(&command.output().expect("the program runs"));
    let path = root.join("tests/coverage.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(path).unwrap());
}

/// A folder in `examples/` that needs no credential, where nothing is left behind.
fn copied(example: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join(".");
    assert!(Command::new("cp").arg("-r").arg(from).arg(folder.path()).status().unwrap().success());
    folder
}

fn run_once(folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    let output = command.args(["run", "--once"]).current_dir(folder).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", seen(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn standard_output_has_each_event_once_and_nothing_else() {
    let folder = copied("stdout");
    let printed = run_once(folder.path());
    let events: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<_> = events.iter().map(|event| event["activity_name"].as_str().unwrap()).collect();
    assert_eq!(done, ["Create", "Update", "Delete"]);
    assert_eq!(run_once(folder.path()), "");
}

#[test]
fn an_archive_is_in_local_files_once() {
    let folder = copied("local-files");
    assert_eq!(run_once(folder.path()), "");
    let path = folder.path().join("events/cloudflare-archive.ndjson");
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), 6);
    run_once(folder.path());
    assert_eq!(fs::read_to_string(path).unwrap(), written);
}
