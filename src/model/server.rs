//! What a user asked for.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Effect, Error, Principal, PrincipalId, Result, ServerName, ServerSettings};

/// A server's identity for life: a UUIDv7, so ids sort by age.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct ServerId(Uuid);

impl ServerId {
    /// A new id for a server created now.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as the store's key.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id from the store's key.
    pub fn from_u128(raw: u128) -> Self {
        Self(Uuid::from_u128(raw))
    }
}

impl Default for ServerId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// What the user wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// A container is to serve it.
    Running,
    /// No container is to run.
    Stopped,
}

/// Which of the image's two Python environments serves the file
/// (`base-image/README.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeChoice {
    /// The bootstrap decides by what the file imports.
    #[default]
    Auto,
    /// mcp 1.x and fastmcp 3.
    Mcp1,
    /// mcp 2.x and fastmcp 4.
    Mcp2,
}

impl RuntimeChoice {
    /// The word used in the API and in the container contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mcp1 => "mcp1",
            Self::Mcp2 => "mcp2",
        }
    }
}

impl FromStr for RuntimeChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "mcp1" => Ok(Self::Mcp1),
            "mcp2" => Ok(Self::Mcp2),
            _ => Err(Error::invalid(
                "invalid_runtime",
                "runtime",
                "the runtime must be \"auto\", \"mcp1\" or \"mcp2\"",
            )),
        }
    }
}

/// Where a server's own connections may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Wherever the host's network leads, but for what the firewall closes.
    #[default]
    Open,
    /// Nowhere: it answers requests and can begin none.
    None,
}

impl FromStr for Egress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "open" => Ok(Self::Open),
            "none" => Ok(Self::None),
            _ => Err(Error::invalid(
                "invalid_egress",
                "egress",
                "egress must be \"open\" or \"none\"",
            )),
        }
    }
}

/// What a container may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory in bytes; swap is not given on top.
    #[schema(minimum = 67_108_864, maximum = 1_099_511_627_776_u64)]
    pub memory_bytes: u64,
    /// CPUs, in cores.
    #[schema(minimum = 0.05, maximum = 256)]
    pub cpus: f64,
    /// Processes and threads.
    #[schema(minimum = 16, maximum = 32_768)]
    pub pids: u32,
}

/// New values for some limits; the others stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPatch {
    /// See [`Limits::memory_bytes`].
    #[schema(minimum = 67_108_864, maximum = 1_099_511_627_776_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// See [`Limits::cpus`].
    #[schema(minimum = 0.05, maximum = 256)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// See [`Limits::pids`].
    #[schema(minimum = 16, maximum = 32_768)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 512 * 1024 * 1024,
            cpus: 1.0,
            pids: 128,
        }
    }
}

impl Limits {
    /// The least that a Python server can be held to.
    pub const LOWEST: Self = Self {
        memory_bytes: 64 * 1024 * 1024,
        cpus: 0.05,
        pids: 16,
    };
    /// The most that Docker is asked for, on whatever host.
    pub const HIGHEST: Self = Self {
        memory_bytes: 1024 * 1024 * 1024 * 1024,
        cpus: 256.0,
        pids: 32_768,
    };

    /// These limits with some replaced.
    #[must_use]
    pub fn patched(self, patch: LimitsPatch) -> Self {
        Self {
            memory_bytes: patch.memory_bytes.unwrap_or(self.memory_bytes),
            cpus: patch.cpus.unwrap_or(self.cpus),
            pids: patch.pids.unwrap_or(self.pids),
        }
    }

    /// Checks the values against what Docker takes and a Python server needs.
    ///
    /// # Errors
    /// `invalid_limits` naming the limit that is out of range.
    pub fn checked(self) -> Result<Self> {
        let (least, most) = (Self::LOWEST, Self::HIGHEST);
        let refuse = |message: &str| Err(Error::invalid("invalid_limits", "limits", message));
        if !(least.memory_bytes..=most.memory_bytes).contains(&self.memory_bytes) {
            return refuse("memory_bytes must be from 67108864 (64 MiB) to 1099511627776 (1 TiB)");
        }
        if !self.cpus.is_finite() || !(least.cpus..=most.cpus).contains(&self.cpus) {
            return refuse("cpus must be from 0.05 to 256");
        }
        if !(least.pids..=most.pids).contains(&self.pids) {
            return refuse("pids must be from 16 to 32768");
        }
        Ok(self)
    }
}

/// A server as wanted. What is observed is observed of its [`Instance`]s.
///
/// [`Instance`]: super::Instance
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Identity for life.
    pub id: ServerId,
    /// Unique name, part of its URLs.
    pub name: ServerName,
    /// What can be set of it.
    #[serde(flatten)]
    pub settings: ServerSettings,
    /// Who created it.
    pub creator: Principal,
    /// Whom it belongs to as well.
    #[serde(default)]
    pub members: Vec<Principal>,
    /// What the user wants now.
    pub desired: Desired,
    /// Raised by every start, restart and stop: a container of an older
    /// generation is to be replaced.
    pub generation: u64,
    /// Raised by every change that only a new container shows: of environment,
    /// of code, and of the settings that say so.
    pub revision: u64,
    /// Raised by every change of what is neither code nor environment nor a
    /// wish: what a form of its settings shows.
    #[serde(default)]
    pub settings_revision: u64,
    /// Raised whenever its environment is replaced.
    #[serde(default)]
    pub env_revision: u64,
    /// The number of the release in use.
    pub version: u32,
    /// The highest number ever given to a release.
    pub newest_version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything above last changed.
    pub updated_at: Timestamp,
}

impl Server {
    /// A server of which no more than its name is said: it is not wanted to run
    /// yet.
    pub fn new(id: ServerId, name: ServerName, creator: Principal, now: Timestamp) -> Self {
        Self {
            id,
            name,
            settings: ServerSettings::default(),
            creator,
            members: Vec::new(),
            desired: Desired::Stopped,
            generation: 1,
            revision: 1,
            settings_revision: 1,
            env_revision: 1,
            version: 1,
            newest_version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether this person created it or was added to it.
    pub fn belongs_to(&self, person: PrincipalId) -> bool {
        self.owners().any(|owner| owner.id == person)
    }

    /// Whoever it belongs to, its creator first.
    pub fn owners(&self) -> impl Iterator<Item = &Principal> {
        std::iter::once(&self.creator).chain(&self.members)
    }

    /// A new wish for the same thing, where it is wanted to run: its container
    /// is replaced.
    pub fn wish_again_if_running(&mut self) {
        if self.desired == Desired::Running {
            self.generation += 1;
        }
    }

    /// Takes other settings over, with what their change takes.
    ///
    /// # Errors
    /// `server_held` for what would replace the container of a held server.
    pub fn set(&mut self, settings: ServerSettings) -> Result<()> {
        let changes = settings.changes_since(&self.settings);
        self.settings = settings;
        self.settings_revision += 1;
        let restarts = changes
            .iter()
            .find(|change| change.effect == Effect::Restart);
        if let Some(change) = restarts {
            if self.settings.hold {
                return Err(held(change.field));
            }
            self.wish_again_if_running();
        }
        let is_live = changes.iter().all(|change| change.effect == Effect::Live);
        self.revision += u64::from(!is_live);
        Ok(())
    }

    /// The path prefix of its public URLs.
    pub fn path_prefix(&self) -> String {
        format!("/api/{}", self.name)
    }
}

/// A held server's containers stay as they are, in the network they are in.
fn held(field: &'static str) -> Error {
    Error::Conflict {
        code: "server_held",
        field: Some(field),
        message: format!(
            "{field} cannot change while the server is held, since that takes a new container; send \"hold\":false first"
        ),
    }
}
