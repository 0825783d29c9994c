//! Shows servers to callers, as the platform's settings have it.

use std::sync::Arc;

use url::Url;

use super::parts::Parts;
use crate::access::Caller;
use crate::api::ServerView;
use crate::bounds::Bounds;
use crate::directory::Entry;
use crate::model::{ServerNetworks, SleepAfter};

/// What a server's view takes besides the server.
pub(super) struct Presenter {
    base_of_servers: Url,
    networks: ServerNetworks,
    sleep: Option<SleepAfter>,
    bounds: Arc<Bounds>,
}

impl Presenter {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            base_of_servers: parts.settings.base_of_servers().clone(),
            networks: parts.settings.networks,
            sleep: parts.settings.sleep,
            bounds: Arc::clone(&parts.bounds),
        }
    }

    /// A server as this caller sees it.
    pub(super) fn view(&self, entry: &Entry, viewer: &Caller) -> ServerView {
        ServerView::of(
            entry,
            viewer,
            &self.base_of_servers,
            &self.networks,
            self.sleep,
            self.bounds.maxima(),
        )
    }
}
