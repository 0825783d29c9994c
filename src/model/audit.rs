//! The audit log's lines: who did what, when, from where, and what came of it.
//! Never a secret: names, ids and codes only.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Principal, TokenId};

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditResult {
    /// It was done.
    Ok,
    /// It was not allowed, or broke a rule.
    Refused,
    /// A fault of EMCP or its machine.
    Failed,
}

/// What only looks: the same again within a minute says nothing new, and is
/// counted.
const READS: [&str; 5] = [
    "code.read",
    "env.read",
    "log.read",
    "server.list_tools",
    "server.test",
];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When it was asked for.
    pub at: Timestamp,
    /// Who did it; absent where nobody was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Principal>,
    /// The token; absent for the administrator's own from the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// What, in a stable word such as `server.create`.
    pub action: String,
    /// The name of the server or token it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its id: a name may be given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// What came of it.
    pub result: AuditResult,
    /// The error's code, where it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The client's address; "unknown" (in memory the unspecified address)
    /// where the host's own proxy hides it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "from")]
    pub from: Option<IpAddr>,
    /// The developer who has made the token, where it is a `connect` token of
    /// one: its lines are theirs when the log is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<Principal>,
    /// How often the same was done; absent for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When it was done the last time, where that was more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

impl AuditEntry {
    /// What was done at this time, by nobody that is known and to nothing.
    pub fn new(at: Timestamp, action: &str, result: AuditResult) -> Self {
        Self {
            at,
            actor: None,
            token_id: None,
            action: action.to_owned(),
            target: None,
            target_id: None,
            result,
            code: None,
            from: None,
            made_by: None,
            count: None,
            last_at: None,
        }
    }

    /// Whether it must be kept before its caller is answered.
    pub fn is_a_change(&self) -> bool {
        self.result == AuditResult::Ok
            && !self.action.starts_with("session.")
            && !READS.contains(&self.action.as_str())
    }

    /// What is the same in two lines that say the same.
    pub fn without_time(&self) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            count: None,
            last_at: None,
            ..self.clone()
        }
    }

    /// Takes in another line that says the same.
    pub fn again(&mut self, other: &Self) {
        self.count = Some(self.count.unwrap_or(1) + other.count.unwrap_or(1));
        self.last_at = Some(other.last_at.unwrap_or(other.at));
    }

    /// Whose share of the log the line takes up; nobody's where nobody was
    /// recognised.
    pub fn holder(&self) -> Option<&Principal> {
        self.made_by.as_ref().or(self.actor.as_ref())
    }

    /// The client's address, or that it is unknown, as a word.
    pub fn from_in_words(&self) -> Option<String> {
        self.from.map(from::in_words)
    }
}

/// An address, or that it is unknown, as a word.
mod from {
    use std::net::{IpAddr, Ipv4Addr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const UNKNOWN: &str = "unknown";

    pub(super) fn in_words(address: IpAddr) -> String {
        if address.is_unspecified() {
            UNKNOWN.to_owned()
        } else {
            address.to_string()
        }
    }

    pub(super) fn serialize<S: Serializer>(
        from: &Option<IpAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match from {
            None => serializer.serialize_none(),
            Some(address) => serializer.serialize_some(&in_words(*address)),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<IpAddr>, D::Error> {
        match Option::<String>::deserialize(deserializer)?.as_deref() {
            None => Ok(None),
            Some(UNKNOWN) => Ok(Some(Ipv4Addr::UNSPECIFIED.into())),
            Some(text) => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

/// A line as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Rises with every line.
    pub id: u64,
    /// The line.
    pub entry: AuditEntry,
}

/// What the log is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only lines older than this one.
    pub before: Option<u64>,
    /// Only those of whoever was called this.
    pub actor: Option<String>,
    /// Only this action, or all whose word begins with it and a dot.
    pub action: Option<String>,
}

impl AuditFilter {
    /// Whether a line is wanted; `before` is the reader's.
    pub fn fits(&self, entry: &AuditEntry) -> bool {
        let by_actor = self
            .actor
            .as_ref()
            .is_none_or(|name| entry.actor.as_ref().is_some_and(|who| who.name == *name));
        let by_action = self.action.as_ref().is_none_or(|action| {
            entry
                .action
                .strip_prefix(action.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        by_actor && by_action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_unknown_is_told_as_such() {
        let entry = |from: Option<&str>| AuditEntry {
            from: from.map(|text| text.parse().unwrap()),
            ..AuditEntry::new(Timestamp::UNIX_EPOCH, "session.sign_in", AuditResult::Ok)
        };
        for (from, word) in [
            (Some("0.0.0.0"), Some("unknown")),
            (Some("203.0.113.7"), Some("203.0.113.7")),
            (Some("2001:db8::1"), Some("2001:db8::1")),
            (None, None),
        ] {
            let value = serde_json::to_value(entry(from)).unwrap();
            assert_eq!(value.get("from").and_then(|from| from.as_str()), word);
            let read: AuditEntry = serde_json::from_value(value).unwrap();
            assert_eq!(read, entry(from));
        }
    }

    #[test]
    fn a_filter_takes_a_whole_word_or_a_family() {
        let entry = AuditEntry {
            actor: Some(Principal::by_name("ada")),
            ..AuditEntry::new(Timestamp::UNIX_EPOCH, "server.create", AuditResult::Ok)
        };
        let by_action = |text: &str| AuditFilter {
            action: Some(text.into()),
            ..AuditFilter::default()
        };
        assert!(by_action("server.create").fits(&entry));
        assert!(by_action("server").fits(&entry));
        assert!(!by_action("serv").fits(&entry));
        assert!(!by_action("server.delete").fits(&entry));
        let by_actor = AuditFilter {
            actor: Some("ad".into()),
            ..AuditFilter::default()
        };
        assert!(!by_actor.fits(&entry));
    }
}
