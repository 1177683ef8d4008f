//! The control socket: how other commands ask and tell the process that has the journal.
//!
//! HTTP over a Unix socket in the state folder, which is the owner's only.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as Named, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::status::{About, PipelineStatus, standing};
use crate::engine::{Backfill, Handle};
use crate::journal::Journal;

/// The socket's name in the state folder.
const SOCKET: &str = "control.sock";
/// Longer than an answer takes, whatever the journal does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a run shows.
pub struct Desk {
    /// The pipelines, with what can be asked of each.
    pub pipelines: Vec<(About, Handle)>,
    /// The journal they write.
    pub journal: Arc<dyn Journal>,
}

/// A span to be read, as it travels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Span {
    /// The first instant of it.
    pub since: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
    /// From its beginning, although it was read before.
    pub again: bool,
}

/// Serves the socket in that folder until `stop`. The lock of the journal is held by then, so a socket that is there
/// already is one that a killed process left.
///
/// # Errors
/// When the socket cannot be made: a path that is too long, a file system without sockets.
pub fn serve(state_dir: &Path, desk: Desk, stop: CancellationToken) -> std::io::Result<()> {
    let path = state_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The folder may be older than we are, and open to others.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let pipelines = desk.pipelines.into_iter().map(|entry| (entry.0.name.clone(), entry)).collect();
    let shared = Arc::new(Shared { pipelines, journal: desk.journal });
    let app = Router::new()
        .route("/api/pipelines", get(all))
        .route("/api/pipelines/{name}/backfills", post(backfill))
        .with_state(shared);
    tokio::spawn(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::warn!(%error, "the control socket stopped");
        }
        let _ = std::fs::remove_file(path);
    });
    Ok(())
}

struct Shared {
    pipelines: BTreeMap<String, (About, Handle)>,
    journal: Arc<dyn Journal>,
}

async fn all(State(shared): State<Arc<Shared>>) -> Response {
    let mut found = Vec::new();
    for (about, handle) in shared.pipelines.values() {
        match standing(about, &*shared.journal, Some(handle), Utc::now()).await {
            Ok(status) => found.push(status),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, crate::chain(&error)).into_response(),
        }
    }
    Json(found).into_response()
}

async fn backfill(State(shared): State<Arc<Shared>>, Named(name): Named<String>, Json(span): Json<Span>) -> Response {
    let Some((_, handle)) = shared.pipelines.get(&name) else {
        return (StatusCode::NOT_FOUND, format!("the running auditline has no pipeline `{name}`")).into_response();
    };
    let backfill = Backfill { since: span.since, until: span.until };
    // Before it is answered: who asked looks at the walk, and must not take the earlier one's end for this one's.
    if span.again
        && let Err(error) = shared.journal.end_walk(&handle.name, &backfill.walk()).await
    {
        return (StatusCode::INTERNAL_SERVER_ERROR, crate::chain(&error)).into_response();
    }
    if handle.backfill(backfill) {
        return StatusCode::ACCEPTED.into_response();
    }
    (StatusCode::CONFLICT, format!("the pipeline `{name}` has ended")).into_response()
}

/// Why a running process could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none, or it does not listen.
    #[error("no auditline answers at `{}`", path.display())]
    Nobody {
        /// Where it would.
        path: PathBuf,
    },
    /// It refused, and says why.
    #[error("{0}")]
    Refused(String),
}

/// A way to ask the process that runs with a state folder.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    http: reqwest::Client,
}

impl Client {
    /// Asks in that state folder. Whether somebody is there shows with the first question.
    ///
    /// # Errors
    /// When no client can be set up.
    pub fn new(state_dir: &Path) -> Result<Self, AskError> {
        let path = state_dir.join(SOCKET);
        let http = reqwest::Client::builder().unix_socket(path.as_path()).no_proxy().timeout(PATIENCE).build();
        http.map(|http| Self { path: path.clone(), http }).map_err(|_| AskError::Nobody { path })
    }

    /// Where every pipeline stands.
    ///
    /// # Errors
    /// [`Nobody`](AskError::Nobody) when there is no process.
    pub async fn pipelines(&self) -> Result<Vec<PipelineStatus>, AskError> {
        let text = self.text(self.http.get("http://auditline/api/pipelines")).await?;
        serde_json::from_str(&text).map_err(|error| AskError::Refused(format!("the answer cannot be read: {error}")))
    }

    /// Asks for a backfill.
    ///
    /// # Errors
    /// When there is no process, or it has no such pipeline.
    pub async fn backfill(&self, pipeline: &str, span: Span) -> Result<(), AskError> {
        let mut url = reqwest::Url::parse("http://auditline/api/pipelines").expect("a constant that is a URL");
        url.path_segments_mut().expect("it has a path").extend([pipeline, "backfills"]);
        let body = serde_json::to_vec(&span).expect("two instants are JSON");
        self.text(self.http.post(url).header("content-type", "application/json").body(body)).await.map(drop)
    }

    async fn text(&self, request: reqwest::RequestBuilder) -> Result<String, AskError> {
        let nobody = |_| AskError::Nobody { path: self.path.clone() };
        let response = request.send().await.map_err(nobody)?;
        let accepted = response.status().is_success();
        let text = response.text().await.map_err(nobody)?;
        if accepted { Ok(text) } else { Err(AskError::Refused(text)) }
    }
}
