//! What a request leaves in the audit log. The route says what it does
//! (`router`), the request's context learns who asks and of what, and the
//! answer says what came of it: no handler can forget to write a line. What the
//! context learns is also in every line of EMCP's own log that the request
//! causes.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::{Span, field};
use warp::reply::Response;

use super::context::Ctx;
use super::reply::{Answer, Work, call};
use crate::access::Caller;
use crate::model::{AuditEntry, AuditResult, Error, ServerId, ServerName};

/// What is known so far of a request.
pub(super) struct Note {
    /// The request's span: what is logged within it tells whose request it is.
    span: Span,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// `None` for requests that are not audited, and once the line is taken.
    action: Option<&'static str>,
    caller: Option<Caller>,
    target: Option<(String, String)>,
    /// Whether the span has it: a field recorded twice is written twice.
    has_actor: bool,
    has_server: bool,
}

/// The span of a request, which every line that it causes is logged in. At every
/// level of the log, so that its fields are there whatever is left of the lines.
pub(super) fn request_span(request_id: &str) -> Span {
    tracing::error_span!(
        "request",
        request_id = %request_id,
        actor = field::Empty,
        server = field::Empty,
    )
}

impl Note {
    /// What is known at the beginning: within the request's span.
    pub(super) fn of_this_request() -> Self {
        Self {
            span: Span::current(),
            inner: Mutex::default(),
        }
    }

    /// For what the request causes elsewhere.
    pub(super) fn span(&self) -> &Span {
        &self.span
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
            self.span.record("actor", caller.name.as_str());
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line, once. None where nobody was recognised: wrong tokens are
    /// counted by address, and a request without one says nothing.
    fn take(&self, ctx: &Ctx, outcome: Result<(), &Error>) -> Option<AuditEntry> {
        let (action, target) = {
            let mut inner = self.lock();
            inner.caller.as_ref()?;
            (inner.action.take()?, inner.target.clone())
        };
        self.line(ctx, action, target, outcome)
    }

    fn line(
        &self,
        ctx: &Ctx,
        action: &'static str,
        target: Option<(String, String)>,
        outcome: Result<(), &Error>,
    ) -> Option<AuditEntry> {
        let caller = self.lock().caller.clone()?;
        let (target, target_id) = target.unzip();
        let result = match outcome {
            Ok(()) => AuditResult::Ok,
            Err(Error::Internal(_) | Error::Unavailable { .. } | Error::Upstream { .. }) => {
                AuditResult::Failed
            }
            Err(_) => AuditResult::Refused,
        };
        Some(AuditEntry {
            actor: Some(caller.name),
            token_id: caller.token,
            target,
            target_id,
            code: outcome.err().map(|error| error.code().to_owned()),
            from: Some(ctx.client()),
            made_by: caller.bound_to,
            ..AuditEntry::new(Timestamp::now(), action, result)
        })
    }
}

/// As [`call`], for a handler that does what the audit log must tell.
pub(super) fn audited<F>(
    ctx: Ctx,
    action: &'static str,
    handler: impl FnOnce(Ctx) -> F,
) -> impl Future<Output = Response> + Send
where
    F: Future<Output = Answer> + Send + 'static,
{
    ctx.note.lock().action = Some(action);
    call(ctx, |ctx| told(ctx.clone(), handler(ctx).boxed()))
}

async fn told(ctx: Ctx, work: Work) -> Answer {
    let answer = work.await;
    write(&ctx, answer.as_ref().map(|_| ())).await;
    answer
}

/// Writes the line of what is done already, for a handler that goes on to wait
/// for what comes of it.
pub(super) async fn done(ctx: &Ctx) {
    write(ctx, Ok(())).await;
}

/// Writes the line of something else that came of it.
pub(super) async fn also_done(ctx: &Ctx, action: &'static str, target: &str, id: impl ToString) {
    let target = Some((target.to_owned(), id.to_string()));
    if let Some(entry) = ctx.note.line(ctx, action, target, Ok(())) {
        ctx.app.write_audit(entry).await;
    }
}

async fn write(ctx: &Ctx, outcome: Result<(), &Error>) {
    let Some(entry) = ctx.note.take(ctx, outcome) else {
        return;
    };
    ctx.app.write_audit(entry).await;
}
