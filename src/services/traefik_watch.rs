//! Does Traefik still fetch its routes? Nobody reaches the dashboard while it
//! does not, so it is the log that tells, besides `/readyz`.

use std::sync::Arc;
use std::time::Duration;

use super::App;

/// Between two looks. What is looked for is a silence of 10 s.
const LOOK: Duration = Duration::from_secs(2);

/// Looks from the first time that Traefik was there: before, a start tells.
pub(super) fn watch(app: &Arc<App>) {
    let task = look(Arc::clone(app));
    app.tasks
        .spawn(app.cancel.clone().run_until_cancelled_owned(task));
}

async fn look(app: Arc<App>) {
    let mut is_told = true;
    loop {
        tokio::time::sleep(LOOK).await;
        match (app.provider.is_in_service(), is_told) {
            (true, true) => {
                tracing::info!("Traefik fetches its routes");
                is_told = false;
            }
            (false, false) => {
                tracing::warn!(
                    "Traefik has stopped fetching its routes, so nobody reaches a server or the dashboard; if its container was stopped or killed by hand, Docker does not restart it: docker start {}-traefik, or make up",
                    app.settings.instance
                );
                is_told = true;
            }
            _ => {}
        }
    }
}
