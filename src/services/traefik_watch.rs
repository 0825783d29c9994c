//! Does Traefik still fetch its routes? Nobody reaches the dashboard while it
//! does not, so it is the log that tells, besides `/readyz`.

use std::sync::Arc;
use std::time::Duration;

use super::parts::Parts;
use crate::traefik::Provider;

/// Between two looks. What is looked for is a silence of 10 s.
const LOOK: Duration = Duration::from_secs(2);

/// Looks from the first time that Traefik was there: before, a start tells.
pub(super) fn watch(parts: &Parts) {
    let provider = Arc::clone(&parts.provider);
    let task = look(provider, parts.settings.instance.clone());
    parts.endings.spawn(task);
}

async fn look(provider: Arc<Provider>, instance: String) {
    let mut is_told = true;
    loop {
        tokio::time::sleep(LOOK).await;
        match (provider.is_in_service(), is_told) {
            (true, true) => {
                tracing::info!("Traefik fetches its routes");
                is_told = false;
            }
            (false, false) => {
                tracing::warn!(
                    "Traefik has stopped fetching its routes, so nobody reaches a server or the dashboard; if its container was stopped or killed by hand, Docker does not restart it: docker start {instance}-traefik, or make up"
                );
                is_told = true;
            }
            _ => {}
        }
    }
}
