//! Looks after the files that transforms read beside the events.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::error;

use crate::transform::{Transform, Watched};

/// How much time lies between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Looks at all the files of these transforms every few seconds, until what is returned is dropped. Nothing where there are
/// none.
pub fn start<'t>(transforms: impl Iterator<Item = &'t Box<dyn Transform>>) -> JoinSet<()> {
    let files = files(transforms);
    let mut task = JoinSet::new();
    if !files.is_empty() {
        task.spawn(watch(files.into()));
    }
    task
}

/// Each file once: pipelines share what they have in common.
fn files<'t>(transforms: impl Iterator<Item = &'t Box<dyn Transform>>) -> Vec<Arc<dyn Watched>> {
    let mut files: Vec<Arc<dyn Watched>> = Vec::new();
    for file in transforms.flat_map(|transform| transform.watched()) {
        if !files.iter().any(|known| Arc::ptr_eq(known, &file)) {
            files.push(file);
        }
    }
    files
}

async fn watch(files: Arc<[Arc<dyn Watched>]>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let files = Arc::clone(&files);
        // A table of a million rows takes a while: the tasks that read and deliver must not wait for it.
        let looked = tokio::task::spawn_blocking(move || files.iter().for_each(|file| file.look())).await;
        if let Err(panic) = looked {
            error!(%panic, "files are no longer looked after: what they hold now goes on");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::event::{Arena, Event};
    use crate::transform::{Exit, Notes};

    #[derive(Default)]
    struct Looks(AtomicU64);

    impl Watched for Looks {
        fn look(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Reads(Arc<Looks>);

    impl Transform for Reads {
        fn apply<'a>(&self, event: Event<'a>, _: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
            Ok(event)
        }

        fn watched(&self) -> Vec<Arc<dyn Watched>> {
            vec![Arc::clone(&self.0) as _]
        }
    }

    impl fmt::Display for Reads {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("reads")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_until_the_run_has_ended() {
        let looks = Arc::new(Looks::default());
        let transforms: Vec<Box<dyn Transform>> =
            vec![Box::new(Reads(Arc::clone(&looks))), Box::new(Reads(Arc::clone(&looks)))];
        assert_eq!(files(transforms.iter()).len(), 1, "they share it");
        let watching = start(transforms.iter());
        while looks.0.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(EVERY).await;
        }
        drop(watching);
        tokio::time::sleep(EVERY).await;
        let seen = looks.0.load(Ordering::SeqCst);
        tokio::time::sleep(EVERY * 5).await;
        assert_eq!(looks.0.load(Ordering::SeqCst), seen);
        assert!(start([].iter()).is_empty());
    }
}
