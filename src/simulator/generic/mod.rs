//! A vendor made of a connector's definition: it takes what the connector asks, and answers as the definition says that
//! the vendor does. What the conformance suite reads from.
//!
//! Where a definition is wrong about its vendor, this vendor is wrong with it. What it shows is whether the definition
//! is whole, and whether a source that goes by it reads everything.

mod answer;
mod asked;
mod authentic;
mod jobs;
mod made_up;
mod paging;
mod pattern;
mod recognize;
mod records;
mod serve;
mod trouble;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::made_up::{made_up, made_up_for};
use self::paging::Paging;
use self::recognize::Recognized;
use self::records::Shape;
pub use self::records::{Entry, MARK, id_of, tick};
pub use self::trouble::{Announced, Cursors, Fault, Trouble};
use crate::connector::Connector;
use crate::connector::model::{Auth, Errors, Read};
use crate::event::Clock;
use crate::source::Setting;

/// What of the language this vendor does not speak yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCovered(pub String);

/// Where each of a vendor's things has a log of its own: so many there are.
pub const PARENTS: u64 = 2;

/// What is asked of it, in which way, and who may.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The connector that it is made of.
    pub connector: Arc<Connector>,
    /// By which `[read.NAME]` it is read.
    pub read: String,
    /// How one has to authenticate.
    pub way: Auth,
    /// The parameters that both sides know.
    pub parameters: BTreeMap<String, Setting>,
    /// What time it is there.
    pub clock: Clock,
}

impl Terms {
    /// The way to read.
    #[must_use]
    pub fn way_to_read(&self) -> &Read {
        self.connector.definition.read.get(self.read.as_str()).expect("the suite asks for what there is")
    }
}

/// The vendor, listening on the loopback interface. Dropping it stops it.
pub struct StandIn {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
}

struct Shared {
    terms: Terms,
    recognized: Vec<Recognized>,
    shape: Shape,
    paging: Paging,
    paging_of_parents: Paging,
    // Held for a few lines, never over an await.
    changing: Mutex<Changing>,
}

/// What changes while it is asked.
#[derive(Default)]
struct Changing {
    entries: Vec<Entry>,
    trouble: trouble::Troubles,
    walks: paging::Walks,
    jobs: jobs::Jobs,
    /// What no client may do, told to whoever tests one.
    complaints: Vec<String>,
    requests: u64,
}

impl Shared {
    fn new(terms: Terms, trouble: Trouble, cursors: Cursors) -> Result<Self, NotCovered> {
        let changing = Changing {
            trouble: trouble::Troubles::new(trouble),
            walks: paging::Walks::new(cursors),
            ..Changing::default()
        };
        Ok(Self {
            recognized: recognize::recognized(&terms)?,
            shape: Shape::of(&terms.connector.definition, terms.way_to_read()),
            paging: Paging::of(terms.way_to_read()),
            paging_of_parents: Paging::of_parents(terms.way_to_read()),
            changing: Mutex::new(changing),
            terms,
        })
    }

    fn state(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().expect("no panic while the lock is held")
    }
}

impl StandIn {
    /// Serves on a free port. `NotCovered` when the connector says something that this vendor does not speak.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(terms: Terms, trouble: Trouble, cursors: Cursors) -> io::Result<Result<Self, NotCovered>> {
        let shared = match Shared::new(terms, trouble, cursors) {
            Ok(shared) => Arc::new(shared),
            Err(not_covered) => return Ok(Err(not_covered)),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let app = Router::new().fallback(serve::handle).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "a stand-in stopped serving");
            }
        });
        Ok(Ok(Self { shared, address, stop }))
    }

    /// What a source's `base_url` must be: the connector's, on this host.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, recognize::base_path(&self.shared.terms))
    }

    /// Adds to the log.
    pub fn publish(&self, entries: impl IntoIterator<Item = Entry>) {
        self.shared.state().entries.extend(entries);
    }

    /// Everything in the log.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.state().entries.clone()
    }

    /// How often it was asked.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// What its clients did that no client may.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.shared.state().complaints.clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether a connector has a rule for a cursor that is refused.
#[must_use]
pub fn has_reset_rule(errors: &Errors) -> bool {
    answer::reset_rule(errors).is_some()
}
