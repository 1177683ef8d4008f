//! What `auditline check` says: a configuration per mistake in `tests/configs`, with the whole of what a person sees
//! beside it, and the examples, which must have none.
//!
//! A case is a file `NAME.toml` or a folder `NAME`, and what is expected of it `NAME.stderr`. Cases of `remap` are run in
//! a build that has it. After a change of words,
//! `UPDATE_EXPECT=1 cargo test --test check` rewrites what is expected: read the difference before it is committed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The whole environment of a run.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("TELNYX_API_KEY", "KEY-of-telnyx"),
    ("CLOUDFLARE_API_TOKEN", "token-of-cloudflare"),
    ("ASHBY_API_KEY", "key-of-ashby"),
    ("NIRVANA_API_KEY", "key-of-nirvana"),
    ("EXAMPLE_DNS_API_KEY", "key-of-example-dns"),
    ("VOXIMPLANT_CREDENTIALS", r#"{ "account_id": 1, "key_id": "k-1", "private_key": "key-of-voximplant" }"#),
    ("VOXIMPLANT_OTHER_JSON", r#"{ "account_id": 1 }"#),
    ("KAFKA_PASSWORD", "password-of-kafka"),
    ("OPENSEARCH_PASSWORD", "password-of-opensearch"),
    ("SPLUNK_HEC_TOKEN", "token-of-splunk"),
    ("S3_ACCESS_KEY_ID", "id-of-s3"),
    ("S3_SECRET_ACCESS_KEY", "key-of-s3"),
    ("DD_API_KEY", "key-of-datadog"),
    ("SUMO_SOURCE_TOKEN", "token-of-sumo"),
    ("AZURE_CLIENT_SECRET", "secret-of-azure"),
    ("SECOPS_API_KEY", "key-of-secops"),
    ("SECOPS_FEED_SECRET", "secret-of-secops"),
    ("OTEL_TOKEN", "token-of-otel"),
    ("WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="),
    ("AUDITLINE_REDACTION_KEY", "0123456789abcdef0123456789abcdef"),
    ("SHORT_KEY", "tooshort"),
    ("EMPTY", ""),
];

/// What the cases write out, and no output may hold.
const WRITTEN_OUT: &[&str] = &["hunter2", "8675309"];

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

fn check(folder: &Path, config: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command.args(["check", "--config", config]).current_dir(folder).env_clear().envs(ENVIRONMENT.iter().copied());
    command.output().expect("the program runs")
}

/// The whole of what a person sees.
fn seen(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints UTF-8");
    let code = output.status.code().expect("no signal ends it");
    format!("exit code: {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

/// The cases, by name, each with the path `--config` is given.
fn cases() -> Vec<(String, String)> {
    let entries = fs::read_dir(configs()).expect("the folder is there").map(|entry| entry.expect("it can be read"));
    let names = entries.map(|entry| (entry.file_name().into_string().expect("a name in UTF-8"), entry.path().is_dir()));
    let mut cases: Vec<_> = names
        .filter_map(|(name, is_folder)| match name.strip_suffix(".toml") {
            _ if is_folder => Some((name.clone(), name)),
            Some(stem) => Some((stem.to_owned(), name.clone())),
            None => None,
        })
        .collect();
    cases.sort();
    cases
}

fn is_of_this_build(name: &str) -> bool {
    match name {
        "built_without_remap" => !cfg!(feature = "remap"),
        _ => cfg!(feature = "remap") || !name.starts_with("remap_"),
    }
}

#[test]
fn every_mistake_is_told_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut differences = String::new();
    for (name, config) in cases().into_iter().filter(|(name, _)| is_of_this_build(name)) {
        let found = seen(&check(&configs(), &config));
        let path = configs().join(format!("{name}.stderr"));
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found == expected {
            continue;
        }
        if update {
            fs::write(&path, found).expect("it can be written");
        } else {
            write!(differences, "\n{config}:\n{}", difference(&expected, &found)).expect("a string grows");
        }
    }
    assert!(differences.is_empty(), "{differences}\n`UPDATE_EXPECT=1 cargo test --test check` takes this as expected");
}

#[test]
fn what_is_expected_belongs_to_a_case_and_holds_no_secret() {
    let cases: BTreeSet<String> = cases().into_iter().map(|(name, _)| name).collect();
    assert!(!cases.is_empty());
    let values = ENVIRONMENT.iter().map(|(_, value)| *value).filter(|value| !value.is_empty());
    let secrets: Vec<&str> = values.chain(WRITTEN_OUT.iter().copied()).collect();
    for entry in fs::read_dir(configs()).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "toml") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8");
        let is_expectation = path.extension().is_some_and(|extension| extension == "stderr");
        assert!(is_expectation && cases.contains(name), "{} belongs to no case", path.display());
        let expected = fs::read_to_string(&path).expect("it can be read");
        for secret in &secrets {
            assert!(!expected.contains(secret), "{name}.stderr holds the secret `{secret}`");
        }
        let code = if expected.contains("\nerror: ") { 2 } else { 0 };
        assert!(
            expected.starts_with(&format!("exit code: {code}\n")),
            "{name}.stderr has another exit code than {code}"
        );
        assert_eq!(code == 2, expected.contains("--- stdout\n--- stderr\n"), "{name}.stderr: data beside an error");
    }
}

#[test]
fn a_file_a_folder_and_nothing_name_the_same_configuration() {
    let (fine, file) = (configs().join("fine"), configs().join("fine/auditline.toml"));
    let by_folder = seen(&check(&configs(), fine.to_str().expect("a path in UTF-8")));
    let by_file = seen(&check(&configs(), file.to_str().expect("a path in UTF-8")));
    let mut plain = Command::new(env!("CARGO_BIN_EXE_auditline"));
    plain.arg("check").current_dir(&fine).env_clear().envs(ENVIRONMENT.iter().copied());
    let by_nothing = seen(&plain.output().expect("the program runs"));
    assert_eq!(by_folder, by_file);
    // What lies beside the configuration is named from where the program stands.
    assert_eq!(by_nothing, by_folder.replace(&format!("{}/", fine.display()), ""));
    assert!(by_folder.starts_with("exit code: 0\n--- stdout\ncloudflare: "), "{by_folder}");
}

#[test]
fn a_mistyped_log_filter_is_told_before_anything_is_done() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command.arg("connectors").env_clear().env("AUDITLINE_LOG", "auditline=debug,warning");
    let expected = "exit code: 2\n--- stdout\n--- stderr\n\
        error: `AUDITLINE_LOG` holds `warning`, which is no filter of log lines\n\n\
        hint: write a level, or levels by part, as in `auditline=debug,warn`; \
        the levels are `error`, `warn`, `info`, `debug`, `trace` and `off`\n";
    assert_eq!(seen(&command.output().expect("the program runs")), expected);
}

#[test]
fn every_example_is_sound_and_says_which_variables_it_needs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut without: BTreeSet<&str> = DESTINATIONS.into();
    for entry in fs::read_dir(examples).expect("the folder is there") {
        let example = entry.expect("it can be read").path();
        let name = example.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = folder.path().join("run-secrets");
        let variables = copy(&example, folder.path(), &secrets);
        supply(folder.path(), &secrets);
        let configuration = if example.join("config").is_dir() { "config" } else { "." };
        let found = seen(&check(folder.path(), configuration));
        assert!(found.starts_with("exit code: 0\n") && found.ends_with("--- stderr\n"), "{name}:\n{found}");
        let readme = fs::read_to_string(example.join("README.md")).expect("a README.md");
        for variable in variables {
            assert!(readme.contains(&format!("`{variable}`")), "{name}/README.md does not name `{variable}`");
        }
        let files = files(&example).into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "toml"));
        let text: String = files.map(|file| fs::read_to_string(file).expect("it can be read")).collect();
        without.retain(|destination| !destination.split(' ').all(|part| text.contains(part)));
    }
    assert!(without.is_empty(), "no example shows {without:?}");
}

/// What an example is there for, by words that all stand in its files: every kind of sink, and the ways people ask for.
const DESTINATIONS: [&str; 19] = [
    ".file] rotate",
    ".stdout]",
    ".kafka]",
    ".s3] {date}",
    ".s3] \"parquet\"",
    ".s3] security-data-lake",
    ".syslog] \"tls\"",
    ".syslog] \"relp\"",
    ".syslog] \"cef\"",
    ".syslog] \"leef\"",
    ".splunk_hec]",
    ".elasticsearch]",
    ".otlp]",
    ".http] datadoghq.com",
    ".http] sumologic.com",
    ".http] monitor.azure.com",
    ".http] chronicle",
    ".http.sign]",
    "[source.file]",
];

/// What a file of an example holds in place of the reader's own, and so its README must name.
const INVENTED: &[&str] =
    &["example.com", "9f2c41d07be84a6fb1d5c3e8a0764b15", "username = ", "bucket = \"corp-audit\""];

#[test]
fn each_example_says_what_to_fill_in() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = 0;
    for example in fs::read_dir(examples).expect("the folder is there") {
        let example = example.expect("it can be read").path();
        let readme = fs::read_to_string(example.join("README.md")).expect("a README.md");
        // A connector is about a vendor that is invented as a whole, and so is what an archive and its tables hold.
        let is_the_readers = |file: &PathBuf| {
            file.extension().is_some_and(|kind| kind != "md")
                && !file
                    .parent()
                    .is_some_and(|it| ["connectors", "archive", "data"].iter().any(|name| it.ends_with(name)))
        };
        for file in files(&example).into_iter().filter(is_the_readers) {
            let text = fs::read_to_string(&file).expect("it can be read");
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            for line in lines.filter(|line| INVENTED.iter().any(|invented| line.contains(invented))) {
                let key = line.split(['=', ':']).next().expect("the first of any").trim();
                let key = if key == "sasl" { "sasl.username" } else { key };
                assert!(readme.contains(&format!("`{key}`")), "{}: the README does not name `{key}`", file.display());
                found += 1;
            }
        }
    }
    assert!(found >= 9, "{found} things to fill in");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Where a container's secrets are mounted.
const MOUNTED: &str = "/run/secrets/auditline";

/// Copies an example, in its TOML with the mounted secrets in `secrets`; returns the variables that names.
fn copy(from: &Path, to: &Path, secrets: &Path) -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            variables.extend(copy(&entry.path(), &target, secrets));
        } else if target.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(entry.path()).expect("it can be read");
            let names = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
            variables.extend(names.map(ToOwned::to_owned));
            fs::write(target, text.replace(MOUNTED, &secrets.display().to_string())).expect("it can be written");
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
    variables
}

/// The files that the examples leave to their user.
fn supply(folder: &Path, secrets: &Path) {
    fs::create_dir_all(secrets).expect("a folder");
    for name in ["cloudflare-api-token", "redaction-key", "kafka-password"] {
        fs::write(secrets.join(name), "0123456789abcdef0123456789abcdef\n").expect("it can be written");
    }
    fs::write(folder.join("ca.pem"), CERTIFICATE).expect("it can be written");
}

/// A certificate authority whose key nobody has.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUQqK75HqU1ppaDh51md2q/Gk2iX0wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNQW4gZXhhbXBsZSBDQTAgFw0yNjExMjEwNTM0MjBaGA8yMTI2
MTAyODA1MzQyMFowGDEWMBQGA1UEAwwNQW4gZXhhbXBsZSBDQTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABNlxBmfLAsHSLSr/4upmWvz2QSsM5QeytcRik/pyecKe
c7/jr1/hxl9SSsjHgR/hLmqWyBFyiANXHo8yjse9KzijUzBRMB0GA1UdDgQWBBS2
SyKo3YxNpuzNIEoPzT7HCA4cyzAfBgNVHSMEGDAWgBS2SyKo3YxNpuzNIEoPzT7H
CA4cyzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDYmcvQG0vQ
mgs4Ua+t91oPHHFvZrCOoEwN+Tg2/O0KMAIgbRUqlx3/hone3IMi5nLtPr5JCfG8
JUi8afpgklckgYk=
-----END CERTIFICATE-----
";

/// The lines that differ, between what is the same before and after them.
fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let after = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let mark = |sign: char, lines: &[&str]| lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>();
    let (removed, added) = (&old_rest[..old_rest.len() - after], &new_rest[..new_rest.len() - after]);
    let context = mark(' ', &old[before.saturating_sub(3)..before]);
    format!("{context}{}{}", mark('-', removed), mark('+', added))
}
