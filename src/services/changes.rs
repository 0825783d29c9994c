//! A change of a server's record, whoever makes it.

use std::sync::Arc;

use jiff::Timestamp;

use super::parts::Parts;
use super::presenter::Presenter;
use super::quotas::Allowances;
use crate::access::CanWrite;
use crate::api::ServerView;
use crate::directory::Directory;
use crate::model::{Deed, Error, Event, Result, Server};
use crate::reconcile::Waker;
use crate::store::{ServerChange, Store};

/// The one way to change a server.
pub(super) struct Changes {
    directory: Arc<Directory>,
    store: Store,
    waker: Arc<Waker>,
    allowances: Allowances,
    presenter: Presenter,
}

impl Changes {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            waker: Arc::clone(&parts.waker),
            allowances: Allowances::of(parts),
            presenter: Presenter::of(parts),
        }
    }

    /// Writes a change of a server's record, tells the directory, wakes the
    /// reconciler.
    pub(super) async fn make(
        &self,
        permit: &CanWrite,
        change: impl FnOnce(&mut Server) -> Result<ServerChange> + Send + 'static,
    ) -> Result<ServerView> {
        let id = permit.server();
        let creator = &self.directory.require(&id.to_string())?.server.creator;
        let allowance = self.allowances.of_person(creator, permit.is_exempt());
        let server = self
            .store
            .update_server(id, allowance, move |server| {
                let change = change(server)?;
                server.updated_at = Timestamp::now();
                Ok(change)
            })
            .await?;
        self.directory.put_server(server);
        self.waker.wake(id);
        let entry = self
            .directory
            .get(id)
            .ok_or_else(|| Error::no_server(&id.to_string()))?;
        Ok(self.presenter.view(&entry, permit.caller()))
    }
}

/// What somebody does now, for the server's history.
pub(super) fn event(deed: Deed, permit: &CanWrite) -> Event {
    Event::of_deed(Timestamp::now(), deed, permit.actor())
}
