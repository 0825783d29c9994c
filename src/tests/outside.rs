//! What somebody else does to containers, and to the engine.

use std::time::Duration;

use serde_json::json;

use super::app::TestApp;
use crate::model::ServerId;
use crate::runtime::Phase;
use crate::runtime::fake::{Fault, Faults, Op};

/// Has a server run this often, and one container of it.
async fn runs_again(app: &TestApp, id: ServerId, runs: u32) {
    app.until("it was started again", || app.engine.runs(id) == runs)
        .await;
    app.until_status(id, "running").await;
    let own = app.engine.containers_of(id);
    assert_eq!((own.len(), own[0].phase), (1, Phase::Running));
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_killed_or_removed_is_replaced_also_where_events_are_lost() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.kill(id, 137);
    let shown = app.until_reason(id, "failed_restarting").await;
    assert_eq!(shown["last_error"]["code"], "crashed");
    runs_again(&app, id, 2).await;
    app.engine.vanish(id);
    runs_again(&app, id, 3).await;
    app.engine.faults(|faults| faults.lose_events([true]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    app.engine.kill(id, 1);
    runs_again(&app, id, 4).await;
    app.engine.vanish(id);
    runs_again(&app, id, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_frozen_goes_on_where_it_was() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.freeze(id);
    let phase = || app.engine.containers_of(id)[0].phase;
    app.until("it goes on", || phase() == Phase::Running).await;
    assert_eq!(app.engine.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_held_server_is_left_as_it_is() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.patch(id, json!({"hold": true})).await.expect(200);
    app.engine.kill(id, 1);
    app.act(id, "restart").await.expect(202);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(app.engine.runs(id), 1);
    app.patch(id, json!({"hold": false})).await.expect(200);
    runs_again(&app, id, 2).await;
}

#[tokio::test(start_paused = true)]
async fn containers_with_our_label_and_no_server_are_removed() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    // Deleted while the engine does not answer, and EMCP ends meanwhile.
    app.engine.goes_away();
    app.call("DELETE", "/api/servers/demo", None)
        .await
        .expect(204);
    let app = app.restart().await;
    assert_eq!(app.engine.containers_of(id).len(), 1);
    app.engine.comes_back();
    app.until("it is gone", || app.engine.containers().is_empty())
        .await;
}

#[tokio::test(start_paused = true)]
async fn while_the_engine_is_away_servers_serve_and_wishes_are_taken() {
    let app = TestApp::new().await;
    let serves = app.run("serves", "x = 1\n").await;
    let ends = app.run("ends", "x = 1\n").await;
    app.engine.goes_away();
    let body = json!({"action": "stop"});
    app.call("POST", "/api/servers/ends/action", Some(body))
        .await
        .expect(202);
    let begins = app.create("begins", "x = 1\n").await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(app.show(serves).await["status"], "running");
    assert_eq!(app.knock(&app.admin, serves).await, 200);
    let ready = app
        .ask("GET", "/readyz")
        .internal()
        .send()
        .await
        .expect(503);
    assert_eq!(
        ready.json["checks"]["docker"],
        "Docker Engine does not answer"
    );
    let check = app
        .call("POST", "/api/check", Some(json!({"code": "x = 1\n"})))
        .await;
    check.refused(503, "docker_unavailable");
    app.engine.comes_back();
    app.until_status(begins, "running").await;
    app.until_status(ends, "stopped").await;
    assert_eq!(app.engine.runs(serves), 1);
    app.ask("GET", "/readyz")
        .internal()
        .send()
        .await
        .expect(200);
}

#[tokio::test(start_paused = true)]
async fn readiness_tells_a_broker_that_is_away_from_an_engine_that_is() {
    let app = TestApp::new().await;
    // Traefik is there.
    app.run("demo", "x = 1\n").await;
    let checks = async |status| {
        let asked = app.ask("GET", "/readyz").internal().send();
        let answer = asked.await.expect(status);
        assert_eq!(answer.json["ready"], status == 200);
        let checks = &answer.json["checks"];
        (checks["broker"].clone(), checks["docker"].clone())
    };
    let ok = json!("ok");
    assert_eq!(checks(200).await, (json!(null), ok.clone()));
    app.engine.has_broker(true);
    assert_eq!(checks(200).await, (ok.clone(), ok.clone()));
    app.engine.goes_away();
    let silent = json!("Docker Engine does not answer");
    assert_eq!(checks(503).await, (ok, silent));
    app.engine.has_broker(false);
    let (away, unknown) = (
        json!("the broker does not answer"),
        json!("not known, since the broker does not answer"),
    );
    assert_eq!(checks(503).await, (away, unknown));
}

#[tokio::test(start_paused = true)]
async fn what_ended_with_the_engine_is_started_again_and_counted_as_no_failure() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    for runs in 2..9 {
        app.engine.restarts();
        runs_again(&app, id, runs).await;
    }
    let shown = app.show(id).await;
    assert_eq!(
        (&shown["restarts"], &shown["last_error"]),
        (&json!(0), &json!(null))
    );
    let told = app.history(id).await;
    let ends = told
        .iter()
        .filter(|event| event["code"] == "engine_restarted");
    assert_eq!(ends.count(), 7);
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_come_leave_no_second_container() {
    let app = TestApp::new().await;
    let ops = [
        Op::Create,
        Op::Start,
        Op::Stop,
        Op::Remove,
        Op::List,
        Op::Inspect,
    ];
    for (n, op) in ops.into_iter().enumerate() {
        app.engine
            .faults(|faults| faults.next(op, Fault::AnswerLost));
        let id = app.create(&format!("server-{n}"), "x = 1\n").await;
        app.until_status(id, "running").await;
        app.act(id, "restart").await.expect(202);
        app.until_reason(id, "start_pending").await;
        app.until_status(id, "running").await;
        assert_eq!(app.engine.containers_of(id).len(), 1, "{op:?}");
        app.engine.faults(Faults::end);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_holds_up_nobody_else() {
    let app = TestApp::new().await;
    let slow = app.run("slow", "x = 1\n").await;
    let hour = Fault::Slow(Duration::from_secs(3_600));
    app.engine.faults(|faults| faults.next(Op::Stop, hour));
    app.act(slow, "stop").await.expect(202);
    app.until_reason(slow, "stopping").await;
    let quick = app.run("quick", "x = 1\n").await;
    app.act(quick, "stop").await.expect(202);
    app.until_status(quick, "stopped").await;
    assert_eq!(app.show(slow).await["reason_code"], "stopping");
}
