//! What changes, for whoever looks on: each is told what it was not told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::UsageMeter;
use super::parts::Parts;
use super::presenter::Presenter;
use crate::access::CanRead;
use crate::api::{ServerNews, UsageView};
use crate::directory::{Directory, Entry};
use crate::model::ServerId;

/// What somebody has been told of the servers.
#[derive(Default)]
pub struct Told(Option<BTreeMap<ServerId, Entry>>);

/// Tells what changes.
pub struct Live {
    directory: Arc<Directory>,
    usage: Arc<UsageMeter>,
    presenter: Presenter,
}

impl Live {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            usage: Arc::clone(&parts.usage),
            presenter: Presenter::of(parts),
        }
    }

    /// Changes with every change of any server.
    pub fn server_changes(&self, _: &CanRead) -> watch::Receiver<u64> {
        self.directory.subscribe()
    }

    /// What containers use, as it is measured. Asking keeps the meter running
    /// for a while.
    pub fn usage_changes(&self, _: &CanRead) -> watch::Receiver<Arc<UsageView>> {
        self.usage.subscribe()
    }

    /// What is new since the last time, if anything is.
    pub fn news(&self, permit: &CanRead, told: &mut Told) -> Option<ServerNews> {
        let now = self.directory.list();
        let before = told.0.take();
        let present: BTreeSet<_> = now.iter().map(|entry| entry.server.id).collect();
        let news = ServerNews {
            servers: now
                .iter()
                .filter(|entry| before.as_ref().is_none_or(|told| is_news(told, entry)))
                .map(|entry| self.presenter.view(entry, permit.caller()))
                .collect(),
            removed: before.as_ref().map(|told| {
                let gone = told.keys().filter(|id| !present.contains(id));
                gone.copied().collect()
            }),
        };
        told.0 = Some(
            now.into_iter()
                .map(|entry| (entry.server.id, entry))
                .collect(),
        );
        let is_empty = news.servers.is_empty() && news.removed.as_ref().is_some_and(Vec::is_empty);
        (!is_empty).then_some(news)
    }
}

/// Whether a server is not as it was told. Entries are replaced, never
/// changed, so that the same pointer is the same content.
fn is_news(told: &BTreeMap<ServerId, Entry>, entry: &Entry) -> bool {
    told.get(&entry.server.id).is_none_or(|old| {
        !Arc::ptr_eq(&old.server, &entry.server) || !Arc::ptr_eq(&old.state, &entry.state)
    })
}
