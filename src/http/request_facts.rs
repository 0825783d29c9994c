//! What is learnt of a request while it is answered: who asks, of which server,
//! what for. It is for the audit log, and for every line of EMCP's own log that
//! the request causes.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::{Span, field};

use crate::access::Caller;
use crate::model::{ServerId, ServerName};

/// The name of all requests for a path that nothing is at.
pub(super) const UNMATCHED: &str = "unmatched";
/// The name of those for a file of the dashboard.
pub(super) const DASHBOARD: &str = "dashboard";

/// What is known so far of a request.
pub(super) struct RequestFacts {
    /// The request's span: what is logged within it tells whose request it is.
    span: Span,
    route: RouteName,
    inner: Mutex<Inner>,
}

/// The name of a request's route, for who measures how long it took. There is
/// one for each route, and one for all that have none.
#[derive(Clone, Default)]
pub(super) struct RouteName(Arc<OnceLock<&'static str>>);

#[derive(Default)]
struct Inner {
    /// `None` for requests that are not audited, and once the line is taken.
    action: Option<&'static str>,
    caller: Option<Caller>,
    target: Option<Target>,
    /// Whether the span has it: a field recorded twice is written twice.
    has_actor: bool,
    has_server: bool,
}

/// What is done to what, by whom.
pub(super) struct Done {
    pub(super) action: &'static str,
    pub(super) caller: Caller,
    pub(super) target: Option<Target>,
}

/// Name and id.
pub(super) type Target = (String, String);

/// The span of a request, which every line that it causes is logged in. At every
/// level of the log, so that its fields are there whatever is left of the lines.
pub(super) fn request_span(request_id: &str) -> Span {
    tracing::error_span!(
        "request",
        request_id = %request_id,
        route = field::Empty,
        actor = field::Empty,
        server = field::Empty,
    )
}

impl RouteName {
    /// Final once the request is answered.
    pub(super) fn get(&self) -> &'static str {
        self.0.get().copied().unwrap_or(UNMATCHED)
    }
}

impl RequestFacts {
    /// What is known at the beginning: within the request's span.
    pub(super) fn of_this_request(route: RouteName) -> Self {
        Self {
            span: Span::current(),
            route,
            inner: Mutex::default(),
        }
    }

    /// For what the request causes elsewhere.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The one place that names the request's route.
    pub(super) fn route(&self, name: &'static str) {
        if self.route.0.set(name).is_ok() {
            self.span.record("route", name);
        }
    }

    /// What the route does, where that is audited.
    pub(super) fn begin(&self, action: &'static str) {
        self.lock().action = Some(action);
    }

    /// Says, more closely than the route, what is being done.
    pub(super) fn action(&self, action: &'static str) {
        let mut inner = self.lock();
        if inner.action.is_some() {
            inner.action = Some(action);
        }
    }

    /// Who asks; tells whether that was not known yet.
    pub(super) fn caller(&self, caller: &Caller) -> bool {
        self.actor(caller);
        self.lock().caller.replace(caller.clone()).is_none()
    }

    /// Whether the route changes something of EMCP's own. Trying a server out,
    /// and signing in, does not.
    pub(super) fn is_write(&self) -> bool {
        let action = self.lock().action;
        action.is_some_and(|action| {
            !action.starts_with("session.") && !matches!(action, "server.call" | "server.test")
        })
    }

    /// Who asks, for EMCP's own log alone.
    pub(super) fn actor(&self, caller: &Caller) {
        if !std::mem::replace(&mut self.lock().has_actor, true) {
            self.span.record("actor", caller.principal().name.as_str());
        }
    }

    /// The server that the request is about.
    pub(super) fn server(&self, name: &ServerName, id: ServerId) {
        self.about(id);
        self.target(name, id);
    }

    /// The same, for EMCP's own log alone.
    pub(super) fn about(&self, id: ServerId) {
        if !std::mem::replace(&mut self.lock().has_server, true) {
            self.span.record("server", field::display(id));
        }
    }

    /// What it is done to. Never what a caller wrote: it may be a secret that
    /// was put into the wrong place.
    pub(super) fn target(&self, name: impl ToString, id: impl ToString) {
        self.lock().target = Some((name.to_string(), id.to_string()));
    }

    /// What the audit log is to tell, once. None where nobody was recognised:
    /// wrong tokens are counted by address, and a request without one says
    /// nothing.
    pub(super) fn take(&self) -> Option<Done> {
        let mut inner = self.lock();
        let caller = inner.caller.clone()?;
        Some(Done {
            action: inner.action.take()?,
            caller,
            target: inner.target.clone(),
        })
    }

    /// The same for something else that the request did.
    pub(super) fn also(&self, action: &'static str, target: Target) -> Option<Done> {
        Some(Done {
            action,
            caller: self.lock().caller.clone()?,
            target: Some(target),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
