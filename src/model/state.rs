//! What is observed of a server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ContainerId, Desired, Fault, Reason, Serves, SleepDepth};

/// What a server is doing, as shown to people.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No container runs and none is wanted.
    Stopped,
    /// Its container is being made.
    Building,
    /// Its container runs and does not answer yet, or Traefik has no route.
    Starting,
    /// It answers, an MCP handshake if it has an endpoint for one, and Traefik
    /// routes to it.
    Running,
    /// Its container runs, it was running, and it answers nobody any more.
    Unresponsive,
    /// Put to sleep for being idle; the next request wakes it.
    Sleeping,
    /// It failed; the reason and the last lines of its output are kept.
    Error,
}

impl Status {
    /// Every status, for counts that show zeros too.
    pub const ALL: [Self; 7] = [
        Self::Stopped,
        Self::Building,
        Self::Starting,
        Self::Running,
        Self::Unresponsive,
        Self::Sleeping,
        Self::Error,
    ];

    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Building => "building",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unresponsive => "unresponsive",
            Self::Sleeping => "sleeping",
            Self::Error => "error",
        }
    }
}

/// Why a run failed, and what it left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What went wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// The line of the user's file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// The last lines the container wrote.
    #[serde(default)]
    #[schema(required = true)]
    pub log_tail: Vec<String>,
    /// When it failed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What EMCP has seen of an instance; kept across restarts of EMCP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The status shown.
    pub status: Status,
    /// Why it is so.
    pub reason: Reason,
    /// When the status last changed.
    pub since: Timestamp,
    /// The wish this state answers: `Server::generation`.
    pub generation: u64,
    /// `Server::revision` that the present container was made from: that of its
    /// instance.
    pub applied_revision: Option<u64>,
    /// The present container.
    pub container_id: Option<ContainerId>,
    /// Exit code of the last run that ended.
    pub exit_code: Option<i64>,
    /// The last failure; kept until the server runs by a new wish. One that
    /// EMCP mended by itself is still worth a look.
    pub last_error: Option<Failure>,
    /// Restarts after failures since the last wish.
    pub restarts: u32,
    /// Failures in a row without a healthy stretch between them.
    pub quick_failures: u32,
    /// When the next attempt is due.
    pub retry_at: Option<Timestamp>,
    /// True once no further attempt is made until the user acts.
    pub gave_up: bool,
    /// The run whose end is already accounted for: container id and start.
    pub accounted_run: Option<String>,
    /// The run that was found ready: `Run::key`.
    pub ready_run: Option<String>,
    /// When the present run started.
    pub started_at: Option<Timestamp>,
    /// What the last run that got ready serves; not known before one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<Serves>,
}

impl RunState {
    /// The state of a server that never ran.
    pub fn never_ran(now: Timestamp) -> Self {
        Self {
            status: Status::Stopped,
            reason: Reason::NotStarted,
            since: now,
            generation: 0,
            applied_revision: None,
            container_id: None,
            exit_code: None,
            last_error: None,
            restarts: 0,
            quick_failures: 0,
            retry_at: None,
            gave_up: false,
            accounted_run: None,
            ready_run: None,
            started_at: None,
            serves: None,
        }
    }

    /// The state of a server that answers: its last failure is of the past,
    /// and forgotten unless this wish has met it.
    pub fn recovered(&self) -> Self {
        let last_error = self.last_error.clone().filter(|_| self.restarts > 0);
        Self {
            last_error,
            ..self.clone()
        }
    }

    /// How deep it sleeps. A sleeping server that has a container is paused;
    /// what is frozen needs one, and what is stopped has none.
    pub fn sleep_depth(&self) -> SleepDepth {
        match (self.status, &self.container_id) {
            (Status::Sleeping, Some(_)) => SleepDepth::Paused,
            (Status::Sleeping, None) => SleepDepth::Stopped,
            _ => SleepDepth::Awake,
        }
    }

    /// The state of the same server asleep, with its container frozen or given
    /// up.
    pub fn asleep(&self, depth: SleepDepth, reason: Reason) -> Self {
        let paused = Self {
            status: Status::Sleeping,
            reason,
            ..self.clone()
        };
        if depth == SleepDepth::Paused {
            return paused;
        }
        Self {
            container_id: None,
            applied_revision: None,
            ready_run: None,
            started_at: None,
            quick_failures: 0,
            ..paused
        }
    }

    /// True where nothing more is to come of this wish without a retry.
    pub fn is_settled(&self, generation: u64, desired: Desired) -> bool {
        self.generation == generation
            && match desired {
                Desired::Stopped => self.status == Status::Stopped,
                Desired::Running => matches!(
                    self.status,
                    Status::Running | Status::Unresponsive | Status::Sleeping | Status::Error
                ),
            }
    }

    /// The state with which a new wish begins: what was counted against the
    /// last one is forgotten, the last failure is still shown. A server that
    /// is to run is no longer what it was, even if that was running: its
    /// container is about to be replaced.
    pub fn for_wish(&self, generation: u64, desired: Desired) -> Self {
        let (status, reason) = match desired {
            Desired::Running => (Status::Building, Reason::StartPending),
            Desired::Stopped => (self.status, Reason::StopPending),
        };
        Self {
            status,
            reason,
            generation,
            ready_run: None,
            restarts: 0,
            quick_failures: 0,
            retry_at: None,
            gave_up: false,
            ..self.clone()
        }
    }
}
