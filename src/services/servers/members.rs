//! Whom a server belongs to besides its creator.

use jiff::Timestamp;

use super::Servers;
use crate::access::CanShare;
use crate::model::{Error, Principal, Result, Role, check_person};

const MEMBERS_MAX: usize = 100;

impl Servers {
    /// The people whom a list of members names: each has a live token of a
    /// developer or viewer, or is one already. A mistyped name would stand
    /// open for whoever gets a token of that name later.
    ///
    /// # Errors
    /// `server_not_found`, `invalid_members`, `unknown_member`.
    pub(super) fn find_members(
        &self,
        permit: &CanShare,
        names: &[String],
    ) -> Result<Vec<Principal>> {
        let server = self.directory.require(&permit.server().to_string())?.server;
        let tokens = self.tokens.list();
        let now = Timestamp::now();
        let people = tokens.iter().filter(|token| {
            matches!(token.grant.role, Role::Developer | Role::Viewer) && token.is_live(now)
        });
        let people = people.map(|token| &token.principal);
        let mut members: Vec<Principal> = Vec::new();
        for name in names {
            let name = check_person(name, "invalid_members", "members")?;
            let mut known = server.owners().chain(people.clone());
            let Some(member) = known.find(|known| known.name == name) else {
                let unknown = Error::invalid(
                    "unknown_member",
                    "members",
                    format!(
                        "no developer's or viewer's token is named \"{name}\"; ask an administrator to make one first"
                    ),
                );
                return Err(unknown.with("name", &name));
            };
            if *member != server.creator && !members.contains(member) {
                members.push(member.clone());
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
