//! Who is calling, and what that lets them do.
//!
//! A permission check returns the capability itself, and the services ask for
//! it as an argument: a handler that forgot to check has nothing to pass on.
//! A capability for one server names it, so it cannot be used on another: nobody but
//! this module can make or alter a capability.
//!
//! So who calls is told here too, and from there it begins:
//!
//! ```
//! use emcp::access::{CanAdminister, Caller};
//!
//! fn asked(caller: &Caller) -> emcp::model::Result<CanAdminister> {
//!     caller.may_administer()
//! }
//! ```
//!
//! No other room has a caller whom nobody has recognised:
//!
//! ```compile_fail
//! use emcp::access::{CanAdminister, Caller};
//!
//! fn asked() -> emcp::model::Result<CanAdminister> {
//!     Caller::administrator().may_administer()
//! }
//! ```
//!
//! Nor does one make a capability of another:
//!
//! ```
//! use emcp::access::{CanShare, CanWrite};
//!
//! fn shared(permit: &CanWrite) -> emcp::model::Result<CanShare> {
//!     permit.to_share()
//! }
//! ```
//!
//! ```compile_fail
//! use emcp::access::{CanShare, CanWrite};
//!
//! fn shared(permit: &CanWrite) -> emcp::model::Result<CanShare> {
//!     Ok(CanShare { server: permit.server() })
//! }
//! ```
//!
//! Pure but for its locks: takes values, addresses and `now`.

mod client;
mod limiter;
mod permissions;
mod places;
mod scrape;
mod table;
mod writes;

use crate::model::{Error, Grant, Principal, Result, Role, Server, ServerId, Token, TokenId};

pub use client::{ClientKey, Proxies, UNKNOWN_CLIENT};
pub use limiter::{Limiter, Standing, Wrong};
pub use places::{Full, Place, Places};
pub use scrape::{CanScrape, ScrapeToken};
pub use table::{Found, PersonQuota, Source, TokenTable};
pub use writes::WriteMeter;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Principal,
    grant: Grant,
    credential: Option<TokenId>,
}

/// The capability to see servers, their state and their logs.
#[derive(Debug)]
pub struct CanRead {
    caller: Caller,
}

/// The capability to see one server's code and variables.
#[derive(Debug)]
pub struct CanInspect {
    server: ServerId,
}

/// The capability to create servers, in somebody's name.
#[derive(Debug)]
pub struct CanCreate {
    caller: Caller,
}

/// The capability to change one server, in somebody's name.
#[derive(Debug)]
pub struct CanWrite {
    server: ServerId,
    caller: Caller,
    /// Why its members may not be changed, for who is only one of them.
    not_to_share: Option<String>,
}

/// The capability to say who one server's members are.
#[derive(Debug)]
pub struct CanShare {
    server: ServerId,
}

/// The capability to make, see and revoke tokens: all of them, or connect tokens for
/// one's own servers.
#[derive(Debug)]
pub struct CanIssue {
    issuer: Caller,
}

/// The capability to see what people have and may have.
#[derive(Debug)]
pub struct CanSeeUsage {
    only: Option<Principal>,
}

/// The capability to do what concerns the whole platform, in somebody's name.
#[derive(Debug)]
pub struct CanAdminister {
    actor: Principal,
}

/// The capability to call one server through the gate, in somebody's name.
#[derive(Debug)]
pub struct CanConnect {
    server: ServerId,
    actor: Principal,
}

impl Caller {
    /// The holder of the administrator's token.
    fn administrator() -> Self {
        Self {
            principal: Principal::administrator(),
            grant: Grant::of_role(Role::Admin),
            credential: None,
        }
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What the credential allows them.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// By what they are known: a token; `None` for the administrator's own from
    /// the settings.
    pub fn credential(&self) -> Option<TokenId> {
        self.credential
    }

    /// Somebody who may do everything, known by this token.
    #[cfg(test)]
    pub(crate) fn administrator_by(credential: TokenId) -> Self {
        Self {
            credential: Some(credential),
            ..Self::administrator()
        }
    }

    /// The capability to see.
    ///
    /// # Errors
    /// `forbidden` for a token that may only connect.
    pub fn may_read(&self) -> Result<CanRead> {
        match self.grant.role {
            Role::Admin | Role::Developer | Role::Viewer => Ok(CanRead {
                caller: self.clone(),
            }),
            Role::Connect => Err(lacks("viewer, developer or admin")),
        }
    }

    /// The capability to see a server's code and variables, which may hold what is
    /// not for every colleague.
    ///
    /// # Errors
    /// `not_your_server`, or `forbidden` for a token that may only connect.
    pub fn may_inspect(&self, server: &Server) -> Result<CanInspect> {
        self.may_read()?;
        if self.grant.role != Role::Admin && !server.belongs_to(self.principal.id) {
            return Err(not_yours(server));
        }
        Ok(CanInspect { server: server.id })
    }

    /// The capability to create.
    ///
    /// # Errors
    /// `forbidden` for a token that may only look or connect.
    pub fn may_create(&self) -> Result<CanCreate> {
        match self.grant.role {
            Role::Admin | Role::Developer => Ok(CanCreate {
                caller: self.clone(),
            }),
            Role::Viewer | Role::Connect => Err(lacks("developer or admin")),
        }
    }

    /// The capability to change one server.
    ///
    /// # Errors
    /// `not_your_server`, or `forbidden` for a token that may only look or
    /// connect.
    pub fn may_write(&self, server: &Server) -> Result<CanWrite> {
        self.may_create()?;
        if self.grant.role != Role::Admin && !server.belongs_to(self.principal.id) {
            return Err(not_yours(server));
        }
        let may_share = self.grant.role == Role::Admin || server.creator == self.principal;
        Ok(CanWrite {
            server: server.id,
            caller: self.clone(),
            not_to_share: (!may_share).then(|| {
                format!(
                    "only \"{}\", who created this server, or an administrator may say who its members are",
                    server.creator.name
                )
            }),
        })
    }

    /// The capability to make and revoke tokens.
    ///
    /// # Errors
    /// `forbidden` for a token that may only look or connect.
    pub fn may_issue(&self) -> Result<CanIssue> {
        self.may_create()?;
        Ok(CanIssue {
            issuer: self.clone(),
        })
    }

    /// The capability to see what this person has and may have; for an administrator,
    /// what everybody has.
    ///
    /// # Errors
    /// `forbidden` for a token that may only look or connect.
    pub fn may_see_usage(&self) -> Result<CanSeeUsage> {
        self.may_create()?;
        Ok(CanSeeUsage {
            only: (self.grant.role != Role::Admin).then(|| self.principal.clone()),
        })
    }

    /// The capability to administer.
    ///
    /// # Errors
    /// `forbidden` for every token but an administrator's.
    pub fn may_administer(&self) -> Result<CanAdminister> {
        match self.grant.role {
            Role::Admin => Ok(CanAdminister {
                actor: self.principal.clone(),
            }),
            Role::Developer | Role::Viewer | Role::Connect => Err(lacks("admin")),
        }
    }

    /// The capability to call a server's tools.
    ///
    /// # Errors
    /// `token_not_for_server` if the token names other servers,
    /// `not_your_server` for a developer of others, `forbidden` for a role that
    /// may only look.
    pub fn may_connect(&self, server: &Server) -> Result<CanConnect> {
        let permit = CanConnect {
            server: server.id,
            actor: self.principal.clone(),
        };
        match self.grant.role {
            Role::Admin => Ok(permit),
            Role::Developer if server.belongs_to(self.principal.id) => Ok(permit),
            Role::Developer => Err(not_yours(server)),
            Role::Viewer => Err(lacks("connect, developer or admin")),
            Role::Connect => {
                // Who is a member no longer must not keep a way in by tokens
                // made meanwhile.
                let maker = self.grant.bound_to.as_ref();
                let is_its_makers = maker.is_none_or(|maker| server.belongs_to(maker.id));
                if self.grant.is_for(server.id) && is_its_makers {
                    return Ok(permit);
                }
                Err(Error::Forbidden {
                    code: "token_not_for_server",
                    message: "this token is not for this server; ask its owner for one that is"
                        .to_owned(),
                })
            }
        }
    }

    /// The capability to call a server with the token in the URL. What stands in a URL
    /// gets about (histories, proxies' logs), so it may open nothing but this
    /// one server.
    ///
    /// # Errors
    /// As [`Caller::may_connect`], and `token_not_for_url` for any token but a
    /// `connect` token that names this server alone.
    pub fn may_connect_by_url(&self, server: &Server) -> Result<CanConnect> {
        let permit = self.may_connect(server)?;
        if self.grant.only_server() == Some(server.id) {
            return Ok(permit);
        }
        Err(Error::Forbidden {
            code: "token_not_for_url",
            message: format!(
                "a URL takes only a \"connect\" token for the server \"{}\" alone: make one (dashboard, Connection, \"Make a connect token\"), or send this token as \"Authorization: Bearer TOKEN\"; revoke it if others may have seen this URL",
                server.name
            ),
        })
    }
}

impl CanRead {
    /// Who is looking.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl CanInspect {
    /// The server it is for.
    pub fn server(&self) -> ServerId {
        self.server
    }
}

impl CanCreate {
    /// Who is creating, and is shown what comes of it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who is creating.
    pub fn actor(&self) -> &Principal {
        &self.caller.principal
    }

    /// Whether no quota holds for who is creating: an administrator.
    pub fn is_exempt(&self) -> bool {
        self.caller.grant.role == Role::Admin
    }
}

impl CanWrite {
    /// The server it is for.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Who is writing, and is shown what comes of it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who is writing.
    pub fn actor(&self) -> &Principal {
        &self.caller.principal
    }

    /// Whether no quota holds for what is written: an administrator writes.
    pub fn is_exempt(&self) -> bool {
        self.caller.grant.role == Role::Admin
    }

    /// The capability to say who its members are, too.
    ///
    /// # Errors
    /// `not_your_server` for who is a member and not its creator.
    pub fn to_share(&self) -> Result<CanShare> {
        match &self.not_to_share {
            None => Ok(CanShare {
                server: self.server,
            }),
            Some(why) => Err(Error::Forbidden {
                code: "not_your_server",
                message: why.clone(),
            }),
        }
    }
}

impl CanConnect {
    /// The server it is for.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Who is calling.
    pub fn actor(&self) -> &Principal {
        &self.actor
    }
}

impl CanShare {
    /// The server it is for.
    pub fn server(&self) -> ServerId {
        self.server
    }
}

impl CanIssue {
    /// Who is making or revoking.
    pub fn actor(&self) -> &Principal {
        &self.issuer.principal
    }

    /// Whether its tokens reach only what is the issuer's.
    pub fn is_bound(&self) -> bool {
        self.issuer.grant.role != Role::Admin
    }

    /// The roles that its tokens may have.
    pub fn roles(&self) -> &'static [Role] {
        match self.issuer.grant.role {
            Role::Admin => &[Role::Admin, Role::Developer, Role::Viewer, Role::Connect],
            Role::Developer | Role::Viewer | Role::Connect => &[Role::Connect],
        }
    }

    /// Whether the token may be seen and revoked.
    pub fn covers(&self, token: &Token) -> bool {
        self.issuer.grant.role == Role::Admin || token.created_by == self.issuer.principal
    }

    /// Checks what a new token is to allow. `servers` are those it names, if
    /// it names any.
    ///
    /// # Errors
    /// `forbidden`, `servers_required` or `not_your_server` for a developer.
    pub fn check(&self, role: Role, servers: Option<&[&Server]>) -> Result<()> {
        if self.issuer.grant.role == Role::Admin {
            return Ok(());
        }
        if !self.roles().contains(&role) {
            return Err(Error::Forbidden {
                code: "forbidden",
                message: "a developer makes tokens with the role \"connect\" only; ask an administrator for others".to_owned(),
            });
        }
        let servers = servers.unwrap_or(&[]);
        if servers.is_empty() {
            return Err(Error::invalid(
                "servers_required",
                "servers",
                "name the servers that the token is for; they must be yours",
            ));
        }
        servers
            .iter()
            .find(|server| !server.belongs_to(self.issuer.principal.id))
            .map_or(Ok(()), |other| Err(not_yours(other)))
    }
}

impl CanSeeUsage {
    /// The one person whose it is; none: everybody's.
    pub fn only(&self) -> Option<&Principal> {
        self.only.as_ref()
    }
}

impl CanAdminister {
    /// Who is administering.
    pub fn actor(&self) -> &Principal {
        &self.actor
    }
}

fn lacks(needed: &str) -> Error {
    Error::Forbidden {
        code: "forbidden",
        message: format!("this needs a token with the role {needed}"),
    }
}

fn not_yours(server: &Server) -> Error {
    Error::Forbidden {
        code: "not_your_server",
        message: format!(
            "the server \"{}\" is not yours; ask \"{}\", who created it, or an administrator to add you to its members",
            server.name, server.creator.name
        ),
    }
}

#[cfg(test)]
mod tests;
