//! One attempt to run one release of a server with one configuration
//! ([ADR 27](../../docs/adr/0027-instances-and-leased-addresses.md)).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Egress, LeasedAddress, RunState, Server, ServerId};

/// An instance's identity: a UUIDv7, so ids sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(Uuid);

impl InstanceId {
    /// A new id for an instance that begins now.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as the store's key.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id from the store's key.
    pub fn from_u128(raw: u128) -> Self {
        Self(Uuid::from_u128(raw))
    }
}

impl Default for InstanceId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for InstanceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// What an instance is to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceRole {
    /// It is to serve once it answers; no route leads to it.
    Candidate,
    /// Routes lead to it, also while it is stopped.
    Serving,
    /// It served, and another does now: it is on its way out.
    Draining,
}

/// Where routes lead to an instance, and by which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// What routes call it: its own id, or that of the instance whose place it
    /// took over as it stood. So a start in the same place changes no route, and
    /// a request that waits meanwhile is not lost.
    pub route: InstanceId,
    /// Its address of the pool, while it has it.
    pub address: LeasedAddress,
    /// Which of the networks it is in.
    pub egress: Egress,
}

/// One attempt to run one release of a server with one revision of its
/// configuration. A restart, a crash and the try after it, sleep and waking are
/// further runs of the same instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its identity.
    pub id: InstanceId,
    /// Whose it is.
    pub server: ServerId,
    /// The version of the code that it runs.
    pub release: u32,
    /// `Server::revision` that it is made from.
    pub revision: u64,
    /// What it is to its server.
    pub role: InstanceRole,
    /// Where it is.
    #[serde(flatten)]
    pub place: Placement,
    /// What is seen of it.
    #[serde(with = "shared")]
    pub state: Arc<RunState>,
}

/// What many hold in memory and one record has.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

impl Instance {
    /// An instance of the server as it is wanted now, at this address.
    pub fn new(
        server: &Server,
        role: InstanceRole,
        address: LeasedAddress,
        state: RunState,
    ) -> Self {
        let id = InstanceId::new();
        Self {
            id,
            server: server.id,
            release: server.version,
            revision: server.revision,
            role,
            place: Placement {
                route: id,
                address,
                egress: server.settings.egress,
            },
            state: Arc::new(state),
        }
    }

    /// The instance that takes this one's place, of the server as it is wanted
    /// now. What was seen of the server is seen of it.
    #[must_use]
    pub fn successor(&self, server: &Server) -> Self {
        let next = Self::new(
            server,
            self.role,
            self.place.address,
            RunState::clone(&self.state),
        );
        if next.place.egress != self.place.egress {
            return next;
        }
        Self {
            place: self.place,
            ..next
        }
    }

    /// The same instance, of which this is seen.
    #[must_use]
    pub fn seen(&self, state: RunState) -> Self {
        Self {
            state: Arc::new(state),
            ..self.clone()
        }
    }

    /// Whether it runs what is wanted of the server now.
    pub fn is_up_to_date(&self, server: &Server) -> bool {
        (self.release, self.revision, self.place.egress)
            == (server.version, server.revision, server.settings.egress)
    }

    /// The newest wish that it answers: `Server::generation`.
    pub fn generation(&self) -> u64 {
        self.state.generation
    }
}

/// The instances of one server, of which there is always one.
#[derive(Debug, Clone)]
pub struct Instances {
    shown: Arc<Instance>,
    others: Vec<Arc<Instance>>,
}

impl Instances {
    /// Of a server that has this one alone.
    pub fn only(instance: Instance) -> Self {
        Self {
            shown: Arc::new(instance),
            others: Vec::new(),
        }
    }

    /// These, if there are any.
    pub fn of(mut all: Vec<Arc<Instance>>) -> Option<Self> {
        all.sort_by_key(|one| (one.role != InstanceRole::Serving, one.id));
        let mut all = all.into_iter();
        Some(Self {
            shown: all.next()?,
            others: all.collect(),
        })
    }

    /// The one that tells what a person sees of the server: the one that serves
    /// it, or is its first.
    pub fn shown(&self) -> &Arc<Instance> {
        &self.shown
    }

    /// Whether there are others than the one that is shown.
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// All of them, the one that is shown first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Instance>> {
        std::iter::once(&self.shown).chain(&self.others)
    }

    /// The instance of this id.
    pub fn get(&self, id: InstanceId) -> Option<&Arc<Instance>> {
        self.all().find(|one| one.id == id)
    }

    /// Whose container this is, by its label. One of before there were labels is
    /// of the oldest instance: there was no other.
    pub fn owner(&self, label: Option<InstanceId>) -> Option<&Arc<Instance>> {
        match label {
            Some(id) => self.get(id),
            None => self.all().min_by_key(|one| one.id),
        }
    }

    /// With this one in place of what is known of it, or of the one whose address
    /// it has.
    #[must_use]
    pub fn with(&self, instance: Instance) -> Self {
        let instance = Arc::new(instance);
        let is_before = |one: &Arc<Instance>| {
            one.id == instance.id || one.place.address == instance.place.address
        };
        let mut all: Vec<_> = self.all().filter(|one| !is_before(one)).cloned().collect();
        all.push(instance);
        Self::of(all).unwrap_or_else(|| self.clone())
    }

    /// Without this one, unless it is the last.
    #[must_use]
    pub fn without(&self, id: InstanceId) -> Self {
        let left = self.all().filter(|one| one.id != id).cloned().collect();
        Self::of(left).unwrap_or_else(|| self.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Principal, Status};

    fn server() -> Server {
        let (id, now) = (ServerId::new(), Timestamp::UNIX_EPOCH);
        Server::new(id, "demo".parse().unwrap(), Principal::by_name("ann"), now)
    }

    fn instance(server: &Server, role: InstanceRole, last: u8) -> Instance {
        let state = RunState::never_ran(Timestamp::UNIX_EPOCH);
        Instance::new(server, role, [198, 18, 1, last].into(), state)
    }

    #[test]
    fn what_takes_a_place_over_is_led_to_by_the_same_route_unless_it_moves() {
        let mut server = server();
        let first = instance(&server, InstanceRole::Serving, 5);
        assert!(first.is_up_to_date(&server));
        server.revision += 1;
        assert!(!first.is_up_to_date(&server));
        let second = first.successor(&server);
        assert_ne!(second.id, first.id);
        assert_eq!(second.place, first.place);
        server.settings.egress = Egress::None;
        let third = second.successor(&server);
        assert_eq!(third.place.address, first.place.address);
        assert_eq!(third.place.route, third.id);
    }

    #[test]
    fn the_serving_instance_is_shown_and_else_the_first() {
        let server = server();
        let candidate = instance(&server, InstanceRole::Candidate, 5);
        let alone = Instances::only(candidate.clone());
        assert_eq!(alone.shown().id, candidate.id);
        let serving = instance(&server, InstanceRole::Serving, 6);
        let both = alone.with(serving.clone());
        assert_eq!(both.shown().id, serving.id);
        assert!(both.are_several());
        let running = RunState {
            status: Status::Running,
            ..RunState::clone(&serving.state)
        };
        let seen = both.with(serving.seen(running));
        let owner = |label| seen.owner(label).map(|one| one.id);
        assert_eq!(owner(Some(serving.id)), Some(serving.id));
        assert_eq!(owner(Some(InstanceId::new())), None);
        // Of before labels.
        assert_eq!(owner(None), Some(candidate.id));
        assert_eq!(seen.shown().state.status, Status::Running);
        assert_eq!(seen.without(serving.id).shown().id, candidate.id);
        let last = seen.without(serving.id).without(candidate.id);
        assert_eq!(last.shown().id, candidate.id);
    }

    #[test]
    fn what_has_an_address_is_replaced_by_what_takes_it_over() {
        let server = server();
        let first = instance(&server, InstanceRole::Serving, 5);
        let next = first.successor(&server);
        let instances = Instances::only(first).with(next.clone());
        assert_eq!(instances.shown().id, next.id);
        assert!(!instances.are_several());
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let one = instance(&server(), InstanceRole::Draining, 5);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Instance>(&text).unwrap(), one);
    }
}
