//! Labels, and the words that they may have.

use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;

/// What tells the series of one metric apart.
pub(super) trait Labels:
    Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static
{
}

impl<T: Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static> Labels for T {}

/// What is done well, and what is not.
const fn outcome_of(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "failed" }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VerdictLabel {
    pub(super) verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabel {
    pub(super) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HttpLabels {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

impl HttpLabels {
    /// Methods are anybody's words, so those that no route takes are one.
    pub(super) fn new(route: &'static str, method: &str, status: u16) -> Self {
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let known = METHODS.into_iter().find(|known| *known == method);
        Self {
            route,
            method: known.unwrap_or("other"),
            status: match status {
                100..200 => "1xx",
                200..300 => "2xx",
                300..400 => "3xx",
                400..500 => "4xx",
                _ => "5xx",
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct GateLabels {
    outcome: &'static str,
    held: bool,
}

impl GateLabels {
    pub(super) const fn new(outcome: GateOutcome, held: bool) -> Self {
        let outcome = match outcome {
            GateOutcome::Allowed => "allowed",
            GateOutcome::Redirected => "redirected",
            GateOutcome::Refused => "refused",
        };
        Self { outcome, held }
    }
}

/// What became of a call at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateOutcome {
    /// It went on to its server.
    Allowed,
    /// It was sent to an address without a key in it.
    Redirected,
    /// It was answered by the gate.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StepLabels {
    step: &'static str,
    outcome: &'static str,
}

impl StepLabels {
    pub(super) const fn new(step: &'static str, is_ok: bool) -> Self {
        let outcome = outcome_of(is_ok);
        Self { step, outcome }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallLabels {
    pub(super) call: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabel {
    outcome: &'static str,
}

impl OutcomeLabel {
    pub(super) const fn new(is_ok: bool) -> Self {
        let outcome = outcome_of(is_ok);
        Self { outcome }
    }
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// The server answers, and Traefik routes to it.
    Ready,
    /// It could not be started, ended, or took too long.
    Failed,
    /// Something else was wished meanwhile.
    Abandoned,
}

impl From<StartOutcome> for OutcomeLabel {
    fn from(outcome: StartOutcome) -> Self {
        let outcome = match outcome {
            StartOutcome::Ready => "ready",
            StartOutcome::Failed => "failed",
            StartOutcome::Abandoned => "abandoned",
        };
        Self { outcome }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CauseLabel {
    cause: &'static str,
}

impl CauseLabel {
    /// EMCP's own codes (`model::KnownFault`). What a server's bootstrap
    /// reported is a word that the server's code could have written: `reported`.
    pub(super) fn of(code: &str) -> Self {
        const KNOWN: [&str; 9] = [
            "out_of_memory",
            "crashed",
            "start_timeout",
            "unresponsive",
            "wants_credential",
            "image_missing",
            "container_failed",
            "storage_failed",
            "contents_unreadable",
        ];
        let known = KNOWN.into_iter().find(|known| *known == code);
        Self {
            cause: known.unwrap_or("reported"),
        }
    }
}
