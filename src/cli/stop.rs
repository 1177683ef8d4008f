//! SIGTERM and SIGINT: the first stops, the second does not wait.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once.
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be caught: stopping will not be graceful");
        return token;
    };
    let stop = token.clone();
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                eprintln!("stopped at once; the journal has what was not delivered");
                std::process::exit(1);
            }
            stop.cancel();
        }
    });
    token
}
