//! What goes wrong between EMCP and the fake engine.

use std::collections::VecDeque;
use std::time::Duration;

/// A wish of EMCP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Connect,
    Info,
    BeganAt,
    List,
    Mounted,
    Inspect,
    Create,
    OpenDisk,
    Start,
    Stop,
    Pause,
    Unpause,
    Remove,
    Attach,
    RunOnce,
    Usage,
    Output,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done, a while later.
    Slow(Duration),
    /// It is not done, and there is no answer.
    Unreachable,
    /// It is done, and there is no answer.
    AnswerLost,
    /// The engine refuses.
    Refused,
    /// There is no such image; for [`Op::Create`].
    ImageMissing,
    /// The disk cannot be had; for [`Op::Create`].
    NoStorage,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: VecDeque<(Op, Fault)>,
    /// Which of the next events are lost; again from the beginning after that.
    lost_events: VecDeque<bool>,
}

impl Faults {
    /// The next call of this kind goes wrong so.
    pub(crate) fn next(&mut self, op: Op, fault: Fault) {
        self.next.push_back((op, fault));
    }

    /// Of the next events these are lost, and of those after them the same.
    pub(crate) fn lose_events(&mut self, which: impl IntoIterator<Item = bool>) {
        self.lost_events = which.into_iter().collect();
    }

    /// No more of all that.
    pub(crate) fn end(&mut self) {
        self.next.clear();
        self.lost_events.clear();
    }

    pub(super) fn of(&mut self, op: Op) -> Option<Fault> {
        let at = self.next.iter().position(|(of, _)| *of == op)?;
        self.next.remove(at).map(|(_, fault)| fault)
    }

    pub(super) fn loses_event(&mut self) -> bool {
        let is_lost = self.lost_events.pop_front().unwrap_or(false);
        self.lost_events.push_back(is_lost);
        is_lost
    }
}
