//! `auditline check`: says everything that is wrong with the configuration.

use clap::Args;

use super::input::Input;
use super::run::tell;
use super::{DONE, FAILED, WRONG};
use crate::engine::check_online;

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
        for pipeline in &plan.pipelines {
            let lanes: Vec<String> =
                pipeline.lanes.iter().map(|lane| format!("{} ({})", lane.name, lane.sink)).collect();
            println!(
                "{}: {} to {}",
                pipeline.name,
                pipeline.source.connector.definition.connector.title,
                lanes.join(", ")
            );
        }
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
