//! A server's history: what happened to it, when, and by whom.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Principal, Reason, Status};

/// One line of a server's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What kind: a status word, or `created`, `changed`, `code`, `env`,
    /// `action`.
    pub kind: String,
    /// What, with `code` and `args`.
    #[serde(flatten)]
    pub what: Happening,
    /// Who, where a person did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Principal>,
}

impl Event {
    /// A server came into a state, or into the same one for another reason.
    pub fn of_state(at: Timestamp, status: Status, reason: Reason) -> Self {
        Self {
            at,
            kind: status.as_str().to_owned(),
            what: Happening::State(reason),
            actor: None,
        }
    }

    /// EMCP did something by itself.
    pub fn of_housekeeping(at: Timestamp, deed: Deed) -> Self {
        Self {
            at,
            kind: deed.kind().to_owned(),
            what: Happening::Deed(deed),
            actor: None,
        }
    }

    /// Somebody did something.
    pub fn of_deed(at: Timestamp, deed: Deed, actor: &Principal) -> Self {
        Self {
            at,
            kind: deed.kind().to_owned(),
            what: Happening::Deed(deed),
            actor: Some(actor.clone()),
        }
    }
}

/// What can happen to a server. No code is both a reason's and a deed's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Happening {
    /// It came into a state for this reason.
    State(Reason),
    /// Somebody did this.
    Deed(Deed),
}

impl Happening {
    /// What an EMCP without codes wrote down as a sentence.
    pub fn from_words(text: &str) -> Self {
        let fixed = FIXED.into_iter().find(|deed| deed.to_string() == text);
        fixed.map_or_else(|| Self::State(Reason::from_words(text)), Self::Deed)
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(reason) => reason.fmt(f),
            Self::Deed(deed) => deed.fmt(f),
        }
    }
}

/// What a person, or EMCP by itself, does to a server. `code` is stable; `args` is there where the
/// code has any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum Deed {
    /// It was created.
    Created,
    /// Its settings were changed.
    SettingsChanged,
    /// A start was asked for.
    StartAsked,
    /// A start was asked for while it slept.
    WakeAsked,
    /// A stop was asked for.
    StopAsked,
    /// A restart was asked for.
    RestartAsked,
    /// New code was uploaded.
    CodeUploaded {
        /// Its number.
        version: u32,
    },
    /// An earlier version was put into use.
    VersionActivated {
        /// Its number.
        version: u32,
    },
    /// Old versions of its code were removed.
    VersionsPruned {
        /// How many.
        versions: usize,
        /// The highest number among them.
        newest: u32,
    },
    /// Its environment was replaced.
    EnvironmentSet {
        /// How many variables it has now.
        variables: usize,
    },
}

/// Those that always say the same.
const FIXED: [Deed; 6] = [
    Deed::Created,
    Deed::SettingsChanged,
    Deed::StartAsked,
    Deed::WakeAsked,
    Deed::StopAsked,
    Deed::RestartAsked,
];

impl Deed {
    fn kind(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::SettingsChanged => "changed",
            Self::StartAsked | Self::WakeAsked | Self::StopAsked | Self::RestartAsked => "action",
            Self::CodeUploaded { .. }
            | Self::VersionActivated { .. }
            | Self::VersionsPruned { .. } => "code",
            Self::EnvironmentSet { .. } => "env",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("it was created"),
            Self::SettingsChanged => f.write_str("its settings were changed"),
            Self::StartAsked => f.write_str("a start was asked for"),
            Self::WakeAsked => f.write_str("a start was asked for while it slept"),
            Self::StopAsked => f.write_str("a stop was asked for"),
            Self::RestartAsked => f.write_str("a restart was asked for"),
            Self::CodeUploaded { version } => {
                write!(f, "version {version} of its code was uploaded")
            }
            Self::VersionActivated { version } => {
                write!(f, "version {version} was put into use")
            }
            Self::VersionsPruned { versions, newest } => {
                write!(
                    f,
                    "old versions of its code were removed: {versions}, the newest of them {newest}"
                )
            }
            Self::EnvironmentSet { variables } => {
                write!(f, "its environment was set: {variables} variables")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn an_event_has_its_code_and_arguments_and_comes_back_as_it_was() {
        let actor = Principal::by_name("ann");
        let upload = Event::of_deed(NOW, Deed::CodeUploaded { version: 3 }, &actor);
        assert_eq!(
            serde_json::to_value(&upload).unwrap(),
            json!({
                "at": "1970-01-01T00:00:00Z", "kind": "code", "actor": actor,
                "code": "code_uploaded", "args": {"version": 3},
            })
        );
        let reason = Reason::PausedIdle { idle_secs: 5 };
        let asleep = Event::of_state(NOW, Status::Sleeping, reason);
        let created = Event::of_deed(NOW, Deed::Created, &actor);
        for event in [upload, asleep, created] {
            let value = serde_json::to_value(&event).unwrap();
            assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
        }
    }

    #[test]
    fn a_sentence_of_before_is_known_again_or_kept_as_it_is() {
        for deed in FIXED {
            let text = deed.to_string();
            assert_eq!(Happening::from_words(&text), Happening::Deed(deed));
        }
        let serving = Happening::State(Reason::Serving);
        assert_eq!(Happening::from_words(&serving.to_string()), serving);
        let text = "version 3 of its code was uploaded";
        assert_eq!(Happening::from_words(text).to_string(), text);
    }
}
