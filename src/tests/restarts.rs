//! EMCP itself ends in the middle of something, and another one takes over.

use std::time::Duration;

use serde_json::json;

use super::app::TestApp;
use crate::runtime::Phase;
use crate::runtime::fake::{Fault, Op};

#[tokio::test(start_paused = true)]
async fn what_runs_or_starts_is_taken_over_as_it_is() {
    let app = TestApp::new().await;
    let runs = app.run("runs", "x = 1\n").await;
    let starts = app.create("starts", "# fake: ready after 20s\n").await;
    app.until_status(starts, "starting").await;
    let app = app.restart().await;
    assert_eq!(app.show(runs).await["status"], "running");
    assert_eq!(app.knock(&app.admin, runs).await, 200);
    app.until_status(starts, "running").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((app.engine.runs(runs), app.engine.runs(starts)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_made_and_not_written_down_is_the_servers() {
    let mut app = TestApp::new().await;
    for (name, op) in [("making", Op::Create), ("starting", Op::Start)] {
        app.engine
            .faults(|faults| faults.next(op, Fault::AnswerLost));
        let id = app.create(name, "x = 1\n").await;
        let is_made = || app.engine.containers_of(id).len() == 1;
        app.until("it is made", is_made).await;
        if op == Op::Start {
            app.until("it is started", || app.engine.runs(id) == 1)
                .await;
        }
        assert_eq!(app.show(id).await["container_id"], json!(null));
        app = app.restart().await;
        app.until_status(id, "running").await;
        assert_eq!(app.engine.containers_of(id).len(), 1, "{name}");
        assert_eq!(app.engine.runs(id), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_a_restart_and_a_deletion_are_brought_to_their_end() {
    let app = TestApp::new().await;
    let deaf = "# fake: ignore SIGTERM\n";
    let stops = app.run("stops", deaf).await;
    let restarts = app.run("restarts", deaf).await;
    let goes = app.run("goes", deaf).await;
    app.act(stops, "stop").await.expect(202);
    app.act(restarts, "restart").await.expect(202);
    app.call("DELETE", "/api/servers/goes", None)
        .await
        .expect(204);
    // Each is being ended, which takes 10 s.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let app = app.restart().await;
    app.until_status(stops, "stopped").await;
    app.until("it runs again", || app.engine.runs(restarts) == 2)
        .await;
    app.until_status(restarts, "running").await;
    app.until("it is gone", || app.engine.containers_of(goes).is_empty())
        .await;
    assert_eq!(app.engine.containers_of(restarts).len(), 1);
    let stopped = app.engine.containers_of(stops);
    assert!(
        stopped
            .iter()
            .all(|container| container.phase == Phase::Exited)
    );
}

#[tokio::test(start_paused = true)]
async fn what_ended_while_nobody_looked_is_accounted_for_and_counts_go_on() {
    let app = TestApp::new().await;
    let crashes = app.create("crashes", "# fake: exit 3 after 1s\n").await;
    app.until("it has failed twice", || app.engine.runs(crashes) == 2)
        .await;
    app.until_reason(crashes, "failed_retrying").await;
    let serves = app
        .run("serves", "# fake: exit 5 after 90s on run 1\n")
        .await;
    let app = app
        .restart_with(async |_| tokio::time::sleep(Duration::from_secs(120)).await)
        .await;
    app.until("it runs again", || app.engine.runs(serves) == 2)
        .await;
    let shown = app.until_status(serves, "running").await;
    assert_eq!(shown["last_error"]["args"]["exit_code"], 5);
    app.until_reason(crashes, "failed_too_often").await;
    assert_eq!(app.engine.runs(crashes), 5);
    // What was given up stays so.
    let app = app.restart().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(app.engine.runs(crashes), 5);
    assert_eq!(app.show(crashes).await["reason_code"], "failed_too_often");
}

#[tokio::test(start_paused = true)]
async fn everything_that_was_acknowledged_is_still_there() {
    let app = TestApp::new().await;
    let token = app.token("ada", "developer").await;
    let body = json!({
        "name": "demo", "code": "x = 1\n", "description": "mine", "args": ["-v"],
        "env": [{"key": "HIDDEN", "value": "xyzzy", "is_secret": true}], "start": false,
    });
    let made = app
        .ask("POST", "/api/servers")
        .by(&token)
        .json(&body)
        .send()
        .await;
    let id = made.expect(201).id();
    let before = app.show(id).await;
    let app = app.restart().await;
    assert_eq!(app.show(id).await, before);
    let own = app
        .ask("GET", "/api/servers/demo/code")
        .by(&token)
        .send()
        .await;
    assert_eq!(own.expect(200).text, "x = 1\n");
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    assert_eq!(app.engine.variable(id, "HIDDEN"), "xyzzy");
}

#[tokio::test(start_paused = true)]
async fn emcp_may_be_up_before_the_engine() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    let engine = app.engine.clone();
    let app = app.restart_with(async |_| engine.goes_away()).await;
    assert_eq!(app.show(id).await["status"], "running");
    assert_eq!(app.knock(&app.admin, id).await, 200);
    let later = app.create("later", "x = 1\n").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(app.show(later).await["status"], "stopped");
    app.engine.comes_back();
    app.until_status(later, "running").await;
    assert_eq!(app.engine.runs(id), 1);
}
