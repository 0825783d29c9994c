//! How many conversations EMCP itself has with servers for people who try
//! them out. What a server tells is held in memory meanwhile.

use crate::access::{CanConnect, Full, Place, Places};
use crate::model::{Error, Result, ServerId};

/// At once, for everybody.
const ALL_MAX: usize = 12;
/// With one server.
const SERVER_MAX: usize = 3;
/// For one person.
const PERSON_MAX: usize = 3;
const RETRY_AFTER_SECS: u64 = 5;

/// Trials under way.
pub struct Trials {
    by_server: Places<ServerId>,
    by_person: Places<String>,
}

/// A trial under way, until it is dropped.
pub(super) struct Trial {
    _server: Place<ServerId>,
    _person: Place<String>,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            by_server: Places::new(ALL_MAX, SERVER_MAX),
            by_person: Places::new(ALL_MAX, PERSON_MAX),
        }
    }
}

impl Trials {
    /// Begins one.
    ///
    /// # Errors
    /// `too_many_trials`.
    pub(super) fn begin(&self, leave: &CanConnect) -> Result<Trial> {
        let person = leave.actor().0.clone();
        Ok(Trial {
            _person: self.by_person.take(person).map_err(|full| match full {
                Full::Each => too_many(&format!("one person tries {PERSON_MAX} things")),
                Full::All => too_many(&format!("{ALL_MAX} trials run")),
            })?,
            _server: self
                .by_server
                .take(leave.server())
                .map_err(|full| match full {
                    Full::Each => too_many(&format!("{SERVER_MAX} trials of one server run")),
                    Full::All => too_many(&format!("{ALL_MAX} trials run")),
                })?,
        })
    }
}

fn too_many(limit: &str) -> Error {
    Error::TooMany {
        code: "too_many_trials",
        message: format!(
            "at most {limit} at the same time; wait for one to end, or call the server with an MCP client"
        ),
        retry_after_secs: RETRY_AFTER_SECS,
    }
}
