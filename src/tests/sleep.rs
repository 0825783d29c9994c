//! Servers that sleep while nobody uses them, and wake for who does.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use crate::model::ServerId;
use crate::runtime::Phase;
use crate::runtime::fake::{Fault, Op};

/// Makes a server that is paused after 10 s and stopped after 60 s without use.
async fn sleeper(app: &TestApp, code: &str) -> ServerId {
    let sleep = json!({"pause_after_secs": 10, "stop_after_secs": 60});
    let fields = json!({"name": "demo", "code": code, "sleep": sleep});
    let id = app.create_with(fields).await;
    app.until_status(id, "running").await;
    id
}

/// Waits until a server is paused, which is shown before it is so.
async fn paused(app: &TestApp, id: ServerId) -> Value {
    let is_frozen = || {
        app.engine
            .containers_of(id)
            .iter()
            .any(|one| one.phase == Phase::Paused)
    };
    app.until("it is frozen", is_frozen).await;
    app.until_reason(id, "paused_idle").await
}

async fn all_call(app: &TestApp, id: ServerId) {
    let calls = (0..24).map(|_| app.knock(&app.admin, id));
    let seen = join_all(calls).await;
    assert!(seen.iter().all(|status| *status == 200), "{seen:?}");
}

async fn phases(app: &TestApp, id: ServerId) -> Vec<Phase> {
    let all = app.engine.containers_of(id).into_iter();
    all.map(|container| container.phase).collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_is_paused_and_then_stopped_and_each_time_woken_by_callers_once() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    let shown = paused(&app, id).await;
    assert_eq!(
        (&shown["status"], &shown["rest"]),
        (&json!("sleeping"), &json!("paused"))
    );
    assert_eq!(phases(&app, id).await, [Phase::Paused]);
    let unpaused = app.engine.count(Op::Unpause);
    all_call(&app, id).await;
    assert_eq!(app.engine.count(Op::Unpause), unpaused + 1);
    assert_eq!(app.engine.runs(id), 1);
    assert_eq!(app.show(id).await["reason_code"], "woken_up");
    let shown = app.until_reason(id, "stopped_idle").await;
    assert_eq!(shown["rest"], "stopped");
    app.until("its container is gone", || {
        app.engine.containers_of(id).is_empty()
    })
    .await;
    all_call(&app, id).await;
    assert_eq!(app.engine.runs(id), 2);
    assert_eq!(phases(&app, id).await, [Phase::Running]);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_request_open_keeps_it_awake() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    app.engine.set_open_requests(id, 1);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(app.show(id).await["status"], "running");
    app.engine.set_open_requests(id, 0);
    app.until_status(id, "sleeping").await;
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_say_who_uses_it_stays_awake() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    app.engine.hang(id, true, true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(app.engine.count(Op::Pause), 0);
    app.engine.hang(id, false, false);
    app.until_status(id, "sleeping").await;
}

#[tokio::test(start_paused = true)]
async fn a_start_a_setting_and_a_new_container_wake_it_too() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    app.until_status(id, "sleeping").await;
    let path = format!("/api/servers/{id}/action?wait=60");
    let woken = app
        .ask("POST", &path)
        .json(&json!({"action": "start"}))
        .send()
        .await;
    assert_eq!(woken.expect(200).json["reason_code"], "woken_up");
    app.until_status(id, "sleeping").await;
    app.patch(id, json!({"sleep": "never"})).await.expect(200);
    app.until_status(id, "running").await;
    assert_eq!(app.engine.runs(id), 1);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(app.show(id).await["status"], "running");
    app.patch(id, json!({"sleep": {"stop_after_secs": 20}}))
        .await
        .expect(200);
    app.until_reason(id, "stopped_idle").await;
    app.act(id, "restart").await.expect(202);
    app.until_status(id, "running").await;
    app.act(id, "stop").await.expect(202);
    app.until_status(id, "stopped").await;
}

#[tokio::test(start_paused = true)]
async fn the_operators_hold_keeps_a_server_as_deep_asleep_as_it_is() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    paused(&app, id).await;
    app.patch(id, json!({"hold": true})).await.expect(200);
    let refused = app.ask_gate(&app.admin, id).send().await;
    refused.refused(503, "server_not_ready");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(phases(&app, id).await, [Phase::Paused]);
    let overview = app
        .call("GET", "/api/overview", None)
        .await
        .expect(200)
        .json;
    assert!(overview.to_string().contains("\"held\""), "{overview}");
    app.patch(id, json!({"hold": false})).await.expect(200);
    all_call(&app, id).await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_asleep_counts_against_nobody_and_starts_for_the_next_caller() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    type Blow = fn(&TestApp, ServerId);
    let blows: [(&str, Blow); 3] = [
        ("ended_while_paused", |app, id| app.engine.kill(id, 137)),
        ("removed_while_paused", |app, id| app.engine.vanish(id)),
        ("ended_while_paused", |app, _| app.engine.restarts()),
    ];
    for (reason, blow) in blows {
        paused(&app, id).await;
        blow(&app, id);
        let shown = app.until_reason(id, reason).await;
        assert_eq!(
            (&shown["status"], &shown["last_error"]),
            (&json!("sleeping"), &Value::Null)
        );
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(app.show(id).await["status"], "sleeping");
        all_call(&app, id).await;
    }
    assert_eq!(app.engine.runs(id), 4);
}

#[tokio::test(start_paused = true)]
async fn somebody_else_may_wake_it() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    paused(&app, id).await;
    app.engine.thaw(id);
    app.until_status(id, "running").await;
}

#[tokio::test(start_paused = true)]
async fn where_the_engine_does_not_pause_it_stays_awake_and_is_tried_again() {
    let app = TestApp::new().await;
    let fault = |op, fault| app.engine.faults(|faults| faults.next(op, fault));
    fault(Op::Pause, Fault::Refused);
    fault(Op::Pause, Fault::AnswerLost);
    fault(Op::Unpause, Fault::Refused);
    fault(Op::Unpause, Fault::AnswerLost);
    let id = sleeper(&app, "x = 1\n").await;
    paused(&app, id).await;
    all_call(&app, id).await;
    paused(&app, id).await;
    all_call(&app, id).await;
    assert_eq!(app.engine.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn an_emcp_that_takes_over_leaves_asleep_what_sleeps() {
    let app = TestApp::new().await;
    let id = sleeper(&app, "x = 1\n").await;
    paused(&app, id).await;
    let app = app.restart().await;
    let shown = app.show(id).await;
    assert_eq!(
        (&shown["status"], &shown["rest"]),
        (&json!("sleeping"), &json!("paused"))
    );
    all_call(&app, id).await;
    assert_eq!(app.engine.runs(id), 1);
    app.until_reason(id, "stopped_idle").await;
    let app = app.restart().await;
    assert_eq!(app.show(id).await["rest"], "stopped");
    all_call(&app, id).await;
}

#[tokio::test(start_paused = true)]
async fn the_platform_may_put_all_to_sleep_that_do_not_say_otherwise() {
    let app = TestApp::with(|input| input.sleep_pause_after_secs = Some(10)).await;
    let sleeps = app.run("sleeps", "x = 1\n").await;
    let fields = json!({"name": "awake", "code": "x = 1\n", "sleep": "never"});
    let awake = app.create_with(fields).await;
    let shown = app.until_status(sleeps, "sleeping").await;
    assert_eq!(shown["sleeps_after"]["pause_after_secs"], 10);
    assert_eq!(app.show(awake).await["status"], "running");
}
