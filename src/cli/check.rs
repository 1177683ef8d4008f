//! `auditline check`: says everything that is wrong with the configuration.

use clap::Args;

use super::input::Input;
use super::run::tell;
use super::{DONE, FAILED, WRONG};
use crate::config::Plan;
use crate::connector::Connector;
use crate::engine::check_online;
use crate::source::file::FileSettings;

/// Say everything that is wrong with the configuration, all at once.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    input: Input,
    /// Also ask every vendor and every sink whether they take the credentials. Writes nothing.
    #[arg(long)]
    online: bool,
}

impl Check {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        for (name, file) in plan.catalogue.replacing() {
            eprintln!("info: {name}: {file} instead of the one that comes with auditline");
        }
        summarize(&plan);
        if !self.online {
            return DONE;
        }
        let failed = check_online(&plan).await;
        tell(&failed);
        if failed.is_empty() {
            eprintln!("every vendor and every sink answers");
            return DONE;
        }
        FAILED
    }
}

/// What each pipeline reads and where it goes, by name.
fn summarize(plan: &Plan) {
    let title = |connector: &Connector| connector.definition.connector.title.clone();
    let apis = plan.pipelines.iter().map(|plan| (&plan.name, title(&plan.source.connector), &plan.lanes));
    let files = plan.files.iter().map(|plan| {
        let FileSettings { connector, pattern, .. } = &plan.source;
        (&plan.name, format!("{} in {pattern}", title(connector)), &plan.lanes)
    });
    let mut pipelines: Vec<_> = apis.chain(files).collect();
    pipelines.sort_by_key(|(name, ..)| *name);
    for (name, source, lanes) in pipelines {
        let lanes: Vec<String> = lanes.iter().map(|lane| format!("{} ({})", lane.name, lane.sink)).collect();
        println!("{name}: {source} to {}", lanes.join(", "));
    }
}
