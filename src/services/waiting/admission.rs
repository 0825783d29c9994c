//! How many may wait for servers or try them out at the same time, so that no
//! server and no person keeps the others out.

use crate::access::{Full, Place, Places};
use crate::model::{PrincipalId, ServerId};

/// What somebody takes a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services) enum Purpose {
    /// A request that the gate holds until its server is ready.
    HeldRequest,
    /// EMCP itself speaks with a server, for a person who tries it out. What the
    /// server tells is held in memory meanwhile.
    Trial,
    /// A call of the API that is to see what came of it.
    Watch,
}

/// How many have a place at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services) struct Bounds {
    /// For everybody and all servers.
    pub(in crate::services) altogether: usize,
    /// For one server, so that one which hangs leaves the others theirs.
    pub(in crate::services) each_server: usize,
    /// For one person.
    pub(in crate::services) each_caller: usize,
}

impl Purpose {
    /// How many there may be of it.
    pub(in crate::services) const fn bounds(self) -> Bounds {
        match self {
            // Who it is for is not told to the gate before it has decided, and
            // one token may be a whole company's.
            Self::HeldRequest => Bounds {
                altogether: 1_024,
                each_server: 128,
                each_caller: usize::MAX,
            },
            Self::Trial => Bounds {
                altogether: 12,
                each_server: 3,
                each_caller: 3,
            },
            // As many as there may be requests of one client (`http::admission`).
            Self::Watch => Bounds {
                altogether: usize::MAX,
                each_server: usize::MAX,
                each_caller: usize::MAX,
            },
        }
    }
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services) enum Crowded {
    /// [`Bounds::altogether`].
    Altogether,
    /// [`Bounds::each_server`].
    Server,
    /// [`Bounds::each_caller`].
    Caller,
}

/// The places, by what they are for.
pub(in crate::services) struct Admission {
    held: Counted,
    trials: Counted,
    watches: Counted,
}

struct Counted {
    by_server: Places<ServerId>,
    by_caller: Places<PrincipalId>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(in crate::services) struct Admitted {
    _server: Place<ServerId>,
    _caller: Option<Place<PrincipalId>>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            held: Counted::new(Purpose::HeldRequest.bounds()),
            trials: Counted::new(Purpose::Trial.bounds()),
            watches: Counted::new(Purpose::Watch.bounds()),
        }
    }
}

impl Admission {
    /// Takes a place, in the name of a person where each may have only so many.
    ///
    /// # Errors
    /// The bound that is reached; the person's own is told first.
    pub(in crate::services) fn admit(
        &self,
        purpose: Purpose,
        server: ServerId,
        caller: Option<PrincipalId>,
    ) -> Result<Admitted, Crowded> {
        let places = match purpose {
            Purpose::HeldRequest => &self.held,
            Purpose::Trial => &self.trials,
            Purpose::Watch => &self.watches,
        };
        let crowded = |each| {
            move |full| match full {
                Full::Each => each,
                Full::All => Crowded::Altogether,
            }
        };
        let of_caller = caller.map(|person| places.by_caller.take(person));
        Ok(Admitted {
            _caller: of_caller.transpose().map_err(crowded(Crowded::Caller))?,
            _server: places
                .by_server
                .take(server)
                .map_err(crowded(Crowded::Server))?,
        })
    }
}

impl Counted {
    fn new(bounds: Bounds) -> Self {
        Self {
            by_server: Places::new(bounds.altogether, bounds.each_server),
            by_caller: Places::new(bounds.altogether, bounds.each_caller),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Principal;

    fn person(name: &str) -> PrincipalId {
        Principal::by_name(name).id
    }

    /// Takes places until there are no more.
    fn fill(
        admission: &Admission,
        purpose: Purpose,
        mut next: impl FnMut(usize) -> (ServerId, Option<PrincipalId>),
    ) -> (Vec<Admitted>, Crowded) {
        let mut taken = Vec::new();
        loop {
            let (server, caller) = next(taken.len());
            match admission.admit(purpose, server, caller) {
                Ok(place) => taken.push(place),
                Err(crowded) => return (taken, crowded),
            }
        }
    }

    #[test]
    fn one_server_leaves_the_others_their_places_at_the_gate() {
        let (admission, one) = (Admission::default(), ServerId::new());
        let (taken, why) = fill(&admission, Purpose::HeldRequest, |_| (one, None));
        assert_eq!((taken.len(), why), (128, Crowded::Server));
        let others = |_| (ServerId::new(), None);
        let (rest, why) = fill(&admission, Purpose::HeldRequest, others);
        assert_eq!(
            (taken.len() + rest.len(), why),
            (1_024, Crowded::Altogether)
        );
        drop(rest);
        let admitted = admission.admit(Purpose::HeldRequest, ServerId::new(), None);
        assert!(admitted.is_ok());
    }

    #[test]
    fn a_person_a_server_and_everybody_try_so_much_at_once() {
        let (admission, one) = (Admission::default(), ServerId::new());
        let ada = |_| (ServerId::new(), Some(person("ada")));
        let (by_ada, why) = fill(&admission, Purpose::Trial, ada);
        assert_eq!((by_ada.len(), why), (3, Crowded::Caller));
        let anybody = |number: usize| Some(person(&format!("person {number}")));
        let (of_one, why) = fill(&admission, Purpose::Trial, |number| (one, anybody(number)));
        assert_eq!((of_one.len(), why), (3, Crowded::Server));
        let all = |number| (ServerId::new(), anybody(number + 100));
        let (rest, why) = fill(&admission, Purpose::Trial, all);
        assert_eq!((rest.len(), why), (6, Crowded::Altogether));
        // Whoever was turned away for the server holds no place of their own.
        drop(of_one);
        let (again, _) = fill(&admission, Purpose::Trial, |_| (one, anybody(0)));
        assert_eq!(again.len(), 3);
    }

    #[test]
    fn what_has_a_place_for_one_purpose_takes_none_of_another() {
        let (admission, one) = (Admission::default(), ServerId::new());
        let (_held, _) = fill(&admission, Purpose::HeldRequest, |_| (one, None));
        assert!(
            admission
                .admit(Purpose::Trial, one, Some(person("ada")))
                .is_ok()
        );
        let watches: Result<Vec<_>, _> = (0..2_000)
            .map(|_| admission.admit(Purpose::Watch, one, None))
            .collect();
        assert!(watches.is_ok());
    }
}
