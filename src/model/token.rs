//! Access tokens: the secret a client holds, and the record EMCP keeps.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, OwnQuota, Principal, ServerId};

/// The name of the administrator's token from the settings: nobody else's.
pub const ADMINISTRATOR: &str = "admin";
/// In whose name EMCP itself acts, where it acts in a name.
pub const PLATFORM: &str = "EMCP";
/// The name of the token that a connection test uses.
pub const CONNECTION_TEST: &str = "connection test";

const NAME_MAX_CHARS: usize = 64;

/// A token's identity; not a secret.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct TokenId(pub Uuid);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a token allows, from most to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Create servers; change and call those that are theirs.
    Developer,
    /// See servers, change nothing.
    Viewer,
    /// Call servers through the gate, nothing else.
    Connect,
}

/// The secret itself: `emcp_` and 256 random bits.
#[derive(Clone)]
pub struct TokenSecret(SecretString);

impl TokenSecret {
    /// A secret from the caller's random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(SecretString::from(format!("emcp_{}", hex::encode(bytes))))
    }

    /// The text to hand out, once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The hash that is kept in place of the secret. A plain SHA-256 is right
    /// here: 256 random bits cannot be searched, so a slow hash adds nothing.
    pub fn hash_of(text: &str) -> [u8; 32] {
        Sha256::digest(text.as_bytes()).into()
    }
}

/// What a credential allows whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What, from most to least.
    pub role: Role,
    /// For `connect`: the servers it may call; `None` means all.
    pub servers: Option<Vec<ServerId>>,
    /// For `connect`: the developer whose servers they must be, if one has made
    /// it.
    pub bound_to: Option<Principal>,
}

/// A credential as kept: no secret, only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Identity, for listing and revoking.
    pub id: TokenId,
    /// Whom it shows.
    pub principal: Principal,
    /// What it allows them.
    pub grant: Grant,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Principal,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it last opened something. Written in batches: after a crash it may
    /// be a minute too old.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// Where the quota of its holder is not the platform's.
    #[serde(default)]
    pub quota: OwnQuota,
}

/// Checks what somebody is called: in histories, in a server's `members` and, as
/// a header, to servers (`X-Emcp-User`).
///
/// # Errors
/// `code`, naming `field`.
pub fn check_person(text: &str, code: &'static str, field: &'static str) -> Result<String, Error> {
    let name = text.trim();
    let fits = !name.is_empty()
        && name.chars().count() <= NAME_MAX_CHARS
        && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if fits {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(
        code,
        field,
        "a name must be 1 to 64 printable ASCII characters",
    ))
}

/// Checks the name of a new token: it stands for one person, and for neither
/// EMCP nor the administrator, however it is spaced or cased.
///
/// # Errors
/// `invalid_token_name`, `reserved_token_name`, or `token_name_taken` for the
/// administrator's.
pub fn check_new_token_name(text: &str) -> Result<String, Error> {
    let name = check_person(text, "invalid_token_name", "name")?;
    if name.contains("  ") {
        return Err(Error::invalid(
            "invalid_token_name",
            "name",
            "a name may not have two spaces in a row: it would look like another",
        ));
    }
    if name.eq_ignore_ascii_case(ADMINISTRATOR) {
        return Err(Error::token_name_taken(&name, &format!("{name} 2")));
    }
    let letters = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    let reserved = [ADMINISTRATOR, PLATFORM, CONNECTION_TEST];
    if reserved.iter().any(|word| letters(word) == letters(&name)) {
        return Err(Error::invalid(
            "reserved_token_name",
            "name",
            format!("\"{name}\" is a name EMCP uses itself; choose another"),
        ));
    }
    Ok(name)
}

/// A name like the one wanted that is not among those taken, which are given in
/// lower case: "laptop" leads to "laptop 2", and that to "laptop 3".
pub fn free_token_name(wanted: &str, taken: &BTreeSet<String>) -> String {
    let base = match wanted.rsplit_once(' ') {
        Some((base, number)) if number.parse::<u32>().is_ok() => base,
        _ => wanted,
    };
    let numbered = |number: usize| {
        let end = format!(" {number}");
        let room = NAME_MAX_CHARS - end.len();
        let base: String = base.chars().take(room).collect();
        format!("{}{end}", base.trim_end())
    };
    // One of so many is free, since fewer are taken.
    (2..=taken.len() + 2)
        .map(numbered)
        .find(|name| !taken.contains(&name.to_ascii_lowercase()))
        .unwrap_or_else(|| numbered(taken.len() + 2))
}

impl Token {
    /// Whether the token still works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl Grant {
    /// All that a role allows.
    pub fn of_role(role: Role) -> Self {
        Self {
            role,
            servers: None,
            bound_to: None,
        }
    }

    /// Whether it is a `connect` grant for this server: it names it, or is for
    /// all.
    pub fn is_for(&self, server: ServerId) -> bool {
        let named = self.servers.as_ref();
        self.role == Role::Connect && named.is_none_or(|named| named.contains(&server))
    }

    /// The one server that it is for, where it is a `connect` grant for exactly
    /// one.
    pub fn only_server(&self) -> Option<ServerId> {
        match self.servers.as_deref() {
            Some(&[server]) if self.role == Role::Connect => Some(server),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_leads_to_a_free_one_that_is_as_good() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let free = |wanted, names: &[&str]| free_token_name(wanted, &taken(names));
        assert_eq!(free("Laptop", &["laptop"]), "Laptop 2");
        assert_eq!(
            free("laptop", &["laptop", "laptop 2", "laptop 3"]),
            "laptop 4"
        );
        assert_eq!(free("laptop 2", &["laptop", "laptop 2"]), "laptop 3");
        assert_eq!(free("laptop 2", &["laptop 2", "other"]), "laptop 3");
        let long = "a".repeat(NAME_MAX_CHARS);
        let proposed = free(&long, &[&long]);
        assert_eq!(proposed, format!("{} 2", "a".repeat(NAME_MAX_CHARS - 2)));
        assert_eq!(check_new_token_name(&proposed).unwrap(), proposed);
        let spaced = format!("{} b", "a".repeat(NAME_MAX_CHARS - 2));
        assert!(check_new_token_name(&free(&spaced, &[&spaced])).is_ok());
    }

    #[test]
    fn a_token_is_not_called_what_emcp_calls_itself() {
        for reserved in [
            "ad min",
            " EMCP ",
            "emcp",
            "e m c p",
            "connection test",
            "Connection Test",
            "connectiontest",
        ] {
            let error = check_new_token_name(reserved).unwrap_err();
            assert_eq!(error.code(), "reserved_token_name", "{reserved}");
        }
        for look_alike in [
            "connection\u{a0}test",
            "connection\ttest",
            "connection  test",
            "ada  lovelace",
            "\u{415}MCP",
        ] {
            let error = check_new_token_name(look_alike).unwrap_err();
            assert_eq!(error.code(), "invalid_token_name", "{look_alike:?}");
        }
        for good in ["ada", "connection tests", "emcp-ci", " Ada Lovelace "] {
            assert_eq!(check_new_token_name(good).unwrap(), good.trim());
        }
    }
}
