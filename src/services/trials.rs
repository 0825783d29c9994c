//! How many conversations EMCP itself has with servers for people who try them
//! out.

use std::sync::Arc;

use super::parts::Parts;
use super::waiting::{Admitted, Crowded, Purpose, Waiting};
use crate::access::CanConnect;
use crate::model::{Error, Result};

const RETRY_AFTER_SECS: u64 = 5;

/// Lets people begin trials.
pub(super) struct Trials(Arc<Waiting>);

impl Trials {
    pub(super) fn of(parts: &Parts) -> Self {
        Self(Arc::clone(&parts.waiting))
    }

    /// Begins a trial, which goes on until what this gives is dropped.
    ///
    /// # Errors
    /// `too_many_trials`.
    pub(super) fn begin(&self, permit: &CanConnect) -> Result<Admitted> {
        let (purpose, person) = (Purpose::Trial, permit.actor().id);
        let places = self.0.admission();
        let admitted = places.admit(purpose, permit.server(), Some(person));
        admitted.map_err(|crowded| {
            let bounds = purpose.bounds();
            let limit = match crowded {
                Crowded::Caller => format!("one person tries {} things", bounds.each_caller),
                Crowded::Server => format!("{} trials of one server run", bounds.each_server),
                Crowded::Altogether => format!("{} trials run", bounds.altogether),
            };
            Error::TooMany {
                code: "too_many_trials",
                message: format!(
                    "at most {limit} at the same time; wait for one to end, or call the server with an MCP client"
                ),
                retry_after_secs: RETRY_AFTER_SECS,
            }
        })
    }
}
