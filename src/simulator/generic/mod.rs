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
mod records;
mod trouble;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::asked::{Asked, Incoming, Recognized, What, Window};
pub use self::made_up::{made_up, made_up_for};
use self::paging::Paging;
pub use self::records::{Entry, MARK, id_of, tick};
pub use self::trouble::{Announced, Cursors, Fault, Trouble};
use super::faults;
use crate::connector::Connector;
use crate::connector::model::{Auth, Read};
use crate::event::Clock;
use crate::source::Setting;

/// What of the language this vendor does not speak yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCovered(pub String);

/// More than any request of a connector takes.
const LARGEST_REQUEST: usize = 1 << 20;

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
    fn way_to_read(&self) -> &Read {
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
    paging: Paging,
    // Held for a few lines, never over an await.
    state: Mutex<Changing>,
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

impl StandIn {
    /// Serves on a free port. `NotCovered` when the connector says something that this vendor does not speak.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(terms: Terms, trouble: Trouble, cursors: Cursors) -> io::Result<Result<Self, NotCovered>> {
        let prepared = asked::recognized(&terms).and_then(|recognized| {
            authentic::is_covered(&terms.way)?;
            Ok((recognized, Paging::of(terms.way_to_read())?))
        });
        let (recognized, paging) = match prepared {
            Ok(prepared) => prepared,
            Err(not_covered) => return Ok(Err(not_covered)),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Changing {
            trouble: trouble::Troubles::new(trouble),
            walks: paging::Walks::new(cursors),
            ..Changing::default()
        };
        let shared = Arc::new(Shared { terms, recognized, paging, state: Mutex::new(state) });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
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
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, asked::base_path(&self.shared.terms.connector))
    }

    /// Adds to the log.
    pub fn publish(&self, entries: impl IntoIterator<Item = Entry>) {
        self.shared.state().entries.extend(entries);
    }

    /// Everything in the log.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.state().entries.clone()
    }

    /// How often it was asked.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// What its clients did that no client may.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.state().complaints.clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, Changing> {
        self.state.lock().expect("no panic while the lock is held")
    }

    fn complain(&self, what: String) {
        let mut state = self.state();
        if !state.complaints.contains(&what) {
            state.complaints.push(what);
        }
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST).await else {
        return answer::refused(&shared.terms, 413, "too large a request");
    };
    let incoming = Incoming::new(&head, &body);
    let mut response = respond(&shared, &incoming, &head.headers).await;
    // Its clock is the one that the source is given, or it would seem to be off.
    let date = shared.terms.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn respond(shared: &Shared, incoming: &Incoming, headers: &HeaderMap) -> Response {
    let terms = &shared.terms;
    if let Some(early) = shared.state().arrive() {
        shared.complain(early);
    }
    if let Err(reason) = authentic::check(terms, headers) {
        shared.complain(format!("a request does not authenticate: {reason}"));
        return answer::refused(terms, 401, &reason);
    }
    let asked = match asked::recognize(&shared.recognized, incoming) {
        Ok(asked) => asked,
        Err(reason) => {
            shared.complain(reason.clone());
            return answer::refused(terms, 404, &reason);
        }
    };
    let fault = shared.state().trouble.strike(&incoming.key());
    match fault {
        Some(Fault::CutBody) => faults::cut(shared.answer(&asked)).await,
        Some(Fault::WebPage) => answer::web_page(200),
        Some(Fault::BadGateway) => answer::web_page(502),
        Some(Fault::ServerError) => answer::refused(terms, 500, "something went wrong"),
        Some(Fault::TooMany(announced)) => {
            let mut response = answer::refused(terms, 429, "too many requests");
            response.headers_mut().extend(announced.headers(terms.clock.now()));
            response
        }
        None => shared.answer(&asked),
    }
}

impl Shared {
    fn answer(&self, asked: &Asked) -> Response {
        let answer = match asked.what {
            What::Page => self.page(asked),
            What::Order => self.order(asked),
            What::Poll => self.poll(asked),
            What::Download => self.download(asked),
        };
        answer.unwrap_or_else(|reason| {
            let refused = answer::refused(&self.terms, 400, &reason);
            self.complain(reason);
            refused
        })
    }

    /// The entries of the window that is asked for, in the vendor's order.
    fn window(&self, asked: &Asked) -> Result<Vec<Entry>, String> {
        let Window { from, until } = asked.window(&self.terms.connector.definition.window.time_format.value)?;
        let mut entries = self.state().entries.clone();
        entries.retain(|entry| {
            from.is_none_or(|from| from <= entry.time) && until.is_none_or(|until| entry.time <= until)
        });
        records::sort(&mut entries, self.terms.way_to_read().order);
        Ok(entries)
    }

    fn page(&self, asked: &Asked) -> Result<Response, String> {
        let entries = self.window(asked)?;
        let slice = {
            let mut state = self.state();
            state.walks.slice(&self.paging, asked, entries.len())?
        };
        match slice {
            paging::Slice::Records { range, extras } => Ok(answer::page(&self.terms, &entries[range], &extras)),
            paging::Slice::Expired => Ok(answer::expired(&self.terms)),
        }
    }
}

impl Changing {
    /// Counts a request, and says when it came earlier than it was told to.
    fn arrive(&mut self) -> Option<String> {
        self.requests += 1;
        self.trouble.arrive()
    }
}

/// Whether a connector has a rule for a cursor that is refused.
#[must_use]
pub fn has_reset_rule(errors: &crate::connector::model::Errors) -> bool {
    answer::reset_rule(errors).is_some()
}
