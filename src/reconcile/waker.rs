//! Wake-ups, merged: a server woken ten times is looked at once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::directory::Entry;
use crate::model::{ServerId, Status};

/// Says "look again", for one server or all.
#[derive(Default)]
pub struct Waker {
    pending: Mutex<Pending>,
    notify: Notify,
}

/// What is to be looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) all: bool,
    pub(super) servers: BTreeSet<ServerId>,
}

impl Waker {
    /// Look at this server again.
    pub fn wake(&self, id: ServerId) {
        self.with(|pending| {
            pending.servers.insert(id);
        });
    }

    /// Notes that somebody wants the server, and wakes it if it sleeps. However
    /// many want it, its one task wakes it once.
    pub fn want_awake(&self, entry: &Entry) {
        entry.activity.note();
        if entry.state.status == Status::Sleeping {
            self.wake(entry.server.id);
        }
    }

    /// Look at everything again.
    pub fn wake_all(&self) {
        self.with(|pending| pending.all = true);
    }

    /// Waits for wake-ups and takes them all.
    pub(super) async fn take(&self) -> Pending {
        loop {
            let notified = self.notify.notified();
            let taken =
                std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if taken != Pending::default() {
                return taken;
            }
            notified.await;
        }
    }

    fn with(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }
}
