//! The vendors' audit-log APIs in miniature, on one loopback server: what the demo and the tests read from.
//!
//! Each vendor is as its documentation describes it: authentication, mandatory parameters, limits, paging, errors,
//! rate-limit headers. Records are computed from their index, so a world of millions costs no memory; faults and
//! late records come on demand. See [`World`] for what can be set.

mod ashby;
mod cloudflare;
pub mod conformance;
mod content;
pub mod credentials;
mod faults;
pub mod generic;
mod http;
mod nirvana;
mod people;
mod stats;
mod telnyx;
#[cfg(test)]
mod tests;
mod timeline;
mod voximplant;
mod voximplant_report;
mod world;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use content::sample;
pub use stats::Stats;
use timeline::{MILLISECOND, Micros, SECOND, Timeline};
pub use world::{
    AshbyQuirks, Bounds, CloudflareQuirks, CountsFrom, Fault, Flaky, Late, NirvanaQuirks, Packing, Quota, RetryAfter,
    Throttle, VoximplantQuirks, World,
};

/// The vendors that are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Vendor {
    /// Telnyx audit events: page numbers.
    Telnyx,
    /// Cloudflare account audit logs, version 2: cursors.
    Cloudflare,
    /// Voximplant: offsets, or a report that is ordered, awaited and downloaded.
    Voximplant,
    /// Ashby: POST with JSON, newest first, cursors in the body.
    Ashby,
    /// Nirvana Labs: cursors, and reads that are logged themselves.
    Nirvana,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Vendor; 5] =
        [Vendor::Telnyx, Vendor::Cloudflare, Vendor::Voximplant, Vendor::Ashby, Vendor::Nirvana];

    /// The vendor's name as connectors spell it.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::Telnyx => "telnyx",
            Vendor::Cloudflare => "cloudflare",
            Vendor::Voximplant => "voximplant",
            Vendor::Ashby => "ashby",
            Vendor::Nirvana => "nirvana",
        }
    }

    /// What stands in the vendor's documentation as the base URL, below our own host.
    fn base_path(self) -> &'static str {
        match self {
            Vendor::Telnyx => "/telnyx/v2",
            Vendor::Cloudflare => "/cloudflare/client/v4",
            Vendor::Voximplant => "/voximplant/platform_api",
            Vendor::Ashby => "/ashby",
            Vendor::Nirvana => "/nirvana",
        }
    }

    /// How fine the vendor's event times are.
    fn tick(self) -> Micros {
        match self {
            Vendor::Telnyx | Vendor::Voximplant => SECOND,
            Vendor::Cloudflare | Vendor::Ashby | Vendor::Nirvana => MILLISECOND,
        }
    }

    fn id(self, salt: u64, index: u64) -> String {
        match self {
            Vendor::Cloudflare => content::hex32(salt, index),
            Vendor::Voximplant => content::voximplant::id(index).to_string(),
            Vendor::Telnyx | Vendor::Ashby | Vendor::Nirvana => content::uuid(salt, index),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A record that a complete reader has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expected {
    /// The vendor's record id, as text.
    pub id: String,
    /// The event time, as coarse as the vendor tells it.
    pub time: DateTime<Utc>,
    /// When the vendor shows it first.
    pub published: DateTime<Utc>,
}

/// What one vendor knows.
struct VendorState {
    salt: u64,
    line: Arc<Timeline>,
    counters: stats::Counters,
    quota: faults::QuotaBook,
    lost: faults::Lost,
}

/// What all handlers share.
struct Shared {
    world: World,
    vendors: [VendorState; 5],
    nirvana_reads: nirvana::Reads,
    // Held for a few lines, never over an await.
    reports: Mutex<voximplant_report::Reports>,
}

impl Shared {
    fn new(world: World) -> Self {
        let started = world.clock.now().timestamp_micros();
        let vendors = Vendor::ALL.map(|vendor| {
            let salt = content::mix(world.seed, vendor as u64);
            let line = Arc::new(Timeline::new(&world, salt, vendor.tick(), started));
            let (counters, quota, lost) = Default::default();
            VendorState { salt, line, counters, quota, lost }
        });
        let nirvana_reads = nirvana::Reads::new(started);
        Self { world, vendors, nirvana_reads, reports: Mutex::default() }
    }

    fn of(&self, vendor: Vendor) -> &VendorState {
        &self.vendors[vendor as usize]
    }

    fn now(&self) -> Micros {
        self.world.clock.now().timestamp_micros()
    }

    /// Lets time pass with a request, by a clock that does not move by itself.
    fn pass(&self, salt: u64, number: u64) {
        let pace = timeline::micros(self.world.pace);
        if pace > 0 {
            let by = content::mix(salt ^ 0xc10c, number) % (pace as u64 + 1);
            let clock = &self.world.clock;
            clock.set(clock.now() + TimeDelta::microseconds(by as i64));
        }
    }

    /// Whether a cursor issued then is no longer good.
    fn expired(&self, issued: Micros, now: Micros) -> bool {
        self.world.cursor_lifetime.is_some_and(|lifetime| (now - issued) as u128 > lifetime.as_micros())
    }
}

/// A running simulator. Dropping it stops it.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Serves `world` on a free port of the loopback interface.
    ///
    /// Must be called within a tokio runtime with time and I/O.
    pub async fn start(world: World) -> io::Result<Simulator> {
        Self::start_at(world, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Serves `world` on `address`; a restarted simulator can take its old port.
    pub async fn start_at(world: World, address: SocketAddr) -> io::Result<Simulator> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        // A small piece of an answer otherwise waits for the reader's receipt of the one before. That it cannot be had does
        // no harm.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let shared = Arc::new(Shared::new(world));
        let stop = CancellationToken::new();
        let app = app(&shared);
        let stopped = stop.clone();
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        Ok(Simulator { shared, address, stop, server: Some(server) })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a source's `base_url` must be to read from here: the vendor's documented base URL, on this host.
    pub fn base_url(&self, vendor: Vendor) -> String {
        format!("http://{}{}", self.address, vendor.base_path())
    }

    /// What was asked of a vendor, and how it answered, until now.
    pub fn stats(&self, vendor: Vendor) -> Stats {
        self.shared.of(vendor).counters.read()
    }

    /// Every record whose event time lies before `until`, oldest first, late ones included.
    ///
    /// Entries that Nirvana Labs makes of its own reads are not among them. Lazy: nothing is held in memory.
    pub fn expected_ids(&self, vendor: Vendor, until: DateTime<Utc>) -> impl Iterator<Item = Expected> + use<> {
        let state = self.shared.of(vendor);
        let (salt, line) = (state.salt, Arc::clone(&state.line));
        let end = line.end(self.shared.now());
        let end = line.lower_bound(until.timestamp_micros(), end);
        (0..end).map(move |index| Expected {
            id: vendor.id(salt, index),
            time: line.date(index),
            published: timeline::date(line.published(index)),
        })
    }

    /// Loses the answer to the vendor's request of that number, as [`Stats::requests`] counts: it is carried out, and nothing
    /// ever comes back. 0 for none.
    pub fn lose_answer(&self, vendor: Vendor, number: u64) {
        self.shared.of(vendor).lost.set(number);
    }

    /// Returns when an answer was lost.
    pub async fn answer_lost(&self, vendor: Vendor) {
        self.shared.of(vendor).lost.noticed().await;
    }

    /// How many of the vendor's entries are its own reads (Nirvana Labs only).
    pub fn own_reads(&self) -> u64 {
        self.shared.nirvana_reads.len()
    }

    /// The bounds of every report that was ordered from Voximplant, in the order's own words.
    pub fn reports(&self) -> Vec<String> {
        self.shared.reports.lock().expect("no code panics with the reports").bounds()
    }

    /// Stops listening, lets answers under way finish, and returns when the port is free.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            // A panic in the server has been printed; there is nothing to add.
            server.await.ok();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.address).finish_non_exhaustive()
    }
}

fn app(shared: &Arc<Shared>) -> Router {
    Vendor::ALL.into_iter().fold(Router::new(), |app, vendor| {
        let routes = match vendor {
            Vendor::Telnyx => telnyx::routes(),
            Vendor::Cloudflare => cloudflare::routes(),
            Vendor::Voximplant => voximplant::routes(),
            Vendor::Ashby => ashby::routes(),
            Vendor::Nirvana => nirvana::routes(),
        };
        let gate = from_fn_with_state((Arc::clone(shared), vendor), faults::gate);
        app.nest(vendor.base_path(), routes.layer(gate).with_state(Arc::clone(shared)))
    })
}
