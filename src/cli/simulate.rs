//! `auditline simulate`: the simulated vendors, for trying a configuration against.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::{DONE, FAILED, stop};
use crate::simulator::{RetryAfter, Simulator, Throttle, Vendor, World};

/// Serve the simulated vendors on loopback until stopped.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Records each vendor holds at the start.
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// New records per second and vendor.
    #[arg(long, default_value_t = 0.0)]
    live_per_second: f64,
    /// Days the records spread over.
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Refuse every Nth request with 429; 0 for never.
    #[arg(long, default_value_t = 0)]
    throttle_every: u64,
}

impl Simulate {
    pub async fn main(self) -> u8 {
        let world = World {
            records: self.records,
            span: Duration::from_secs(u64::from(self.days) * 24 * 3600),
            live_per_second: self.live_per_second,
            throttle: Throttle {
                every: self.throttle_every,
                retry_after: RetryAfter::Seconds(0),
                ..Throttle::default()
            },
            ..World::default()
        };
        if !self.listen.ip().is_loopback() {
            eprintln!("error: the simulator listens on loopback only");
            return FAILED;
        }
        let simulator = match Simulator::start_at(world, self.listen).await {
            Ok(simulator) => simulator,
            Err(error) => {
                eprintln!("error: cannot listen on {}: {error}", self.listen);
                return FAILED;
            }
        };
        for vendor in Vendor::ALL {
            println!("{vendor} {}", simulator.base_url(vendor));
        }
        stop::on_signal().cancelled().await;
        simulator.stop().await;
        DONE
    }
}
