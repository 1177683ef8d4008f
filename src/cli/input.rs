//! From `--config` to a plan, with everything that is wrong on stderr.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{Files, Plan, resolve};
use crate::document::{Context, Problems};

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct Input {
    /// The main file, or a folder that holds `auditline.toml`.
    #[arg(long, value_name = "PATH", default_value = "auditline.toml")]
    pub config: PathBuf,
}

impl Input {
    /// Reads and resolves the configuration. `None` when it is wrong; what is wrong, and what deserves a warning, was
    /// printed then.
    pub fn plan(&self) -> Option<Plan> {
        let problems = Problems::new();
        let plan = read(&self.config, &problems);
        report(&problems);
        plan
    }
}

fn read(path: &Path, problems: &Problems) -> Option<Plan> {
    let context = Context::new(problems);
    resolve(&Files::read(path, &context)?, &context)
}

/// Prints problems, and how many there are.
pub fn report(problems: &Problems) {
    if !problems.is_empty() {
        eprintln!("{problems}\n{}", problems.summary());
    }
}
