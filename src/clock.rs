//! What time it is. A test in which time is stood still, and goes on by leaps,
//! has a clock that does the same.

use std::time::Instant;

use jiff::Timestamp;

/// Tells the time of day.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// The clock of the wall.
    #[default]
    Wall,
    /// The same as tokio's clock, which a test may stop and push on.
    #[cfg(test)]
    Tokio {
        /// What it told at the beginning.
        began_at: Timestamp,
        /// When that was.
        began: tokio::time::Instant,
    },
}

impl Clock {
    /// A clock that goes as tokio's does, from now on.
    #[cfg(test)]
    pub fn of_tokio() -> Self {
        Self::Tokio {
            began_at: Timestamp::now(),
            began: tokio::time::Instant::now(),
        }
    }

    /// The time of day.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Wall => Timestamp::now(),
            #[cfg(test)]
            Self::Tokio { began_at, began } => began_at
                .checked_add(began.elapsed())
                .unwrap_or(Timestamp::MAX),
        }
    }
}

/// For measuring how long something takes: never set back, and no time of day.
pub(crate) fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}
