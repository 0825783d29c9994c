//! How much a server may tell EMCP within one conversation. What it sends is
//! counted before it is parsed: parsed, some texts take a hundred times their
//! length (`[{},{},…]`), so that is estimated too.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::model::json_weight_bytes;

/// The limits of one conversation.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all answers and events together.
    pub bytes: u64,
    /// Bytes of memory that they may take when parsed, as estimated.
    pub weight_bytes: u64,
}

impl Bounds {
    /// For what somebody looks at: lists and results.
    pub const TRIAL: Self = Self {
        bytes: 3 * 1024 * 1024,
        weight_bytes: 6 * 1024 * 1024,
    };
    /// For a handshake alone.
    pub const HANDSHAKE: Self = Self {
        bytes: 256 * 1024,
        weight_bytes: 1024 * 1024,
    };
}

/// A server told more than it may.
#[derive(Debug, thiserror::Error)]
#[error("the server sends more than EMCP reads")]
pub(super) struct TooMuch;

/// What is left of a conversation's bounds.
pub(super) struct Allowance {
    bytes: AtomicU64,
    weight_bytes: AtomicU64,
    spent: CancellationToken,
}

impl Allowance {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bytes: AtomicU64::new(bounds.bytes),
            weight_bytes: AtomicU64::new(bounds.weight_bytes),
            spent: CancellationToken::new(),
        }
    }

    /// Counts what has been received.
    pub(super) fn take(&self, bytes: &[u8]) -> Result<(), TooMuch> {
        self.subtract(&self.bytes, bytes.len() as u64)
    }

    /// Counts what is about to be parsed.
    pub(super) fn parse(&self, json: &[u8]) -> Result<(), TooMuch> {
        self.subtract(&self.weight_bytes, json_weight_bytes(json))
    }

    /// Whether the server has told too much.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.is_cancelled()
    }

    /// Ends when the server has told too much.
    pub(super) async fn until_spent(&self) {
        self.spent.cancelled().await;
    }

    fn subtract(&self, left: &AtomicU64, amount: u64) -> Result<(), TooMuch> {
        let fits = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(amount)
            })
            .is_ok();
        if fits && !self.is_spent() {
            return Ok(());
        }
        self.spent.cancel();
        Err(TooMuch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_too_much_was_told_nothing_more_is_taken() {
        let allowance = Allowance::new(Bounds {
            bytes: 10,
            weight_bytes: 1_000,
        });
        assert!(allowance.take(b"12345").is_ok());
        assert!(!allowance.is_spent());
        assert!(allowance.take(b"123456").is_err());
        assert!(allowance.is_spent());
        assert!(allowance.take(b"1").is_err());
    }
}
