//! What changes, for whoever looks on: each is told what it was not told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::App;
use crate::access::CanRead;
use crate::api::{ServerNews, UsageView};
use crate::directory::Entry;
use crate::model::{Error, Result, ServerId, ServerName};

/// What somebody has been told of the servers.
#[derive(Default)]
pub struct Told(Option<BTreeMap<ServerId, Entry>>);

impl App {
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
                .map(|entry| self.view(entry, permit.caller()))
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

    /// Why a new server may not have this name, if so.
    pub fn problem_with_name(&self, _: &CanRead, name: &str) -> Option<Error> {
        let parsed: Result<ServerName> = name.parse();
        match parsed {
            Ok(wanted) => wanted.check_new().err().or_else(|| {
                let taken = self.directory.find(wanted.as_str());
                taken.map(|_| Error::name_taken(&wanted))
            }),
            Err(problem) => Some(problem),
        }
    }
}

/// Whether a server is not as it was told. Entries are replaced, never
/// changed, so that the same pointer is the same content.
fn is_news(told: &BTreeMap<ServerId, Entry>, entry: &Entry) -> bool {
    told.get(&entry.server.id).is_none_or(|old| {
        !Arc::ptr_eq(&old.server, &entry.server) || !Arc::ptr_eq(&old.state, &entry.state)
    })
}
