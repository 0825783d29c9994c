//! What one server and one person may have at most, and the refusals that name
//! the limit, the use, and who can raise it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Limits, Result};

const MIB: u64 = 1024 * 1024;
/// Processes and threads of one server, unless the settings say otherwise: many
/// times what a Python server needs, and an eighth of what Linux has by default.
const PIDS_MAX: u32 = 4_096;
/// Storage of one server, unless the settings say otherwise.
const STORAGE_MAX_BYTES: u64 = 10 * 1024 * MIB;
/// The largest number that every JSON reader holds exactly (RFC 8259 §6).
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The highest limits that any one server may be given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Maxima {
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// CPUs, in cores.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
}

impl Maxima {
    /// Shares of a host: half its memory and all its CPUs. What is not known of
    /// it (0) is not bounded beyond what [`Limits`] are anyway.
    pub fn of_host(memory_bytes: u64, cpus: u64) -> Self {
        let (lowest, highest) = (Limits::LOWEST, Limits::HIGHEST);
        let share = |known: bool, value: u64, unknown: u64| if known { value } else { unknown };
        Self {
            memory_bytes: share(memory_bytes > 0, memory_bytes / 2, highest.memory_bytes)
                .clamp(lowest.memory_bytes, highest.memory_bytes),
            cpus: (share(cpus > 0, cpus, 256) as f64).clamp(lowest.cpus, highest.cpus),
            pids: PIDS_MAX,
            storage_bytes: STORAGE_MAX_BYTES,
        }
    }

    /// These limits, none above its maximum: what a container is given.
    #[must_use]
    pub fn cap(&self, limits: Limits) -> Limits {
        Limits {
            memory_bytes: limits.memory_bytes.min(self.memory_bytes),
            cpus: limits.cpus.min(self.cpus),
            pids: limits.pids.min(self.pids),
        }
    }

    /// Checks limits that are asked for. One that a server had before stays
    /// possible, so that its other settings can still be changed.
    ///
    /// # Errors
    /// `limit_above_maximum`, naming the limit and who can raise it.
    pub fn check(&self, wanted: &Limits, before: Option<&Limits>) -> Result<()> {
        let refuse = |limit: &str, wanted: String, most: String, setting: &str| {
            Err(Error::invalid(
                "limit_above_maximum",
                "limits",
                format!(
                    "{limit} is {wanted}, and no server may have more than {most} here; ask for less, or ask whoever operates this EMCP to raise {setting}"
                ),
            ))
        };
        let is_new = |same: bool| before.is_none() || !same;
        let had = before.copied().unwrap_or_default();
        if wanted.memory_bytes > self.memory_bytes
            && is_new(wanted.memory_bytes == had.memory_bytes)
        {
            return refuse(
                "memory_bytes",
                wanted.memory_bytes.to_string(),
                format!("{} ({})", self.memory_bytes, in_words(self.memory_bytes)),
                "EMCP_MAX_MEMORY",
            );
        }
        if wanted.cpus > self.cpus && is_new(wanted.cpus == had.cpus) {
            let (wanted, most) = (wanted.cpus.to_string(), self.cpus.to_string());
            return refuse("cpus", wanted, most, "EMCP_MAX_CPUS");
        }
        if wanted.pids > self.pids && is_new(wanted.pids == had.pids) {
            let (wanted, most) = (wanted.pids.to_string(), self.pids.to_string());
            return refuse("pids", wanted, most, "EMCP_MAX_PIDS");
        }
        Ok(())
    }

    /// Checks storage that is asked for.
    ///
    /// # Errors
    /// `limit_above_maximum`, naming the limit and who can raise it.
    pub fn check_storage(&self, wanted_bytes: u64) -> Result<()> {
        if wanted_bytes <= self.storage_bytes {
            return Ok(());
        }
        Err(Error::invalid(
            "limit_above_maximum",
            "storage",
            format!(
                "storage.size_bytes is {wanted_bytes}, and no server may have more than {} ({}) here; ask for less, or ask whoever operates this EMCP to raise EMCP_MAX_STORAGE",
                self.storage_bytes,
                in_words(self.storage_bytes)
            ),
        ))
    }
}

/// What one person may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// Servers that the person has created.
    pub servers: u64,
    /// The memory limits of those of them that are wanted running, together.
    pub memory_bytes: u64,
    /// Their code versions, variables, descriptions and storage, in bytes.
    pub stored_bytes: u64,
    /// Tokens that the person has made and not revoked.
    pub tokens: u64,
    /// Calls within a minute that change something.
    pub writes_per_minute: u64,
}

/// The quota of one person, where it is not the platform's. What is absent is
/// as the platform says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnQuota {
    /// See [`Quota::servers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub servers: Option<u64>,
    /// See [`Quota::memory_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub memory_bytes: Option<u64>,
    /// See [`Quota::stored_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub stored_bytes: Option<u64>,
    /// See [`Quota::tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub tokens: Option<u64>,
    /// See [`Quota::writes_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    pub writes_per_minute: Option<u64>,
}

impl OwnQuota {
    /// The quota that holds, given the platform's.
    #[must_use]
    pub fn over(&self, platform: Quota) -> Quota {
        Quota {
            servers: self.servers.unwrap_or(platform.servers),
            memory_bytes: self.memory_bytes.unwrap_or(platform.memory_bytes),
            stored_bytes: self.stored_bytes.unwrap_or(platform.stored_bytes),
            tokens: self.tokens.unwrap_or(platform.tokens),
            writes_per_minute: self.writes_per_minute.unwrap_or(platform.writes_per_minute),
        }
    }

    /// Checks what somebody wrote.
    ///
    /// # Errors
    /// `invalid_quota`.
    pub fn checked(self) -> Result<Self> {
        let all = [
            self.servers,
            self.memory_bytes,
            self.stored_bytes,
            self.tokens,
            self.writes_per_minute,
        ];
        if all.into_iter().flatten().any(|number| number > NUMBER_MAX) {
            return Err(Error::invalid(
                "invalid_quota",
                "quota",
                format!("a quota is at most {NUMBER_MAX}"),
            ));
        }
        if self.writes_per_minute == Some(0) {
            return Err(Error::invalid(
                "invalid_quota",
                "quota",
                "writes_per_minute must be 1 or more; who is to change nothing gets a token with the role viewer",
            ));
        }
        Ok(self)
    }
}

/// What a person has, or one server's share of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// See [`Quota::servers`].
    pub servers: u64,
    /// See [`Quota::memory_bytes`].
    pub memory_bytes: u64,
    /// See [`Quota::stored_bytes`].
    pub stored_bytes: u64,
    /// See [`Quota::tokens`].
    pub tokens: u64,
}

impl Holdings {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            servers: self.servers + other.servers,
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            stored_bytes: self.stored_bytes.saturating_add(other.stored_bytes),
            tokens: self.tokens + other.tokens,
        }
    }

    /// By how much these are more than `before`, each by itself.
    #[must_use]
    pub fn more_than(self, before: Self) -> Self {
        Self {
            servers: self.servers.saturating_sub(before.servers),
            memory_bytes: self.memory_bytes.saturating_sub(before.memory_bytes),
            stored_bytes: self.stored_bytes.saturating_sub(before.stored_bytes),
            tokens: self.tokens.saturating_sub(before.tokens),
        }
    }
}

impl Quota {
    /// Refuses a change that brings `person` to more than this. Who has more
    /// already, since the quota was lowered, may go on with whatever does not
    /// add to it.
    ///
    /// # Errors
    /// `quota_servers`, `quota_memory`, `quota_storage` or `quota_tokens`.
    pub fn require(&self, person: &str, grown_by: Holdings, to: Holdings) -> Result<()> {
        let refuse = |code, what: String, setting: &str| {
            Err(Error::Forbidden {
                code,
                message: format!(
                    "{what}; an administrator can raise the quota of \"{person}\" (PATCH /api/tokens/{{id}}), or everybody's in {setting}"
                ),
            })
        };
        if grown_by.servers > 0 && to.servers > self.servers {
            let has = to.servers - grown_by.servers;
            return refuse(
                "quota_servers",
                format!(
                    "\"{person}\" has {has} of at most {} servers; delete one first",
                    self.servers
                ),
                "EMCP_QUOTA_SERVERS",
            );
        }
        if grown_by.memory_bytes > 0 && to.memory_bytes > self.memory_bytes {
            return refuse(
                "quota_memory",
                format!(
                    "the memory limits of the servers of \"{person}\" that are to run would be {} together, at most {} are allowed; stop one or lower a limit first",
                    in_words(to.memory_bytes),
                    in_words(self.memory_bytes)
                ),
                "EMCP_QUOTA_MEMORY",
            );
        }
        if grown_by.stored_bytes > 0 && to.stored_bytes > self.stored_bytes {
            return refuse(
                "quota_storage",
                format!(
                    "the servers of \"{person}\" would have {} stored, at most {} are allowed; delete servers first, or wait until old versions are removed",
                    in_words(to.stored_bytes),
                    in_words(self.stored_bytes)
                ),
                "EMCP_QUOTA_STORAGE",
            );
        }
        if grown_by.tokens > 0 && to.tokens > self.tokens {
            let has = to.tokens - grown_by.tokens;
            return refuse(
                "quota_tokens",
                format!(
                    "\"{person}\" has made {has} of at most {} tokens; revoke one first",
                    self.tokens
                ),
                "EMCP_QUOTA_TOKENS",
            );
        }
        Ok(())
    }
}

fn in_words(bytes: u64) -> String {
    if bytes >= MIB {
        format!("{} MiB", bytes.div_ceil(MIB))
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    fn quota() -> Quota {
        Quota {
            servers: 2,
            memory_bytes: GIB,
            stored_bytes: MIB,
            tokens: 3,
            writes_per_minute: 60,
        }
    }

    #[test]
    fn a_host_is_shared_and_an_unknown_one_is_not_guessed() {
        let maxima = Maxima::of_host(24 * GIB, 8);
        assert_eq!((maxima.memory_bytes, maxima.cpus), (12 * GIB, 8.0));
        let unknown = Maxima::of_host(0, 0);
        assert_eq!(unknown.memory_bytes, Limits::HIGHEST.memory_bytes);
        // Never below what a server needs.
        assert_eq!(Maxima::of_host(1, 1).memory_bytes, 64 * MIB);
    }

    #[test]
    fn a_limit_above_its_maximum_is_refused_unless_it_was_there_before() {
        let maxima = Maxima::of_host(24 * GIB, 8);
        let wanted = Limits {
            memory_bytes: 1024 * GIB,
            ..Limits::default()
        };
        let refused = maxima.check(&wanted, None).unwrap_err();
        assert_eq!(refused.code(), "limit_above_maximum");
        let words = refused.to_string();
        assert!(
            words.contains("12884901888") && words.contains("EMCP_MAX_MEMORY"),
            "{words}"
        );
        assert!(maxima.check(&wanted, Some(&wanted)).is_ok());
        let more = Limits {
            cpus: 9.0,
            ..wanted
        };
        let words = maxima.check(&more, Some(&wanted)).unwrap_err().to_string();
        assert!(words.contains("EMCP_MAX_CPUS"), "{words}");
        assert_eq!(maxima.cap(wanted).memory_bytes, 12 * GIB);
    }

    #[test]
    fn only_what_grows_beyond_the_quota_is_refused_and_says_who_can_raise_it() {
        let has = Holdings {
            servers: 5,
            ..Holdings::default()
        };
        assert!(quota().require("ada", Holdings::default(), has).is_ok());
        let one = Holdings {
            servers: 1,
            ..Holdings::default()
        };
        let refused = quota().require("ada", one, has).unwrap_err();
        assert_eq!(refused.code(), "quota_servers");
        let words = refused.to_string();
        for part in [
            "\"ada\" has 4 of at most 2",
            "administrator",
            "EMCP_QUOTA_SERVERS",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert!(
            quota()
                .require("ada", one, Holdings { servers: 2, ..has })
                .is_ok()
        );
    }

    #[test]
    fn an_own_quota_replaces_what_it_names_and_must_make_sense() {
        let own: OwnQuota = serde_json::from_str(r#"{"servers":9}"#).unwrap();
        assert_eq!(own.over(quota()).servers, 9);
        assert_eq!(own.over(quota()).tokens, 3);
        let refused = |text: &str| serde_json::from_str::<OwnQuota>(text).unwrap().checked();
        assert!(refused(r#"{"writes_per_minute":0}"#).is_err());
        assert!(refused(r#"{"servers":9007199254740992}"#).is_err());
        assert!(refused(r#"{"servers":0}"#).is_ok());
    }
}
