//! From a known caller and the server they name to the capability for it. A
//! server's record is asked for what the caller may do, and stays inside.

use std::sync::Arc;

use url::Url;

use super::parts::Parts;
use super::urls_of;
use crate::access::{Caller, CanConnect, CanInspect, CanRead, CanWrite};
use crate::directory::{Directory, Entry};
use crate::model::{Result, ServerId, ServerName};

/// Gives capabilities for one server.
pub struct Grants {
    directory: Arc<Directory>,
}

/// A server that a known caller has named. Its name, its id and its address are
/// all that is told of it before a capability is asked for; the audit log needs the
/// first two also where it is refused.
pub struct Named<'a> {
    caller: &'a Caller,
    entry: Entry,
}

impl Grants {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
        }
    }

    /// The server of this id or name.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn named<'a>(&self, caller: &'a Caller, id_or_name: &str) -> Result<Named<'a>> {
        Ok(Named {
            caller,
            entry: self.directory.require(id_or_name)?,
        })
    }
}

impl Named<'_> {
    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.entry.server.name
    }

    /// Its id.
    pub fn id(&self) -> ServerId {
        self.entry.server.id
    }

    /// Where it is served, if its routes are under `base`. Who comes by an old
    /// address knows no more than its name, and is told where to go.
    pub fn address_under(&self, base: &Url) -> String {
        urls_of(base, &self.entry).main().to_owned()
    }

    /// The capability to see what everybody may of it.
    ///
    /// # Errors
    /// As [`Caller::may_read`].
    pub fn may_read(&self) -> Result<CanRead> {
        self.caller.may_read()
    }

    /// The capability to see its code and variables.
    ///
    /// # Errors
    /// As [`Caller::may_inspect`].
    pub fn may_inspect(&self) -> Result<CanInspect> {
        self.caller.may_inspect(&self.entry.server)
    }

    /// The capability to change it.
    ///
    /// # Errors
    /// As [`Caller::may_write`].
    pub fn may_write(&self) -> Result<CanWrite> {
        self.caller.may_write(&self.entry.server)
    }

    /// The capability to call it.
    ///
    /// # Errors
    /// As [`Caller::may_connect`].
    pub fn may_connect(&self) -> Result<CanConnect> {
        self.caller.may_connect(&self.entry.server)
    }
}
