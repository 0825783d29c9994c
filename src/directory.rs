//! What EMCP knows of every server, in memory: the one place the gate, the
//! API, the Traefik provider and the reconciler read from. The store stays the
//! truth; whoever writes there tells the directory next.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use secrecy::SecretString;
use tokio::sync::watch;

use crate::activity::Activity;
use crate::liveness::Liveness;
use crate::model::{
    Error, Instance, InstanceId, Instances, Placement, Result, RunState, Server, ServerId,
    ServerName, ServerNetworks,
};
use crate::runtime::Endpoint;

/// A server as wanted and as observed.
#[derive(Clone)]
pub struct Entry {
    /// As wanted.
    pub server: Arc<Server>,
    /// As observed, and as people see it: of the instance that is shown.
    pub state: Arc<RunState>,
    /// Its instances.
    pub instances: Instances,
    /// What the gate shows the container.
    pub gateway_key: Arc<SecretString>,
    /// Who uses it, as the gate sees it.
    pub activity: Arc<Activity>,
    /// Whether it answers, as EMCP hears.
    pub liveness: Arc<Liveness>,
}

impl Entry {
    /// A server of which nobody has heard yet.
    pub fn new(server: Server, instances: Instances, gateway_key: SecretString) -> Self {
        Self {
            server: Arc::new(server),
            state: Arc::clone(&instances.shown().state),
            instances,
            gateway_key: Arc::new(gateway_key),
            activity: Arc::default(),
            liveness: Arc::default(),
        }
    }

    /// A server with one instance, in this state.
    #[cfg(test)]
    pub(crate) fn of_test(server: Server, state: RunState, address: [u8; 4]) -> Self {
        use crate::model::InstanceRole;
        let role = InstanceRole::Serving;
        let instance = Instance::new(&server, role, address.into(), state);
        let key = SecretString::from("gateway");
        Self::new(server, Instances::only(instance), key)
    }

    /// Where its routes lead.
    pub fn place(&self) -> Placement {
        let shown = self.instances.shown();
        match shown.state.container_id {
            Some(_) => shown.place,
            // What has no container is where the next one will be.
            None => Placement {
                egress: self.server.settings.egress,
                ..shown.place
            },
        }
    }

    /// Where it is found.
    pub fn endpoint(&self, networks: &ServerNetworks) -> Endpoint {
        let place = self.place();
        Endpoint::of(place.address, place.egress, networks)
    }

    /// The same server, with this instance as the only one.
    pub fn as_of(&self, id: InstanceId) -> Self {
        let Some(instance) = self.instances.get(id) else {
            return self.clone();
        };
        Self {
            state: Arc::clone(&instance.state),
            instances: Instances::only(Instance::clone(instance)),
            ..self.clone()
        }
    }

    fn put_instances(&mut self, instances: Instances) {
        self.state = Arc::clone(&instances.shown().state);
        self.instances = instances;
    }
}

/// The servers, by id and by name.
pub struct Directory {
    inner: RwLock<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<ServerId, Entry>,
    by_name: HashMap<ServerName, ServerId>,
}

impl Directory {
    /// A directory of the given servers.
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut inner = Inner::default();
        for entry in entries {
            inner.insert(entry);
        }
        Self {
            inner: RwLock::new(inner),
            changes: watch::Sender::new(0),
        }
    }

    /// The server of this id.
    pub fn get(&self, id: ServerId) -> Option<Entry> {
        self.read().by_id.get(&id).cloned()
    }

    /// Whether what was read of a server is still what is known of it.
    pub fn is_current(&self, entry: &Entry) -> bool {
        self.read()
            .by_id
            .get(&entry.server.id)
            .is_some_and(|now| Arc::ptr_eq(&now.state, &entry.state))
    }

    /// The server of this id or name. Ids go first, so that no name can take
    /// another server's place.
    pub fn find(&self, id_or_name: &str) -> Option<Entry> {
        let by_id = id_or_name.parse().ok().and_then(|id| self.get(id));
        if by_id.is_some() {
            return by_id;
        }
        let name = ServerName::try_from(id_or_name.to_owned()).ok()?;
        let inner = self.read();
        inner
            .by_name
            .get(&name)
            .and_then(|id| inner.by_id.get(id))
            .cloned()
    }

    /// As [`Directory::find`], for who needs it.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn require(&self, id_or_name: &str) -> Result<Entry> {
        self.find(id_or_name)
            .ok_or_else(|| Error::no_server(id_or_name))
    }

    /// All servers, by age.
    pub fn list(&self) -> Vec<Entry> {
        self.read().by_id.values().cloned().collect()
    }

    /// Adds a new server.
    pub fn insert(&self, entry: Entry) {
        self.write().insert(entry);
        self.tell();
    }

    /// Takes over a newer record of a known server. An older one, of a writer
    /// that was overtaken, is dropped.
    pub fn put_server(&self, server: Server) {
        {
            let mut inner = self.write();
            let Some(entry) = inner.by_id.get_mut(&server.id) else {
                return;
            };
            if (server.generation, server.revision, server.updated_at)
                < (
                    entry.server.generation,
                    entry.server.revision,
                    entry.server.updated_at,
                )
            {
                return;
            }
            entry.server = Arc::new(server);
        }
        self.tell();
    }

    /// Takes over what was observed of a known server's instance that is shown.
    pub fn put_state(&self, id: ServerId, state: RunState) {
        self.change(id, |all| all.with(all.shown().seen(state)));
    }

    /// Takes over an instance of a known server, as it is now: a new one, or one
    /// that may have taken the place of another.
    pub fn put_instance(&self, instance: Instance) {
        self.change(instance.server, |all| all.with(instance));
    }

    /// Takes over all instances of a known server.
    pub fn put_instances(&self, id: ServerId, instances: Instances) {
        self.change(id, |_| instances);
    }

    /// Forgets an instance, unless it is the last of its server.
    pub fn remove_instance(&self, of: ServerId, id: InstanceId) {
        self.change(of, |all| all.without(id));
    }

    fn change(&self, id: ServerId, change: impl FnOnce(&Instances) -> Instances) {
        {
            let mut inner = self.write();
            let Some(entry) = inner.by_id.get_mut(&id) else {
                return;
            };
            let changed = change(&entry.instances);
            entry.put_instances(changed);
        }
        self.tell();
    }

    /// Forgets a server. Its name may be another's already: the store has freed
    /// it before the directory learns so.
    pub fn remove(&self, id: ServerId) {
        {
            let mut inner = self.write();
            if let Some(entry) = inner.by_id.remove(&id)
                && inner.by_name.get(&entry.server.name) == Some(&id)
            {
                inner.by_name.remove(&entry.server.name);
            }
        }
        self.tell();
    }

    /// Changes with every change of the directory.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    // A panic while holding the lock cannot leave the maps half-changed in a
    // way that matters more than going on serving.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, entry: Entry) {
        self.by_name
            .insert(entry.server.name.clone(), entry.server.id);
        self.by_id.insert(entry.server.id, entry);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Principal;

    fn entry(name: &str) -> Entry {
        let (id, now) = (ServerId::new(), Timestamp::UNIX_EPOCH);
        let server = Server::new(id, name.parse().unwrap(), Principal::by_name("ann"), now);
        Entry::of_test(server, RunState::never_ran(now), [198, 18, 1, 1])
    }

    #[test]
    fn an_older_server_whose_name_reads_as_an_id_is_found_and_takes_nobodys_place() {
        let plain = entry("demo");
        let like_id = entry(&ServerId::new().to_string());
        let usurper = entry(&plain.server.id.to_string());
        let directory = Directory::new(vec![plain.clone(), like_id.clone(), usurper.clone()]);
        let found = |text: &str| directory.find(text).map(|entry| entry.server.id);
        assert_eq!(found(like_id.server.name.as_str()), Some(like_id.server.id));
        assert_eq!(found(usurper.server.name.as_str()), Some(plain.server.id));
        assert_eq!(
            found(&usurper.server.id.to_string()),
            Some(usurper.server.id)
        );
        assert_eq!(found(&ServerId::new().to_string()), None);
    }

    #[test]
    fn a_name_that_another_server_has_taken_meanwhile_stays_with_that_one() {
        let (old, new) = (entry("demo"), entry("demo"));
        let directory = Directory::new(vec![old.clone()]);
        // Deleted and created at once: the store frees the name in between, and
        // the directory may learn of the new server first.
        directory.insert(new.clone());
        directory.remove(old.server.id);
        let found = directory.find("demo").map(|entry| entry.server.id);
        assert_eq!(found, Some(new.server.id));
        directory.remove(new.server.id);
        assert!(directory.find("demo").is_none());
    }
}
