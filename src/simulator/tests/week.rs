//! A simulated week of every vendor, read by a collector that dies at every request: nothing missing, nothing twice.

mod checks;
mod collector;
pub mod settings;

use std::time::Duration;

use chrono::TimeDelta;

use self::collector::{Collector, Restarts};
use super::*;
use crate::event::Clock;
use crate::simulator::content::Dice;
use crate::simulator::{CloudflareQuirks, Flaky, Late, RetryAfter, Throttle, VoximplantQuirks};

/// What is read, in which of the connector's ways, and how often the collector dies.
pub struct Scenario {
    vendor: Vendor,
    mode: Option<&'static str>,
    restarts: Restarts,
    /// Records on a page: few enough that a day has several.
    page_size: u64,
    records_per_day: u64,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest that a record's publication takes.
const LATEST: Duration = Duration::from_secs(10 * 3600);

/// When the backlog ends and the week begins: long enough ago that the journal takes no time for a future one.
fn day_0() -> DateTime<Utc> {
    instant("2026-03-02T00:00:00Z")
}

impl Scenario {
    /// One vendor's pages of that size.
    pub fn of(vendor: Vendor, page_size: u64) -> Self {
        Self { page_size, ..Self::new(vendor, Restarts::EveryFew) }
    }

    fn new(vendor: Vendor, restarts: Restarts) -> Self {
        // To sign tokens takes its time.
        let records_per_day = if vendor == Vendor::Voximplant { 160 } else { 300 };
        Self { vendor, mode: None, restarts, page_size: 25, records_per_day }
    }

    /// A week behind, a week to come. One record in fifty is published minutes to hours late, some of them while a walk is
    /// paging; cursors expire, and now and then the vendor refuses, breaks down or breaks off.
    fn world(&self) -> World {
        World {
            seed: 20,
            clock: Clock::standing_at(day_0()),
            pace: Duration::from_secs(90),
            records: 7 * self.records_per_day,
            span: 7 * DAY,
            until: Some(day_0()),
            live_per_second: self.records_per_day as f64 / DAY.as_secs_f64(),
            late: Late::by_event(0.02, Duration::from_secs(180), LATEST),
            throttle: Throttle { every: 41, retry_after: RetryAfter::Seconds(2), ..Throttle::default() },
            flaky: Flaky { every: 29, ..Flaky::default() },
            cursor_lifetime: Some(Duration::from_secs(60)),
            cloudflare: CloudflareQuirks {
                // What a cursor that leads nowhere says is forgotten with it: a life of one request would never know.
                cursor_on_last_page: self.restarts != Restarts::EveryRequest,
                ..CloudflareQuirks::default()
            },
            voximplant: VoximplantQuirks {
                max_range: Some(Duration::from_secs(20 * 3600)),
                report_delay: Duration::from_secs(20),
                ..VoximplantQuirks::default()
            },
            ..World::default()
        }
    }

    /// Lets the week pass, and what was published late come, and compares.
    async fn holds(self) {
        let world = self.world();
        let clock = world.clock.clone();
        let simulator = start(world).await;
        let settings = settings::of(&simulator, &self, clock.clone());
        let mut collector = Collector::new(simulator, self.vendor, settings, self.restarts);
        let end = day_0() + 7 * DAY;
        let mut gaps = Dice::new(7, 0);
        let mut checked_at = day_0();
        while clock.now() < end + LATEST + TimeDelta::hours(2) {
            collector.follow().await;
            if clock.now() - checked_at >= TimeDelta::days(1) {
                checked_at = clock.now();
                collector.expect_what_the_watermark_says().await;
            }
            // Mostly minutes; now and then the machine was off for hours.
            let gap = if gaps.percent(2) { 3600 + gaps.below(5 * 3600) } else { 120 + gaps.below(900) };
            clock.set(clock.now() + TimeDelta::seconds(gap as i64));
        }
        collector.expect_all_before(end).await;
        collector.expect_trouble_was_met(end);
    }
}

macro_rules! week {
    ($($name:ident: $scenario:expr;)*) => {
        $(
            // On a paused clock: what a reader waits before it asks again costs nothing.
            #[tokio::test(start_paused = true)]
            async fn $name() {
                $scenario.holds().await;
            }
        )*
    };
}

week! {
    telnyx_with_a_restart_at_every_request: Scenario::new(Vendor::Telnyx, Restarts::EveryRequest);
    telnyx_with_restarts: Scenario::new(Vendor::Telnyx, Restarts::EveryFew);
    cloudflare_with_a_restart_at_every_request: Scenario::new(Vendor::Cloudflare, Restarts::EveryRequest);
    cloudflare_with_restarts: Scenario::new(Vendor::Cloudflare, Restarts::EveryFew);
    voximplant_pages_with_a_restart_at_every_request:
        Scenario { mode: Some("pages"), ..Scenario::new(Vendor::Voximplant, Restarts::EveryRequest) };
    voximplant_pages_with_restarts:
        Scenario { mode: Some("pages"), ..Scenario::new(Vendor::Voximplant, Restarts::EveryFew) };
    voximplant_reports_with_a_restart_at_every_request:
        Scenario { mode: Some("report"), ..Scenario::new(Vendor::Voximplant, Restarts::EveryRequest) };
    voximplant_reports_with_restarts:
        Scenario { mode: Some("report"), ..Scenario::new(Vendor::Voximplant, Restarts::EveryFew) };
    // A window that comes newest first is read whole, and a life is a single request: each window is a page.
    ashby_with_a_restart_at_every_request:
        Scenario { page_size: 100, ..Scenario::new(Vendor::Ashby, Restarts::EveryRequest) };
    ashby_with_restarts: Scenario::new(Vendor::Ashby, Restarts::EveryFew);
    nirvana_with_a_restart_at_every_request:
        Scenario { page_size: 100, ..Scenario::new(Vendor::Nirvana, Restarts::EveryRequest) };
    nirvana_with_restarts: Scenario { page_size: 50, ..Scenario::new(Vendor::Nirvana, Restarts::EveryFew) };
}
