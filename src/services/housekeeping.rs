//! Writes in batches what need not be in the database at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::App;

/// How long a line of the audit log may wait.
const AUDIT_EVERY: Duration = Duration::from_secs(1);
/// How long the last use of a token may wait.
const USES_EVERY: Duration = Duration::from_secs(60);

/// How long a version may stay after its time.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Runs until cancelled, and writes everything once more then.
pub(super) async fn run(app: Arc<App>) {
    let mut ticks = interval(AUDIT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut uses_due = Instant::now() + USES_EVERY;
    let mut prune_due = Instant::now();
    loop {
        tokio::select! {
            () = app.cancel.cancelled() => break,
            _ = ticks.tick() => {}
        }
        app.audit.flush().await;
        if Instant::now() >= uses_due {
            app.save_token_uses().await;
            uses_due = Instant::now() + USES_EVERY;
        }
        if Instant::now() >= prune_due {
            app.prune_all_versions().await;
            prune_due = Instant::now() + PRUNE_EVERY;
        }
    }
    app.audit.flush().await;
    app.save_token_uses().await;
}
