//! What the gate's routes do, and nobody else. The gate looks at a server before it
//! knows who asks, since it decides on that; so it alone is given this, and the
//! other handlers have no way to it: it is no part of [`App`](super::App).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::authentication::Authentication;
use super::parts::Parts;
use super::sse_ticket::Tickets;
use super::waiting::{Look, Patience, Purpose, Waited, Waiting};
use crate::directory::{Directory, Entry};
use crate::metrics::{GateOutcome, Metrics};
use crate::model::ServerId;
use crate::reconcile::Waker;

/// What the gate looks at and does.
pub struct Gate {
    directory: Arc<Directory>,
    waiting: Arc<Waiting>,
    waker: Arc<Waker>,
    authentication: Arc<Authentication>,
    tickets: Tickets,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
}

impl Gate {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            waiting: Arc::clone(&parts.waiting),
            waker: Arc::clone(&parts.waker),
            authentication: Arc::clone(&parts.authentication),
            tickets: Tickets::of(parts),
            metrics: Arc::clone(&parts.metrics),
            cancel: parts.endings.cancel.clone(),
        }
    }

    /// The server of this name, or of this id.
    pub fn server_called(&self, name: &str) -> Option<Entry> {
        self.directory.find(name)
    }

    /// Looks at a server until the request for it can be decided on, at most
    /// until the deadline.
    pub async fn hold<T, W>(
        &self,
        server: Option<ServerId>,
        deadline: Instant,
        look: impl FnMut(Option<&Entry>) -> Look<T, W>,
    ) -> Waited<T, W> {
        let patience = Patience {
            deadline,
            ending: &self.cancel,
            place_as: Some(Purpose::HeldRequest),
        };
        self.waiting.until(server, patience, look).await
    }

    /// Notes that somebody wants the server, and wakes it if it sleeps.
    pub fn want_awake(&self, entry: &Entry) {
        self.waker.want_awake(entry);
    }

    /// Whether this is a token that is good here, whoever presents it.
    pub fn is_token(&self, text: &str, from: IpAddr) -> bool {
        self.authentication.is_token(text, from)
    }

    /// Tickets in place of tokens.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Counts one decision: `allow` or the refusal's code.
    pub fn decided(&self, verdict: &'static str) {
        self.metrics.gate_decided(verdict);
    }

    /// Records how long a request was here until it was let through or not.
    pub fn took(&self, outcome: GateOutcome, held: bool, took: Duration) {
        self.metrics.gate_took(outcome, held, took);
    }
}
