//! What a caller may do, told to them beforehand: the very checks that decide
//! are asked, so that whoever shows buttons needs no rule of their own.

use super::Caller;
use crate::model::{PlatformPermission, Role, Server, ServerPermission};

impl Caller {
    /// What this caller may do with a server.
    pub fn permissions_on(&self, server: &Server) -> Vec<ServerPermission> {
        use ServerPermission::{Act, Call, Delete, Inspect, IssueTokens, Share, Update};
        let change = self.may_write(server);
        let may_write = change.is_ok();
        let may_share = change.is_ok_and(|permit| permit.to_share().is_ok());
        let may_issue = self
            .may_issue()
            .is_ok_and(|permit| permit.check(Role::Connect, Some(&[server])).is_ok());
        let asked = [
            (Inspect, self.may_inspect(server).is_ok()),
            (Call, self.may_connect(server).is_ok()),
            (Act, may_write),
            (Update, may_write),
            (Delete, may_write),
            (Share, may_share),
            (IssueTokens, may_issue),
        ];
        granted(asked)
    }

    /// What this caller may do with the platform.
    pub fn permissions(&self) -> Vec<PlatformPermission> {
        use PlatformPermission::{Administer, CreateServers, IssueTokens, Read, SeeUsage};
        granted([
            (Read, self.may_read().is_ok()),
            (CreateServers, self.may_create().is_ok()),
            (IssueTokens, self.may_issue().is_ok()),
            (SeeUsage, self.may_see_usage().is_ok()),
            (Administer, self.may_administer().is_ok()),
        ])
    }

    /// The roles that this caller may make tokens of.
    pub fn token_roles(&self) -> Vec<Role> {
        self.may_issue()
            .map_or_else(|_| Vec::new(), |permit| permit.roles().to_vec())
    }
}

fn granted<P, const N: usize>(asked: [(P, bool); N]) -> Vec<P> {
    let granted = asked.into_iter().filter(|(_, is_granted)| *is_granted);
    granted.map(|(permission, _)| permission).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Serialize;

    use super::*;
    use crate::model::{Grant, Principal, ServerId};

    fn caller(name: &str, role: Role) -> Caller {
        Caller {
            principal: Principal::by_name(name),
            grant: Grant::of_role(role),
            credential: None,
        }
    }

    fn words(permissions: impl Serialize) -> String {
        let words = serde_json::to_value(permissions).unwrap();
        let words = words.as_array().unwrap().iter();
        let words: Vec<_> = words.map(|word| word.as_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn what_may_be_done_with_a_server_is_told_as_it_is_decided() {
        let mut server = Server::new(
            ServerId::new(),
            "demo".parse().unwrap(),
            Principal::by_name("owner"),
            Timestamp::UNIX_EPOCH,
        );
        server.members = vec![Principal::by_name("member"), Principal::by_name("guest")];
        let all = "inspect call act update delete share issue_tokens";
        let expected = [
            (caller("root", Role::Admin), all),
            (caller("owner", Role::Developer), all),
            (
                caller("member", Role::Developer),
                "inspect call act update delete issue_tokens",
            ),
            (caller("stranger", Role::Developer), ""),
            (caller("guest", Role::Viewer), "inspect"),
            (caller("looks", Role::Viewer), ""),
        ];
        for (caller, permissions) in expected {
            assert_eq!(
                words(caller.permissions_on(&server)),
                permissions,
                "{caller:?}"
            );
        }
    }

    #[test]
    fn what_may_be_done_with_the_platform_is_told_by_role() {
        let expected = [
            (
                Role::Admin,
                "read create_servers issue_tokens see_usage administer",
                "admin developer viewer connect",
            ),
            (
                Role::Developer,
                "read create_servers issue_tokens see_usage",
                "connect",
            ),
            (Role::Viewer, "read", ""),
            (Role::Connect, "", ""),
        ];
        for (role, permissions, roles) in expected {
            let caller = caller("x", role);
            assert_eq!(words(caller.permissions()), permissions, "{role:?}");
            assert_eq!(words(caller.token_roles()), roles, "{role:?}");
        }
    }
}
