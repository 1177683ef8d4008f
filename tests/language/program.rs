//! What the program shows of connectors: lists, sources, the schema.

use std::path::Path;
use std::process::Command;

use auditline::connector::schema;

use super::{connectors, root};

/// Runs the program in a folder; its exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    let output = command.args(arguments).current_dir(folder).env_clear().output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
    (output.status.code().expect("no signal ends it"), text(output.stdout), text(output.stderr))
}

/// The first words of a list.
fn names(list: &str) -> Vec<&str> {
    list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn a_source_is_printed_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in connectors() {
        assert_eq!(run(folder.path(), &["connectors", &name, "--source"]), (0, text, String::new()));
    }
    let said = "error: there is no connector `telnix`\n\nhint: did you mean `telnyx`?\n";
    assert_eq!(run(folder.path(), &["connectors", "telnix", "--source"]), (2, String::new(), said.to_owned()));
    assert_eq!(run(folder.path(), &["connectors", "telnix"]), (2, String::new(), said.to_owned()));
}

#[test]
fn own_connectors_are_listed_where_the_configuration_names_them() {
    let (folder, example) = (tempfile::tempdir().expect("a folder"), root().join("examples/own-vendor"));
    let (code, embedded, said) = run(folder.path(), &["connectors"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(names(&embedded), connectors().iter().map(|(name, _)| name).collect::<Vec<_>>());

    let (code, here, said) = run(&example, &["connectors"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(names(&here).contains(&"example-dns"), "{here}");
    let row = here.lines().find(|line| line.starts_with("example-dns ")).unwrap_or_default();
    assert!(row.ends_with("   connectors/example-dns.toml"), "{row}");

    let path = example.to_str().expect("a path in UTF-8");
    let (code, there, said) = run(folder.path(), &["connectors", "--config", path]);
    assert_eq!((code, said.as_str(), names(&there)), (0, "", names(&here)));
    let source = std::fs::read_to_string(example.join("connectors/example-dns.toml")).expect("it can be read");
    let printed = run(folder.path(), &["connectors", "example-dns", "--source", "--config", path]);
    assert_eq!(printed, (0, source, String::new()));
    let (code, shown, _) = run(&example, &["connectors", "example-dns"]);
    assert!(code == 0 && shown.starts_with("example-dns: Example DNS audit log\n"), "{shown}");
}

#[test]
fn a_broken_connector_is_told_and_hides_no_other() {
    let folder = root().join("tests/configs/own_connector_not_toml");
    let (code, list, said) = run(&folder, &["connectors"]);
    assert_eq!(code, 2);
    assert_eq!(names(&list), ["ashby", "auth0", "cloudflare", "github", "nirvana", "okta", "voximplant"]);
    assert!(said.starts_with("error: ") && said.contains("connectors/telnyx.toml:1:"), "{said}");
    let (code, shown, _) = run(&folder, &["connectors", "telnyx"]);
    assert_eq!((code, shown.as_str()), (2, ""));
}

#[test]
fn the_schema_and_the_completions_are_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, printed, said) = run(folder.path(), &["schema", "connector"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).expect("JSON"), schema());
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, script, said) = run(folder.path(), &["completions", shell]);
        assert_eq!((code, said.as_str()), (0, ""));
        assert!(script.contains("auditline") && script.contains("connectors"), "{shell}");
    }
}
