//! Instances: what takes a place over, what stands beside it, and the leases of
//! their addresses.

use std::collections::BTreeSet;

use serde_json::json;

use super::app::TestApp;
use crate::model::{InstanceId, Placement, ServerId};
use crate::runtime::Phase;
use crate::runtime::fake::Op;

const CODE: &str = "x = 1\n";

impl TestApp {
    /// The instance that serves, and where routes lead to it.
    fn serving(&self, id: ServerId) -> (InstanceId, Placement) {
        let entry = self.app.behind.directory.get(id).unwrap();
        let serving = entry.instances.shown();
        (serving.id, serving.place)
    }

    /// Begins an instance of what is wanted of a server now, beside the one that
    /// serves it. Nobody is woken for it: the next look at everything finds it.
    async fn begin_candidate(&self, id: ServerId) -> InstanceId {
        let behind = &self.app.behind;
        let pool = self.app.settings().networks.open();
        let begun = behind.store.begin_candidate(id, pool, self.clock().now());
        let begun = begun.await.unwrap();
        let instance = begun.id;
        behind.directory.put_instance(begun);
        instance
    }

    /// Uploads code that the next start is to run.
    async fn upload_for_later(&self, id: ServerId, code: &str, restart: bool) {
        let path = format!("/api/servers/{id}/code?restart={restart}");
        let uploaded = self.call("PUT", &path, Some(json!({"code": code}))).await;
        uploaded.expect(200);
    }
}

#[tokio::test(start_paused = true)]
async fn starts_and_sleep_are_runs_of_one_instance_and_an_update_is_another_in_its_place() {
    let app = TestApp::new().await;
    let sleep = json!({"stop_after_secs": 60});
    let fields = json!({"name": "demo", "code": CODE, "sleep": sleep});
    let id = app.create_with(fields).await;
    app.until_status(id, "running").await;
    let first = app.serving(id);
    app.act(id, "restart").await.expect(202);
    app.until_status(id, "running").await;
    app.engine.kill(id, 1);
    app.until("it runs again", || app.engine.runs(id) == 3)
        .await;
    app.until_status(id, "running").await;
    app.until_status(id, "sleeping").await;
    assert_eq!(app.serving(id), first);
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    app.act(id, "stop").await.expect(202);
    app.until_status(id, "stopped").await;
    assert_eq!(app.serving(id), first);

    app.upload_for_later(id, "x = 2\n", true).await;
    // A server that is stopped keeps the instance that it had.
    assert_eq!(app.serving(id), first);
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    let second = app.serving(id);
    assert_ne!(second.0, first.0);
    assert_eq!(second.1, first.1);
    let made = &app.engine.containers_of(id)[0];
    assert_eq!(made.instance, Some(second.0));
    // And so after another EMCP has taken over.
    let app = app.restart().await;
    app.until_status(id, "running").await;
    assert_eq!(app.serving(id), second);
}

#[tokio::test(start_paused = true)]
async fn what_moves_to_another_network_is_led_to_by_another_route() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    let first = app.serving(id);
    let by_old_route = format!("/gate?server={id}&at={}", first.1.route);
    let knock = async |app: &TestApp| {
        let asked = app.ask("GET", &by_old_route).by(&app.admin).internal();
        let asked = asked.header("x-forwarded-method", "POST");
        asked
            .header("x-forwarded-uri", "/api/demo/mcp")
            .send()
            .await
    };
    knock(&app).await.expect(200);
    app.patch(id, json!({"egress": "none"})).await.expect(200);
    app.until_status(id, "running").await;
    let second = app.serving(id);
    assert_eq!(second.1.address, first.1.address);
    assert_eq!(second.1.route, second.0);
    knock(&app).await.refused(503, "server_not_ready");
    assert_eq!(app.knock(&app.admin, id).await, 200);
}

#[tokio::test(start_paused = true)]
async fn two_instances_of_a_server_stand_at_two_addresses_until_one_takes_over() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    let first = app.serving(id);
    let before = app.engine.containers_of(id).remove(0);
    app.upload_for_later(id, "# fake: ready after 5s\n", false)
        .await;
    let candidate = app.begin_candidate(id).await;
    let both_run = || {
        let all = app.engine.containers_of(id);
        let places: BTreeSet<_> = all
            .iter()
            .map(|one| format!("{:?}", one.endpoints))
            .collect();
        all.iter().all(|one| one.phase == Phase::Running) && places.len() == 2
    };
    app.until("two containers at two addresses", both_run).await;
    // Nothing is seen of it: the first serves.
    let shown = app.show(id).await;
    assert_eq!(shown["status"], "running");
    assert_eq!(shown["container_id"], before.id.as_str());
    assert_eq!(app.knock(&app.admin, id).await, 200);

    let is_over = || {
        let left = app.engine.containers_of(id);
        matches!(left.as_slice(), [one] if one.instance == Some(candidate))
    };
    app.until("the first is gone", is_over).await;
    app.until_status(id, "running").await;
    let second = app.serving(id);
    assert_eq!(second.0, candidate);
    assert_ne!(second.1.address, first.1.address);
    assert_eq!(app.knock(&app.admin, id).await, 200);
    let shown = app.show(id).await;
    assert_ne!(shown["container_id"], before.id.as_str());
    assert_eq!(shown["restart_needed"], false);
    // The address that was given back rests.
    let next = app.run("next", CODE).await;
    let taken = [first.1.address, second.1.address];
    assert!(!taken.contains(&app.serving(next).1.address));
    // Another EMCP finds one instance.
    let app = app.restart().await;
    app.until_status(id, "running").await;
    assert_eq!(app.serving(id), second);
    assert_eq!(app.engine.runs(id), 2);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_fails_leaves_what_serves_untouched() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    let first = app.serving(id);
    app.upload_for_later(id, "# fake: never ready\n# fake: exit 3 after 1s\n", false)
        .await;
    let before = app.engine.containers_of(id);
    let stops = app.engine.count(Op::Stop);
    let candidate = app.begin_candidate(id).await;
    app.until("it was tried", || app.engine.runs(id) == 2).await;
    let is_gone = || {
        let entry = app.app.behind.directory.get(id).unwrap();
        entry.instances.get(candidate).is_none()
    };
    app.until("it is gone", is_gone).await;
    assert_eq!(app.engine.containers_of(id), before);
    assert_eq!(app.engine.count(Op::Stop), stops);
    assert_eq!(app.serving(id), first);
    assert_eq!(app.show(id).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_servers_address_rests_before_it_is_given_again() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    let address = app.serving(id).1.address;
    let path = format!("/api/servers/{id}");
    app.call("DELETE", &path, None).await.expect(204);
    app.until("it is swept up", || app.engine.containers().is_empty())
        .await;
    let next = app.run("next", CODE).await;
    assert_ne!(app.serving(next).1.address, address);
}
