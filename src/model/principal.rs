//! Who somebody is: apart from the credential that shows it, and from what that
//! credential grants ([ADR 29](../../docs/adr/0029-who-somebody-is.md)).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ADMINISTRATOR, CONNECTION_TEST, PLATFORM, TokenId};

/// A principal's identity, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrincipalId(Uuid);

impl PrincipalId {
    const ADMINISTRATOR: Self = Self::built_in(1);
    const PLATFORM: Self = Self::built_in(2);
    const CONNECTION_TEST: Self = Self::built_in(3);

    const fn built_in(number: u8) -> Self {
        let mut bytes = [0; 16];
        bytes[15] = number;
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id that follows from these words, and from no others.
    fn of_words(words: [&str; 2]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"emcp principal");
        for word in words {
            hasher.update((word.len() as u64).to_le_bytes());
            hasher.update(word);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id as the store's key.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a principal comes from, and what it is called there for ever. Its id
/// follows from both, so that there is one for each, whoever asks first, and
/// none of one origin is ever one of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", content = "key", rename_all = "snake_case")]
pub enum Origin {
    /// The administrator of the settings.
    Administrator,
    /// EMCP itself.
    Platform,
    /// What a test of a connection knocks as.
    ConnectionTest,
    /// An administrator makes tokens of this name: whoever has one is this
    /// person, also by a later token.
    TokenName(String),
    /// A developer made this one token, for a program: it is nobody else, and
    /// ends with it.
    Token(TokenId),
}

impl Origin {
    /// Whom a token of this name stands for that no developer has made.
    pub fn of_name(name: &str) -> Self {
        match name {
            ADMINISTRATOR => Self::Administrator,
            name => Self::TokenName(name.to_owned()),
        }
    }

    /// The principal's identity.
    pub fn id(&self) -> PrincipalId {
        match self {
            Self::Administrator => PrincipalId::ADMINISTRATOR,
            Self::Platform => PrincipalId::PLATFORM,
            Self::ConnectionTest => PrincipalId::CONNECTION_TEST,
            Self::TokenName(name) => PrincipalId::of_words(["token name", name]),
            Self::Token(id) => PrincipalId::of_words(["token", &id.to_string()]),
        }
    }

    /// The principal under this name.
    pub fn called(&self, name: impl Into<String>) -> Principal {
        Principal {
            id: self.id(),
            name: name.into(),
        }
    }
}

/// Who has something, or has done it: a person, mostly. Two are the same if
/// their ids are. The name is for people who read it, and decides nothing: what
/// is has the present one, history the one of then.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Identity.
    pub id: PrincipalId,
    /// What they are called.
    pub name: String,
}

impl Principal {
    /// Whom a token of this name stands for that no developer has made.
    pub fn by_name(name: &str) -> Self {
        Origin::of_name(name).called(name)
    }

    /// The administrator of the settings.
    pub fn administrator() -> Self {
        Origin::Administrator.called(ADMINISTRATOR)
    }

    /// EMCP itself.
    pub fn platform() -> Self {
        Origin::Platform.called(PLATFORM)
    }

    /// What a test of a connection knocks as.
    pub fn connection_test() -> Self {
        Origin::ConnectionTest.called(CONNECTION_TEST)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Principal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Principal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A principal as kept: what it is called now, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPrincipal {
    /// What they are called.
    pub name: String,
    /// Whence, which says who it is.
    pub origin: Origin,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn who_somebody_is_follows_from_where_they_come_from_and_never_changes() {
        let token = TokenId("01980000-0000-7000-8000-000000000001".parse().unwrap());
        // In records: another id would be another person.
        for (origin, id) in [
            (
                Origin::Administrator,
                "00000000-0000-8000-8000-000000000001",
            ),
            (Origin::Platform, "00000000-0000-8000-8000-000000000002"),
            (
                Origin::ConnectionTest,
                "00000000-0000-8000-8000-000000000003",
            ),
            (
                Origin::of_name("ada"),
                "b6138293-819c-8c90-b6ff-412683acec11",
            ),
            (Origin::Token(token), "e02e62ba-ab95-82d7-bd2d-0fd149112256"),
        ] {
            assert_eq!(origin.id().to_string(), id, "{origin:?}");
        }
        assert_eq!(Origin::of_name("admin"), Origin::Administrator);
    }

    #[test]
    fn no_name_leads_to_somebody_elses_id() {
        let token = TokenId(Uuid::now_v7());
        let mut ids = BTreeSet::new();
        let names = ["ada", "Ada", "ada 2", "EMCP", "connection test", "admin"];
        for name in names.into_iter().chain([token.to_string().as_str()]) {
            assert!(ids.insert(Principal::by_name(name).id), "{name}");
        }
        for other in [
            Origin::Platform,
            Origin::ConnectionTest,
            Origin::Token(token),
        ] {
            assert!(ids.insert(other.id()), "{other:?}");
        }
    }

    #[test]
    fn the_same_name_makes_nobody_the_same_and_another_name_nobody_another() {
        let ada = Principal::by_name("ada");
        assert_ne!(ada, Origin::Token(TokenId(Uuid::now_v7())).called("ada"));
        assert_eq!(ada, Origin::of_name("ada").called("Ada Lovelace"));
    }
}
