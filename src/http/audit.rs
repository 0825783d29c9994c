//! What a request leaves in the audit log. The route says what it does
//! (`router`), what is known of the request grows by who asks and of what, and the answer
//! says what came of it: no handler can forget to write a line (`dispatch`).

use jiff::Timestamp;

use super::context::Ctx;
use super::request_facts::Done;
use crate::model::{AuditEntry, AuditResult, Error};

/// Writes the line of what is done already, for a handler that goes on to wait
/// for what comes of it.
pub(super) async fn done(ctx: &Ctx) {
    write(ctx, Ok(())).await;
}

/// Writes the line of something else that came of it.
pub(super) async fn also_done(ctx: &Ctx, action: &'static str, target: &str, id: impl ToString) {
    let target = (target.to_owned(), id.to_string());
    if let Some(done) = ctx.facts.also(action, target) {
        ctx.app.audit.write(line(ctx, done, Ok(()))).await;
    }
}

/// Writes the request's line, unless that is done already.
pub(super) async fn write(ctx: &Ctx, outcome: Result<(), &Error>) {
    if let Some(done) = ctx.facts.take() {
        ctx.app.audit.write(line(ctx, done, outcome)).await;
    }
}

fn line(ctx: &Ctx, done: Done, outcome: Result<(), &Error>) -> AuditEntry {
    let Done {
        action,
        caller,
        target,
    } = done;
    let (target, target_id) = target.unzip();
    let result = match outcome {
        Ok(()) => AuditResult::Ok,
        Err(Error::Internal(_) | Error::Unavailable { .. } | Error::Upstream { .. }) => {
            AuditResult::Failed
        }
        Err(_) => AuditResult::Refused,
    };
    AuditEntry {
        actor: Some(caller.principal().clone()),
        token_id: caller.credential(),
        target,
        target_id,
        code: outcome.err().map(|error| error.code().to_owned()),
        from: Some(ctx.client()),
        made_by: caller.grant().bound_to.clone(),
        ..AuditEntry::new(Timestamp::now(), action, result)
    }
}
