//! Starting, stopping, restarting and deleting, and waiting for it.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::app::TestApp;
use crate::runtime::Phase;

const CODE: &str = "# fake: say hello\n";

#[tokio::test(start_paused = true)]
async fn a_server_is_stopped_started_and_restarted_each_time_by_a_new_container() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    let first = app.engine.containers_of(id)[0].id.clone();
    // What is so already is left alone.
    let again = app.act(id, "start").await.expect(202);
    assert_eq!(again.json["status"], "running");
    app.act(id, "stop").await.expect(202);
    app.until_status(id, "stopped").await;
    let stopped = app.engine.containers_of(id);
    assert_eq!((stopped.len(), stopped[0].phase), (1, Phase::Exited));
    app.act(id, "stop").await.expect(202);
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    let second = app.engine.containers_of(id)[0].id.clone();
    assert_ne!(first, second);
    app.act(id, "restart").await.expect(202);
    app.until_reason(id, "start_pending").await;
    app.until_reason(id, "serving").await;
    let third = app.engine.containers_of(id);
    assert_eq!(third.len(), 1);
    assert_ne!(third[0].id, second);
    assert_eq!(app.engine.runs(id), 3);
    let told = app.history(id).await;
    let asked = told.iter().filter(|event| event["kind"] == "action");
    let asked: Vec<_> = asked.map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(asked, ["stop_asked", "start_asked", "restart_asked"]);
}

#[tokio::test(start_paused = true)]
async fn other_actions_and_servers_are_refused() {
    let app = TestApp::new().await;
    let id = app.run("demo", CODE).await;
    app.act(id, "pause").await.refused(400, "unknown_action");
    let path = format!("/api/servers/{id}/action");
    let more = json!({"action": "stop", "force": true});
    app.call("POST", &path, Some(more))
        .await
        .refused(400, "invalid_json");
    let stop = json!({"action": "stop"});
    let nobody = app
        .call("POST", "/api/servers/nobody/action", Some(stop))
        .await;
    nobody.refused(404, "server_not_found");
    let gone = app.call("DELETE", "/api/servers/nobody", None).await;
    gone.refused(404, "server_not_found");
    let other = app
        .ask("PUT", &path)
        .send()
        .await
        .refused(405, "method_not_allowed");
    assert_eq!(other.header("allow"), Some("POST"));
    app.ask("GET", "/api/servers/demo/nothing")
        .send()
        .await
        .refused(404, "not_found");
    assert_eq!(app.show(id).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_when_it_has_settled_or_their_time_is_over() {
    let app = TestApp::new().await;
    let slow = "# fake: ready after 20s\n";
    let fields = json!({"name": "demo", "code": slow});
    let begin = Instant::now();
    let made = app
        .ask("POST", "/api/servers?wait=60")
        .json(&fields)
        .send()
        .await;
    let made = made.expect(201);
    assert_eq!(made.json["status"], "running");
    assert!((20..25).contains(&begin.elapsed().as_secs()));
    let id = made.id();
    let path = format!("/api/servers/{id}/action");
    let begin = Instant::now();
    let body = json!({"action": "restart"});
    let early = app
        .ask("POST", &format!("{path}?wait=5"))
        .json(&body)
        .send()
        .await;
    let early = early.expect(200);
    assert_eq!(early.json["settled"], false);
    assert_eq!(begin.elapsed().as_secs(), 5);
    app.until_status(id, "running").await;
    let body = json!({"action": "stop"});
    let stopped = app
        .ask("POST", &format!("{path}?wait=60"))
        .json(&body)
        .send()
        .await;
    assert_eq!(stopped.expect(200).json["status"], "stopped");
    // A failure is an end too.
    let fields = json!({"name": "broken", "code": "# fake: exit 70 after 100ms\n"});
    let made = app
        .ask("POST", "/api/servers?wait=60")
        .json(&fields)
        .send()
        .await;
    assert_eq!(made.expect(201).json["status"], "error");
    for wrong in ["121", "-1", "soon"] {
        let asked = app.ask("POST", &format!("{path}?wait={wrong}")).json(&body);
        asked.send().await.refused(400, "invalid_query");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_server_that_is_deleted_is_told_so() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: never ready\n").await;
    app.until_status(id, "starting").await;
    let path = format!("/api/servers/{id}/action?wait=60");
    let body = json!({"action": "restart"});
    let waiting = app.ask("POST", &path).json(&body).send();
    let deleting = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        app.call("DELETE", "/api/servers/demo", None)
            .await
            .expect(204);
    };
    let (waited, ()) = tokio::join!(waiting, deleting);
    waited.refused(404, "server_not_found");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_server_leaves_its_name_at_once_and_soon_nothing_else() {
    let app = TestApp::new().await;
    let first = app.run("demo", "# fake: ignore SIGTERM\n").await;
    let body = json!({"name": "for-it", "role": "connect", "servers": ["demo"]});
    let token = app
        .call("POST", "/api/tokens", Some(body))
        .await
        .expect(201);
    let token = token.json["token"].as_str().unwrap().to_owned();
    assert_eq!(app.knock(&token, first).await, 200);
    app.call("DELETE", "/api/servers/demo", None)
        .await
        .expect(204);
    let listed = app.call("GET", "/api/tokens", None).await.expect(200).json;
    assert_eq!(
        listed["tokens"],
        json!([]),
        "tokens for it alone go with it"
    );
    // Its container is given its time to end meanwhile.
    assert_eq!(app.engine.containers_of(first)[0].phase, Phase::Running);
    let second = app.run("demo", CODE).await;
    app.until("the first is gone", || {
        app.engine.containers_of(first).is_empty()
    })
    .await;
    assert_eq!(app.engine.containers_of(second).len(), 1);
    let gone = app
        .call("GET", &format!("/api/servers/{first}"), None)
        .await;
    gone.refused(404, "server_not_found");
}
