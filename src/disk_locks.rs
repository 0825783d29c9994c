//! Who moves a server's container, or copies its disk: never both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::model::ServerId;

/// One lock for each server that has storage.
#[derive(Debug, Default)]
pub struct DiskLocks(Mutex<HashMap<ServerId, Arc<AsyncMutex<()>>>>);

/// While it lives, nobody else starts, stops, freezes or copies.
pub type DiskLock = OwnedMutexGuard<()>;

impl DiskLocks {
    /// Waits for whoever has it.
    pub async fn lock(&self, id: ServerId) -> DiskLock {
        self.of(id).lock_owned().await
    }

    /// Takes it unless somebody has it.
    pub fn try_lock(&self, id: ServerId) -> Option<DiskLock> {
        self.of(id).try_lock_owned().ok()
    }

    /// Of a server that is gone.
    pub fn forget(&self, id: ServerId) {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.remove(&id);
    }

    fn of(&self, id: ServerId) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(id).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_server_has_one_lock_and_another_its_own() {
        let locks = DiskLocks::default();
        let (one, other) = (ServerId::new(), ServerId::new());
        let held = locks.lock(one).await;
        assert!(locks.try_lock(one).is_none());
        assert!(locks.try_lock(other).is_some());
        drop(held);
        assert!(locks.try_lock(one).is_some());
    }
}
