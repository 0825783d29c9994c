//! Whom a server belongs to besides its creator.

use jiff::Timestamp;

use super::Servers;
use crate::access::CanShare;
use crate::model::{Actor, Error, Result, Role, check_person};

const MEMBERS_MAX: usize = 100;

impl Servers {
    /// Checks a list of members: each is the name of a live token of a
    /// developer or viewer, or is one already. A mistyped name would stand
    /// open for whoever gets a token of that name later.
    ///
    /// # Errors
    /// `server_not_found`, `invalid_members`, `unknown_member`.
    pub(super) fn check_members(&self, permit: &CanShare, names: &[Actor]) -> Result<Vec<Actor>> {
        let server = self.directory.require(&permit.server().to_string())?.server;
        let tokens = self.tokens.list();
        let now = Timestamp::now();
        let is_person = |name: &str| {
            tokens.iter().any(|token| {
                token.name == name
                    && matches!(token.role, Role::Developer | Role::Viewer)
                    && token.is_live(now)
            })
        };
        let mut members: Vec<Actor> = Vec::new();
        for name in names {
            let name = check_person(&name.0, "invalid_members", "members")?;
            if !server.belongs_to(&name) && !is_person(&name) {
                let unknown = Error::invalid(
                    "unknown_member",
                    "members",
                    format!(
                        "no developer's or viewer's token is named \"{name}\"; ask an administrator to make one first"
                    ),
                );
                return Err(unknown.with("name", &name));
            }
            let actor = Actor(name);
            if actor != server.creator && !members.contains(&actor) {
                members.push(actor);
            }
        }
        if members.len() > MEMBERS_MAX {
            return Err(Error::invalid(
                "invalid_members",
                "members",
                format!("at most {MEMBERS_MAX} members are taken"),
            ));
        }
        Ok(members)
    }
}
