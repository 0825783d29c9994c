//! A second instance of a server, for tests: nothing else asks for one yet.

use super::App;
use crate::model::{InstanceId, ServerId};

impl App {
    /// Begins an instance of what is wanted of a server now, beside the one that
    /// serves it.
    pub(crate) async fn begin_candidate(&self, id: ServerId, now: jiff::Timestamp) -> InstanceId {
        let pool = self.settings.networks.open();
        let begun = self.store.begin_candidate(id, pool, now).await.unwrap();
        let instance = begun.id;
        self.directory.put_instance(begun);
        self.waker.wake(id);
        instance
    }
}
