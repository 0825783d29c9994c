//! Waiting for a server, and how many may: requests held at the gate, people who
//! try tools out, and `?wait=` look at it by this one loop and are counted here.

mod admission;

pub(super) use admission::{Admission, Admitted, Crowded, Purpose};

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::directory::{Directory, Entry};
use crate::model::ServerId;

/// What a look at the server leads to.
pub enum Look<T, W> {
    /// This is the answer, whatever becomes of the server meanwhile.
    Done(T),
    /// This is the answer where the server is still as it was seen: something
    /// will be sent to its container. That is noted as its use first, and then it
    /// must be seen that it was not put to sleep in between (`activity`).
    Pass(T),
    /// Not yet, and why. It is looked at again when anything has changed.
    Wait(W),
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited<T, W> {
    /// The answer.
    Done(T),
    /// Enough wait already; why it was to wait.
    Crowded(W),
    /// The time is over or EMCP ends; why it still waited.
    Over(W),
}

/// How long somebody waits for a server.
pub(super) struct Patience<'a> {
    /// When they have waited long enough.
    pub(super) deadline: Instant,
    /// EMCP ends: who waits is answered rather than cut.
    pub(super) ending: &'a CancellationToken,
    /// As what they take a place once they have to wait; nothing for who has one.
    pub(super) place_as: Option<Purpose>,
}

/// The one who waits for servers.
pub(super) struct Waiting {
    directory: Arc<Directory>,
    admission: Admission,
}

impl Waiting {
    /// Waits for servers of this directory.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            admission: Admission::default(),
        }
    }

    /// Who has a place.
    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Looks at a server, which may be gone or never have been, until there is an
    /// answer. No change that comes after a look is missed.
    pub(super) async fn until<T, W>(
        &self,
        server: Option<ServerId>,
        patience: Patience<'_>,
        mut look: impl FnMut(Option<&Entry>) -> Look<T, W>,
    ) -> Waited<T, W> {
        let mut changes = self.directory.subscribe();
        let mut place = None;
        loop {
            changes.mark_unchanged();
            let entry = server.and_then(|id| self.directory.get(id));
            let why = match (look(entry.as_ref()), &entry) {
                (Look::Done(answer), _) | (Look::Pass(answer), None) => {
                    return Waited::Done(answer);
                }
                (Look::Pass(answer), Some(entry)) => {
                    entry.activity.note();
                    if self.directory.is_current(entry) {
                        return Waited::Done(answer);
                    }
                    continue;
                }
                (Look::Wait(why), _) => why,
            };
            if let (None, Some(purpose), Some(id)) = (&place, patience.place_as, server) {
                match self.admission.admit(purpose, id, None) {
                    Ok(admitted) => place = Some(admitted),
                    Err(_) => return Waited::Crowded(why),
                }
            }
            let changed = patience.ending.run_until_cancelled(changes.changed());
            match timeout_at(patience.deadline, changed).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Waited::Over(why),
            }
        }
    }
}

#[cfg(test)]
mod tests;
