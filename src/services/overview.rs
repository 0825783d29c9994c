//! The platform at a glance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::notices::Notices;
use super::parts::Parts;
use super::views::is_restart_needed;
use super::{DiskWatch, UsageMeter};
use crate::access::CanRead;
use crate::api::{Attention, OverviewView, RecentEvent, ServerRef};
use crate::bounds::Bounds;
use crate::directory::{Directory, Entry};
use crate::model::{Maxima, Reason, Result, Status};
use crate::store::Store;

/// Events shown.
const EVENTS_MAX: usize = 20;
/// Servers shown that need attention.
const ATTENTION_MAX: usize = 20;

impl ServerRef {
    fn of(entry: &Entry) -> Self {
        Self {
            id: entry.server.id,
            name: entry.server.name.to_string(),
        }
    }
}

/// Looks at the whole platform.
pub struct Overview {
    directory: Arc<Directory>,
    store: Store,
    notices: Notices,
    disk: Arc<DiskWatch>,
    usage: Arc<UsageMeter>,
    bounds: Arc<Bounds>,
}

impl Overview {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            notices: Notices::of(parts),
            disk: Arc::clone(&parts.disk),
            usage: Arc::clone(&parts.usage),
            bounds: Arc::clone(&parts.bounds),
        }
    }

    /// The platform at a glance.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn view(&self, _: &CanRead) -> Result<OverviewView> {
        let entries = self.directory.list();
        let recent = self.store.recent_events(EVENTS_MAX).await?;
        let recent_events = recent
            .into_iter()
            .filter_map(|(id, event)| {
                // A server deleted in between has no name any more.
                let server = ServerRef::of(&self.directory.get(id)?);
                Some(RecentEvent {
                    server,
                    event: event.into(),
                })
            })
            .collect();
        Ok(OverviewView {
            total: entries.len(),
            by_status: count(&entries),
            notices: self.notices.all(),
            disk: self.disk.view(),
            usage: self.usage.latest().total,
            history: self.usage.history(),
            attention: attention(&entries, self.bounds.maxima()),
            recent_events,
        })
    }
}

fn count(entries: &[Entry]) -> BTreeMap<Cow<'static, str>, usize> {
    let mut by_status: BTreeMap<Cow<'static, str>, usize> = Status::ALL
        .iter()
        .map(|status| (status.as_str().into(), 0))
        .collect();
    for entry in entries {
        *by_status
            .entry(entry.state.status.as_str().into())
            .or_default() += 1;
    }
    by_status
}

/// What has failed for good first, then what is being tried again or answers
/// nobody, then what waits for a decision; within each, the latest first.
fn attention(entries: &[Entry], maxima: Maxima) -> Vec<Attention> {
    let urgent = entries.iter().filter_map(|entry| urgency(entry, maxima));
    let mut found: Vec<(u8, Attention)> = urgent.collect();
    found.sort_by_key(|(urgency, item)| (*urgency, std::cmp::Reverse(item.since)));
    found
        .into_iter()
        .take(ATTENTION_MAX)
        .map(|(_, item)| item)
        .collect()
}

fn urgency(entry: &Entry, maxima: Maxima) -> Option<(u8, Attention)> {
    let state = &entry.state;
    let item = |code: &'static str, reason: &Reason, since| Attention {
        server: ServerRef::of(entry),
        status: state.status,
        code: code.into(),
        reason: reason.into(),
        since,
    };
    if state.status == Status::Error {
        let (urgency, code) = if state.gave_up {
            (0, "failed")
        } else {
            (1, "failing")
        };
        return Some((urgency, item(code, &state.reason, state.since)));
    }
    if state.status == Status::Unresponsive {
        return Some((1, item("unresponsive", &state.reason, state.since)));
    }
    if is_restart_needed(entry) {
        let since = entry.server.updated_at;
        return Some((2, item("restart_needed", &Reason::RestartNeeded, since)));
    }
    if entry.server.settings.hold {
        let since = entry.server.updated_at;
        return Some((3, item("held", &Reason::Held, since)));
    }
    if maxima.cap(entry.server.settings.limits) != entry.server.settings.limits {
        let since = entry.server.updated_at;
        return Some((4, item("limits_capped", &Reason::LimitsCapped, since)));
    }
    None
}
