//! Steps of a server that has more than one instance.

use std::sync::Arc;

use super::*;
use crate::model::{InstanceId, Storage};

/// A server's instances, and what is seen of their containers.
struct Scene {
    server: Server,
    all: Vec<Arc<Instance>>,
    observed: Vec<Observed>,
    answering: Option<String>,
}

impl Scene {
    /// One serves, in container `c`, and a candidate is to be tried beside it.
    fn new() -> Self {
        let server = server(Desired::Running);
        let mut scene = Self {
            all: Vec::new(),
            observed: Vec::new(),
            answering: None,
            server,
        };
        scene.add(InstanceRole::Serving, 5, running());
        scene.add(InstanceRole::Candidate, 6, state());
        scene.put("c", InstanceRole::Serving, Phase::Running);
        scene
    }

    fn add(&mut self, role: InstanceRole, last: u8, state: RunState) {
        let address = [198, 18, 1, last].into();
        let instance = Instance::new(&self.server, role, address, state);
        self.all.push(Arc::new(instance));
    }

    fn of(&self, role: InstanceRole) -> &Arc<Instance> {
        self.all.iter().find(|one| one.role == role).unwrap()
    }

    /// A container of the instance with this role.
    fn put(&mut self, id: &str, role: InstanceRole, phase: Phase) {
        let label = self.of(role).id;
        self.observed.retain(|o| o.container.id.as_str() != id);
        self.observed.push(labelled(container(id, 2, phase), label));
    }

    fn instances(&self) -> Instances {
        Instances::of(self.all.clone()).unwrap()
    }

    fn next(&self) -> Planned {
        let facts = Facts {
            answering_run: self.answering.as_deref(),
            ..facts()
        };
        plan(
            &self.server,
            &self.instances(),
            &self.observed,
            facts,
            now(),
        )
    }

    /// Does the step that is next, as far as the planner can see.
    fn go_on(&mut self) -> Planned {
        let planned = self.next();
        let acting = self.all.iter().position(|one| one.id == planned.instance);
        let acting = acting.unwrap();
        let role = self.all[acting].role;
        match &planned.step {
            Step::Switch => {
                for one in &mut self.all {
                    let one = Arc::make_mut(one);
                    one.role = match one.role {
                        _ if one.id == planned.instance => InstanceRole::Serving,
                        InstanceRole::Serving => InstanceRole::Draining,
                        role => role,
                    };
                }
            }
            Step::Retire => drop(self.all.remove(acting)),
            Step::AwaitReady(id) if role == InstanceRole::Candidate => {
                let found = self.observed.iter().find(|o| o.container.id == *id);
                self.answering = found.unwrap().run.as_ref().map(|run| run.key.clone());
            }
            step => {
                let labels: Vec<_> = self.observed.iter().map(label_of).collect();
                let mut state = RunState::clone(&self.all[acting].state);
                apply(step, &mut state, &mut self.observed);
                self.all[acting] = Arc::new(self.all[acting].seen(state));
                for o in &mut self.observed {
                    let known = labels.iter().find(|(id, _)| *id == o.container.id);
                    let label = known.map_or(Some(planned.instance), |(_, label)| *label);
                    o.container.instance = label;
                }
            }
        }
        planned
    }

    fn expect(&mut self, role: InstanceRole, step: Step) {
        let instance = self.of(role).id;
        assert_eq!(self.go_on(), Planned { instance, step });
    }
}

fn labelled(mut observed: Observed, label: InstanceId) -> Observed {
    observed.container.instance = Some(label);
    observed
}

fn label_of(o: &Observed) -> (ContainerId, Option<InstanceId>) {
    (o.container.id.clone(), o.container.instance)
}

#[test]
fn a_candidate_stands_beside_what_serves_until_it_answers_and_takes_over() {
    use InstanceRole::{Candidate, Draining, Serving};
    let mut scene = Scene::new();
    let first = scene.of(Serving).id;
    scene.expect(Candidate, Step::Create);
    let made = scene.observed[1].container.id.clone();
    let is_up = |o: &Observed| o.container.phase == Phase::Running;
    assert_eq!(scene.observed.iter().filter(|o| is_up(o)).count(), 2);
    scene.expect(Candidate, Step::AwaitReady(made.clone()));
    let instance = scene.of(Candidate).id;
    let step = Step::Switch;
    assert_eq!(scene.go_on(), Planned { instance, step });
    assert_eq!(scene.instances().shown().id, instance);
    // Routes do not lead to it yet: what served serves on.
    scene.expect(Serving, Step::AwaitReady(made.clone()));
    assert_eq!(scene.of(Draining).id, first);
    scene.expect(Draining, Step::Stop("c".into()));
    scene.expect(Draining, Step::Remove("c".into()));
    let instance = first;
    let step = Step::Retire;
    assert_eq!(scene.go_on(), Planned { instance, step });
    assert_eq!(scene.next().step, Step::Nothing);
    assert_eq!(scene.observed.len(), 1);
    assert_eq!(scene.observed[0].container.id, made);
}

#[test]
fn a_candidate_that_fails_goes_and_what_serves_is_not_touched() {
    use InstanceRole::Candidate;
    let mut scene = Scene::new();
    scene.put("d", Candidate, Phase::Exited);
    let candidate = scene.of(Candidate).id;
    scene.expect(Candidate, Step::AccountForEnd("d".into()));
    scene.expect(Candidate, Step::Remove("d".into()));
    let retire = Planned {
        instance: candidate,
        step: Step::Retire,
    };
    assert_eq!(scene.go_on(), retire);
    assert_eq!(scene.next().step, Step::Nothing);
    assert_eq!(scene.observed.len(), 1);
}

#[test]
fn a_candidate_that_nobody_wants_any_more_goes() {
    let renew = |scene: &mut Scene| {
        scene.server.generation = 3;
        let shown = scene.of(InstanceRole::Serving);
        let renewed = RunState {
            generation: 3,
            ..RunState::clone(&shown.state)
        };
        scene.all[0] = Arc::new(shown.seen(renewed));
        scene.observed[0].container.generation = 3;
    };
    let stop = |scene: &mut Scene| scene.server.desired = Desired::Stopped;
    // A disk has one user.
    let give_a_disk = |scene: &mut Scene| {
        let size_bytes = 1 << 20;
        scene.server.settings.storage = Some(Storage { size_bytes });
    };
    let changes: [&dyn Fn(&mut Scene); 3] = [&renew, &stop, &give_a_disk];
    for change in changes {
        let mut scene = Scene::new();
        scene.put("d", InstanceRole::Candidate, Phase::Running);
        change(&mut scene);
        let mut steps = 0;
        while scene.all.len() > 1 {
            let step = scene.go_on().step;
            assert!(!matches!(step, Step::Create | Step::Switch), "{step:?}");
            steps += 1;
            assert!(steps < 20);
        }
        assert!(
            scene
                .observed
                .iter()
                .all(|o| o.container.id.as_str() != "d")
        );
    }
}

#[test]
fn what_serves_comes_first_and_is_not_starved_by_what_is_tried() {
    let mut scene = Scene::new();
    scene.put("d", InstanceRole::Candidate, Phase::Running);
    scene.put("c", InstanceRole::Serving, Phase::Exited);
    scene.expect(InstanceRole::Serving, Step::AccountForEnd("c".into()));
    scene.expect(InstanceRole::Serving, Step::Start("c".into()));
    scene.expect(InstanceRole::Serving, Step::AwaitReady("c".into()));
    scene.expect(InstanceRole::Candidate, Step::AwaitReady("d".into()));
}

#[test]
fn a_container_of_before_labels_is_of_the_instance_that_serves() {
    let mut scene = Scene::new();
    scene.observed[0].container.instance = None;
    scene.expect(InstanceRole::Candidate, Step::Create);
    // And one of an instance that is none (any more) is nobody's.
    let unknown = labelled(container("x", 2, Phase::Running), InstanceId::new());
    scene.observed.push(unknown);
    assert_eq!(scene.next().step, Step::Stop("x".into()));
}

fn any_role() -> impl Strategy<Value = Option<InstanceRole>> {
    prop_oneof![
        Just(Some(InstanceRole::Serving)),
        Just(Some(InstanceRole::Candidate)),
        Just(Some(InstanceRole::Draining)),
        Just(None),
    ]
}

proptest! {
    #[test]
    fn of_several_instances_one_is_left_and_serves_as_is_wanted(
        wanted in any::<bool>(),
        serving in any_state(),
        observed in any_observed(),
        owners in proptest::collection::vec(any_role(), 4),
    ) {
        let mut scene = Scene::new();
        scene.all[0] = Arc::new(scene.all[0].seen(serving));
        scene.add(InstanceRole::Draining, 7, running());
        scene.server.desired = if wanted { Desired::Running } else { Desired::Stopped };
        scene.observed = observed;
        for (o, owner) in scene.observed.iter_mut().zip(owners) {
            let owner = owner.and_then(|role| scene.all.iter().find(|one| one.role == role));
            o.container.instance = owner.map(|one| one.id);
        }
        let mut steps = 0;
        loop {
            // The endpoints of all differ, and no place is given to two.
            let places: std::collections::BTreeSet<_> =
                scene.all.iter().map(|one| one.place.address).collect();
            prop_assert_eq!(places.len(), scene.all.len());
            let step = scene.go_on().step;
            if matches!(step, Step::Nothing | Step::WaitUntil(_)) {
                break;
            }
            steps += 1;
            prop_assert!(steps < 80, "no rest: {step:?} with {:?}", scene.observed);
        }
        let is_over = scene.all.len() == 1;
        prop_assert!(is_over, "{:?} with {:?}", scene.all, scene.observed);
        let up = |o: &&Observed| matches!(o.container.phase, Phase::Running | Phase::Paused);
        let count = scene.observed.iter().filter(up).count();
        prop_assert!(count <= usize::from(wanted));
    }
}
