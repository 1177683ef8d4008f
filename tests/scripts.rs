//! The scripts beside the program, each on a machine made of a few imitated commands.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// Held while a script is written and while a process is started: one that inherits a script still open for writing keeps
/// it from being run.
static STARTING: Mutex<()> = Mutex::new(());

/// A folder of commands that is all a script finds.
struct Machine(TempDir);

impl Machine {
    /// With these of the real machine's.
    fn with(commands: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().expect("a folder"));
        for name in commands {
            let mut places = ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name));
            let real = places.find(|path| path.exists()).unwrap_or_else(|| panic!("this machine has no {name}"));
            symlink(real, machine.0.path().join(name)).expect("it can be linked");
        }
        machine
    }

    /// And with a command that does this.
    fn imitate(self, name: &str, script: &str) -> Self {
        let path = self.0.path().join(name);
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("it can be written");
        drop(starting);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        self
    }

    /// Exit code, and what was said on either stream.
    fn run(&self, command: &[&str]) -> (i32, String) {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut bash = Command::new("/bin/bash");
        bash.args(command).current_dir(root).env_clear().env("PATH", self.0.path());
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let bash = bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash runs");
        drop(starting);
        let output = bash.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("no signal ends it"), text(output.stdout) + &text(output.stderr))
    }
}

#[test]
fn setup_wants_the_tool_chain_that_the_manifest_names() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("the manifest");
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("one").trim_matches('"');
    let (major, minor) = needed.split_once('.').expect("two numbers");
    let (major, minor): (u32, u32) = (major.parse().expect("a number"), minor.parse().expect("a number"));
    let machine = |version: &str| {
        let mut machine = Machine::with(&["sed", "dirname"]);
        for name in ["cc", "c++", "make", "pkg-config", "cargo"] {
            machine = machine.imitate(name, "");
        }
        machine.imitate("rustc", &format!("echo '{version}'"))
    };
    for fine in [
        format!("rustc {needed}.0 (59807616e 2026-04-14)"),
        format!("rustc {major}.{}.2 (0123abcde 2027-01-01)", minor + 5),
        format!("rustc {}.0.0-nightly (0123abcde 2027-01-01)", major + 1),
    ] {
        assert_eq!(machine(&fine).run(&["scripts/setup"]), (0, String::new()), "{fine}");
    }
    let hint =
        "setup: hint: `rustup update`; where rustc is your system's package, install rustup and open a new shell\n";
    for (version, named) in [
        (format!("rustc {major}.{}.9 (0123abcde 2026-01-01)", minor - 1), format!("{major}.{}.9", minor - 1)),
        (format!("rustc {major}.9.0"), format!("{major}.9.0")),
        ("error: toolchain is not installed".to_owned(), "of an unknown version".to_owned()),
    ] {
        let said = format!("setup: the Rust tool chain is {named}, and {needed} or newer is needed\n{hint}");
        assert_eq!(machine(&version).run(&["scripts/setup"]), (1, said));
    }
}

/// Debian 13: no Java 17, and here no Maven either.
const APT: &str = r#"
case "$*" in
    update*) exit 0 ;;
    *openjdk-17*) echo "E: Package has no installation candidate"; exit 100 ;;
    *maven*) echo "E: Unable to locate package maven"; exit 100 ;;
    *) echo "apt-get ${*: -1}" >>"$0.did" ;;
esac
"#;

#[test]
fn a_package_that_cannot_be_had_keeps_no_other_away() {
    let machine = Machine::with(&["sed", "tail", "env", "bash", "date", "mkdir"])
        .imitate("id", "echo 0")
        .imitate("apt-cache", "exit 100")
        .imitate("apt-get", APT);
    let work = machine.0.path().join("work");
    let script = format!(
        "mkdir {0}; work={0}; say() {{ echo \"$*\"; }}; seconds_since() {{ echo 0; }}; . tests/servers/packages.sh
         install_packages",
        work.display()
    );
    let said = "apt-get update\n\
        apt-get install openssl python3 python3-venv default-jre-headless maven\n\
        apt-get could not install maven; see target/servers/apt.log\n    E: Unable to locate package maven\n    \
        E: Unable to locate package maven\n";
    assert_eq!(machine.run(&["-c", &script]), (0, said.to_owned()));
    let did = fs::read_to_string(machine.0.path().join("apt-get.did")).expect("it did something");
    assert_eq!(did, "apt-get openssl\napt-get python3\napt-get python3-venv\napt-get default-jre-headless\n");
}

/// As on macOS: no flock, no setpriv, and a date that knows no nanoseconds.
#[test]
fn where_no_server_can_be_started_the_command_runs_and_skips_are_counted() {
    let machine = Machine::with(&["bash", "dirname", "mkdir", "mktemp", "wc", "sort", "sed", "rm"])
        .imitate("date", r#"case "$1" in +%N) echo N ;; *) echo 0N ;; esac"#);
    let test = "echo tested; echo 'skipped: b: no kafka' >>$AUDITLINE_TEST_SKIPS; \
                echo 'skipped: a: no s3' >>$AUDITLINE_TEST_SKIPS; exit 7";
    let (code, said) = machine.run(&["tests/servers/run", "bash", "-c", test]);
    let expected = format!(
        "tested\n\
         servers: none is started, for this system lacks flock, setpriv, GNU date; running with every server left out: \
         bash -c {test}\n    skipped: a: no s3\n    skipped: b: no kafka\n\
         servers: 2 tests skipped for want of a server\n"
    );
    assert_eq!((code, said), (7, expected));
}
