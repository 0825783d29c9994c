//! What callers see.

use url::Url;

use crate::access::Caller;
use crate::api::{ReasonView, ServerView, Urls};
use crate::directory::Entry;
use crate::model::{Maxima, ServerNetworks, Serves, SleepAfter, Status};
use crate::runtime::Endpoint;

/// A server's addresses under the servers' base URL.
pub fn urls_of(base: &Url, entry: &Entry) -> Urls {
    let base = base.as_str().trim_end_matches('/');
    let base = format!("{base}{}", entry.server.path_prefix());
    let usual = Serves::default();
    let serves = entry.state.serves.as_ref().unwrap_or(&usual);
    let url = |path: &String| format!("{base}{path}");
    let further = serves.mcp.iter().skip(1).chain(serves.sse.iter().skip(1));
    Urls {
        sse: serves.sse.first().map(url),
        mcp: serves.mcp.first().map(url),
        more: further.map(url).collect(),
        base: (!serves.has_mcp()).then(|| format!("{base}/")),
    }
}

impl ServerView {
    /// The view of a directory entry, for one caller.
    pub fn of(
        entry: &Entry,
        viewer: &Caller,
        base_url: &Url,
        networks: &ServerNetworks,
        sleep: Option<SleepAfter>,
        maxima: Maxima,
    ) -> Self {
        let (server, state) = (&entry.server, &entry.state);
        let settings = &server.settings;
        Self {
            id: server.id,
            name: server.name.to_string(),
            settings: settings.clone(),
            limits_given: Some(maxima.cap(settings.limits))
                .filter(|given| *given != settings.limits),
            creator: server.creator.name.clone(),
            members: server.members.iter().map(|one| one.name.clone()).collect(),
            desired: server.desired,
            sleeps_after: settings.sleep.effective(sleep),
            rest: state.sleep_depth(),
            settled: state.is_settled(server.generation, server.desired),
            status: state.status,
            reason: ReasonView::from(&state.reason),
            since: state.since,
            // Also where it is only to be, once its egress has changed.
            address: Endpoint::of(entry.place().address, settings.egress, networks).shown(),
            container_id: state.container_id.as_ref().map(ToString::to_string),
            exit_code: state.exit_code,
            last_error: state.last_error.clone(),
            restarts: state.restarts,
            started_at: state.started_at,
            retry_at: state.retry_at,
            version: server.version,
            restart_needed: is_restart_needed(entry),
            created_at: server.created_at,
            updated_at: server.updated_at,
            urls: urls_of(base_url, entry),
            etags: server.etags(),
            permissions: viewer.permissions_on(server),
        }
    }
}

/// Whether a server runs with an older configuration than it has now, and goes
/// on doing so: not one that is being replaced already.
pub(super) fn is_restart_needed(entry: &Entry) -> bool {
    let has_container = matches!(
        entry.state.status,
        Status::Starting | Status::Running | Status::Unresponsive | Status::Sleeping
    );
    has_container
        && entry.state.generation == entry.server.generation
        && entry
            .state
            .applied_revision
            .is_some_and(|applied| applied != entry.server.revision)
}
