//! Writes in batches what need not be in the database at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::AuditLog;
use super::parts::Parts;
use super::token_changes::TokenChanges;
use super::versions::Pruner;

/// How long a line of the audit log may wait.
const AUDIT_EVERY: Duration = Duration::from_secs(1);
/// How long the last use of a token may wait.
const USES_EVERY: Duration = Duration::from_secs(60);

/// How long a version may stay after its time.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Whose writing it does.
struct Writers {
    audit: Arc<AuditLog>,
    tokens: Arc<TokenChanges>,
    pruner: Arc<Pruner>,
}

/// Begins it, as a task of EMCP's.
pub(super) fn begin(parts: &Parts) {
    let writers = Writers {
        audit: Arc::clone(&parts.audit),
        tokens: Arc::clone(&parts.token_changes),
        pruner: Arc::clone(&parts.pruner),
    };
    let cancel = parts.endings.cancel.clone();
    parts.endings.tasks.spawn(run(writers, cancel));
}

/// Runs until cancelled, and writes everything once more then.
async fn run(writers: Writers, cancel: CancellationToken) {
    let mut ticks = interval(AUDIT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut uses_due = Instant::now() + USES_EVERY;
    let mut prune_due = Instant::now();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = ticks.tick() => {}
        }
        writers.audit.flush().await;
        if Instant::now() >= uses_due {
            writers.tokens.save_uses().await;
            uses_due = Instant::now() + USES_EVERY;
        }
        if Instant::now() >= prune_due {
            writers.pruner.prune_all_versions().await;
            prune_due = Instant::now() + PRUNE_EVERY;
        }
    }
    writers.audit.flush().await;
    writers.tokens.save_uses().await;
}
