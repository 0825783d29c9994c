//! Takes over a renewed certificate: whoever renews the operator's files (ACME
//! clients, company scripts) need not restart anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::App;
use crate::identity::from_files;
use crate::settings::TlsSource;

/// Certificate and key are written one after the other: wait until both are.
const SETTLE: Duration = Duration::from_millis(500);

/// Watches the certificate's files, if the operator gave any.
///
/// # Errors
/// If their directories cannot be watched.
pub(super) fn watch(app: &Arc<App>) -> anyhow::Result<()> {
    let TlsSource::Files { cert, key } = app.settings.tls.clone() else {
        return Ok(());
    };
    let (sender, changes) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too, and not one of interest. A full
        // channel means that a look is due already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.try_send(());
        }
    })?;
    // Directories rather than files: a renewal usually replaces the file, or a
    // link to it.
    for path in [&cert, &key] {
        let dir = path.parent().unwrap_or(Path::new("/"));
        watcher
            .watch(dir, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}", dir.display()))?;
    }
    let task = take_over(Arc::clone(app), watcher, changes, cert, key);
    app.tasks
        .spawn(app.cancel.clone().run_until_cancelled_owned(task));
    Ok(())
}

async fn take_over(
    app: Arc<App>,
    watcher: RecommendedWatcher,
    mut changes: mpsc::Receiver<()>,
    cert: PathBuf,
    key: PathBuf,
) {
    // It watches as long as it lives.
    let _watcher = watcher;
    while changes.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        match from_files(&cert, &key, app.settings.servers_url.as_ref()) {
            Ok(certificate) => {
                app.routes.use_certificate(certificate);
                tracing::info!(file = %cert.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the renewed certificate cannot be used; the present one stays");
            }
        }
    }
}
