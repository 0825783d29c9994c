//! Takes over a renewed certificate: whoever renews the operator's files (ACME
//! clients, company scripts) need not restart anything. What is not a whole,
//! valid pair is not taken: the one before it stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use url::Host;

use super::parts::Parts;
use super::{NoticeBoard, Subject};
use crate::identity::{ServedCertificate, from_files, keep};
use crate::metrics::Metrics;
use crate::settings::TlsSource;
use crate::traefik::Routes;

/// Certificate and key are written one after the other: wait until both are.
const SETTLE: Duration = Duration::from_millis(500);
/// A look without being told: time alone makes a certificate valid or invalid,
/// and not every file system tells of changes.
const RECHECK: Duration = Duration::from_secs(60);

/// Takes what is found to whom it concerns.
struct CertificateWatch {
    /// The names that the certificate must be for.
    hosts: Vec<Host<String>>,
    /// Where what is served is kept for the next start.
    kept: PathBuf,
    routes: Arc<Routes>,
    notice_board: Arc<NoticeBoard>,
    metrics: Arc<Metrics>,
}

/// Watches the certificate's files, if the operator gave any. `served` is what
/// is served now.
pub(super) fn watch(parts: &Parts, served: Option<ServedCertificate>) {
    let TlsSource::Files { cert, key } = parts.settings.tls.clone() else {
        return;
    };
    let (sender, changes) = mpsc::channel(1);
    let watcher = watch_directories(&[&cert, &key], sender.clone())
        .inspect_err(|error| {
            tracing::warn!(%error, "the certificate's files are looked at once a minute only");
        })
        .ok();
    let watch = CertificateWatch {
        hosts: parts.settings.public_hosts(),
        kept: parts.layout.served_certificate(),
        routes: Arc::clone(&parts.routes),
        notice_board: Arc::clone(&parts.notice_board),
        metrics: Arc::clone(&parts.metrics),
    };
    let task = take_over(watch, (watcher, sender), changes, cert, key, served);
    parts.endings.spawn(task);
}

/// Directories rather than files: a renewal usually replaces the file, or a
/// link to it.
fn watch_directories(
    files: &[&Path],
    sender: mpsc::Sender<()>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too, and not one of interest. A full
        // channel means that a look is due already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.try_send(());
        }
    })?;
    for path in files {
        let dir = path.parent().unwrap_or(Path::new("/"));
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

async fn take_over(
    watch: CertificateWatch,
    // They watch, and keep the channel open, as long as they live.
    _watching: (Option<RecommendedWatcher>, mpsc::Sender<()>),
    mut changes: mpsc::Receiver<()>,
    cert: PathBuf,
    key: PathBuf,
    mut served: Option<ServedCertificate>,
) {
    let mut ticks = interval(RECHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = changes.recv() => tokio::time::sleep(SETTLE).await,
        }
        let pair = match from_files(&cert, &key, &watch.hosts, Timestamp::now()) {
            Ok(pair) => pair,
            Err(problem) => {
                watch.notice_board.put(Subject::Certificate, Some(problem));
                continue;
            }
        };
        watch.notice_board.put(Subject::Certificate, None);
        if served.as_ref() == Some(&pair) {
            continue;
        }
        watch.routes.use_certificate(pair.clone());
        watch.metrics.certificate_ends(pair.ends_at());
        tracing::info!(file = %cert.display(), "the certificate was read again");
        if let Err(error) = keep(&watch.kept, &pair) {
            tracing::warn!(%error, "the certificate is served, and not kept for the next start");
        }
        served = Some(pair);
    }
}
