//! Who is calling, and what that lets them do.
//!
//! A permission check returns the capability itself, and the services ask for
//! it as an argument: a handler that forgot to check has nothing to pass on.

mod table;

use crate::model::{Actor, Error, Result, Role, ServerId, TokenId};

pub use table::TokenTable;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, as shown in histories and to servers.
    pub name: String,
    /// What the token allows.
    pub role: Role,
    /// For `connect`: the servers; `None` means all.
    pub servers: Option<Vec<ServerId>>,
    /// The token; `None` for the administrator's own from the settings.
    pub token: Option<TokenId>,
}

/// Leave to see servers, logs and settings.
#[derive(Debug)]
pub struct CanRead(());

/// Leave to create and change servers, in somebody's name.
#[derive(Debug)]
pub struct CanWrite {
    /// Who is writing.
    pub actor: Actor,
}

/// Leave to make and revoke tokens, in somebody's name.
#[derive(Debug)]
pub struct CanAdminister {
    /// Who is administering.
    pub actor: Actor,
}

/// Leave to call one server through the gate.
#[derive(Debug)]
pub struct CanConnect(());

impl Caller {
    /// The holder of the administrator's token.
    pub fn administrator() -> Self {
        Self {
            name: "admin".to_owned(),
            role: Role::Admin,
            servers: None,
            token: None,
        }
    }

    /// Leave to see.
    ///
    /// # Errors
    /// `forbidden` for a token that may only connect.
    pub fn may_read(&self) -> Result<CanRead> {
        match self.role {
            Role::Admin | Role::Developer | Role::Viewer => Ok(CanRead(())),
            Role::Connect => Err(self.lacks("viewer, developer or admin")),
        }
    }

    /// Leave to change.
    ///
    /// # Errors
    /// `forbidden` for a token that may only look or connect.
    pub fn may_write(&self) -> Result<CanWrite> {
        match self.role {
            Role::Admin | Role::Developer => Ok(CanWrite {
                actor: self.actor(),
            }),
            Role::Viewer | Role::Connect => Err(self.lacks("developer or admin")),
        }
    }

    /// Leave to administer.
    ///
    /// # Errors
    /// `forbidden` for every token but an administrator's.
    pub fn may_administer(&self) -> Result<CanAdminister> {
        match self.role {
            Role::Admin => Ok(CanAdminister {
                actor: self.actor(),
            }),
            Role::Developer | Role::Viewer | Role::Connect => Err(self.lacks("admin")),
        }
    }

    /// Leave to call a server's tools.
    ///
    /// # Errors
    /// `token_not_for_server` if the token names other servers, `forbidden`
    /// for a role that may only look.
    pub fn may_connect(&self, server: ServerId) -> Result<CanConnect> {
        match self.role {
            Role::Admin | Role::Developer => Ok(CanConnect(())),
            Role::Viewer => Err(self.lacks("connect, developer or admin")),
            Role::Connect => {
                let allowed = self
                    .servers
                    .as_ref()
                    .is_none_or(|servers| servers.contains(&server));
                if allowed {
                    return Ok(CanConnect(()));
                }
                Err(Error::Forbidden {
                    code: "token_not_for_server",
                    message: "this token is not for this server; ask its owner for one that is"
                        .to_owned(),
                })
            }
        }
    }

    fn actor(&self) -> Actor {
        Actor(self.name.clone())
    }

    fn lacks(&self, needed: &str) -> Error {
        Error::Forbidden {
            code: "forbidden",
            message: format!("this needs a token with the role {needed}"),
        }
    }
}
