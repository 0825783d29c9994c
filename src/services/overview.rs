//! The platform at a glance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::usage::TotalUsage;
use super::views::{EventView, ReasonView, is_restart_needed};
use super::{App, Notice};
use crate::access::CanRead;
use crate::directory::Entry;
use crate::disk::Space;
use crate::model::{Maxima, Reason, Result, ServerId, Status};

/// Events shown.
const EVENTS_MAX: usize = 20;
/// Servers shown that need attention.
const ATTENTION_MAX: usize = 20;

/// The platform at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverviewView {
    /// All servers.
    pub total: usize,
    /// How many by status; every status is there.
    #[schema(value_type = std::collections::HashMap<String, usize>)]
    pub by_status: BTreeMap<&'static str, usize>,
    /// What the operator should know of the platform; empty when all is well.
    pub notices: Vec<Notice>,
    /// The room on the data directory's disk, as last looked at.
    pub disk: Option<Space>,
    /// What all containers use, as last measured. Nothing is measured while
    /// nobody looks: the first look finds nothing yet.
    pub usage: Option<TotalUsage>,
    /// The same for the last minutes, oldest first.
    pub history: Vec<TotalUsage>,
    /// What somebody should look after, most urgent first.
    pub attention: Vec<Attention>,
    /// What happened last, newest first.
    pub recent_events: Vec<RecentEvent>,
}

/// A server by its names.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerRef {
    /// Identity for life.
    pub id: ServerId,
    /// Unique name.
    pub name: String,
}

/// A server that somebody should look after.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attention {
    /// Which.
    pub server: ServerRef,
    /// What it is doing.
    pub status: Status,
    /// Why it is here: `failed`, `failing`, `unresponsive`, `restart_needed`,
    /// `held` or `limits_capped`.
    pub code: &'static str,
    /// The same for people, and more of it for programs.
    #[serde(flatten)]
    pub reason: ReasonView,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A line of some server's history.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecentEvent {
    /// Whose.
    pub server: ServerRef,
    /// What.
    #[serde(flatten)]
    pub event: EventView,
}

impl ServerRef {
    fn of(entry: &Entry) -> Self {
        Self {
            id: entry.server.id,
            name: entry.server.name.to_string(),
        }
    }
}

impl App {
    /// The platform at a glance.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn overview(&self, _: &CanRead) -> Result<OverviewView> {
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
            notices: self.notices(),
            disk: self.disk.view(),
            usage: self.usage.latest().total,
            history: self.usage.history(),
            attention: attention(&entries, self.bounds.maxima()),
            recent_events,
        })
    }
}

fn count(entries: &[Entry]) -> BTreeMap<&'static str, usize> {
    let mut by_status: BTreeMap<&'static str, usize> = Status::ALL
        .iter()
        .map(|status| (status.as_str(), 0))
        .collect();
    for entry in entries {
        *by_status.entry(entry.state.status.as_str()).or_default() += 1;
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
    let item = |code, reason: &Reason, since| Attention {
        server: ServerRef::of(entry),
        status: state.status,
        code,
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
