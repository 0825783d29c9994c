//! What becomes of a server's instances where there is more than one.

use super::{Converge, DOCKER_RETRY};
use crate::model::InstanceId;
use crate::trouble;

impl Converge {
    /// Has a candidate serve from now on. Routes follow: one task derives them
    /// from who serves.
    pub(super) async fn switch_to(&self, candidate: InstanceId) {
        match self.parts.store.switch_to(self.id, candidate).await {
            Ok(instances) => {
                trouble::STATES.worked();
                tracing::info!(server = %self.id, instance = %candidate, "another instance serves");
                self.parts.directory.put_instances(self.id, instances);
            }
            Err(error) => {
                trouble::STATES.met(&error);
                self.pause(DOCKER_RETRY).await;
            }
        }
    }

    /// Forgets an instance of which nothing is left; its address rests.
    pub(super) async fn retire(&self, id: InstanceId) {
        let now = self.parts.clock.now();
        match self.parts.store.retire_instance(self.id, id, now).await {
            Ok(()) => {
                trouble::STATES.worked();
                self.parts.directory.remove_instance(self.id, id);
            }
            Err(error) => {
                trouble::STATES.met(&error);
                self.pause(DOCKER_RETRY).await;
            }
        }
    }
}
