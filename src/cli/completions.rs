//! `auditline completions`: what a shell needs to complete our verbs and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, print};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub fn main(self) -> u8 {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "auditline", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
