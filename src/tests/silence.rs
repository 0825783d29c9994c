//! Servers that run and answer nobody.

use std::time::Duration;

use serde_json::json;

use super::app::TestApp;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_told_of_and_replaced() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.hang(id, true, false);
    let shown = app.until_status(id, "unresponsive").await;
    assert_eq!(shown["reason_code"], "not_answering");
    let shown = app.until_reason(id, "failed_restarting").await;
    assert_eq!(shown["last_error"]["code"], "unresponsive");
    assert!(shown["last_error"]["args"]["silent_secs"].as_u64().unwrap() >= 60);
    app.until_status(id, "running").await;
    assert_eq!(app.engine.runs(id), 2);
    assert_eq!(app.engine.containers_of(id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_again_goes_on_as_it_is() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.hang(id, true, false);
    app.until_status(id, "unresponsive").await;
    app.engine.hang(id, false, false);
    let shown = app.until_status(id, "running").await;
    assert_eq!(shown["reason_code"], "answers_again");
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(app.engine.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_a_call_blocks_is_told_of_and_never_replaced() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.hang(id, true, true);
    let shown = app.until_status(id, "unresponsive").await;
    assert_eq!(shown["reason_code"], "blocked_in_call");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(app.show(id).await["status"], "unresponsive");
    app.engine.hang(id, false, false);
    app.until_reason(id, "answers_again").await;
    assert_eq!(app.engine.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_settings_say_so_or_the_operator_holds_it_it_is_told_of_and_left_alone() {
    let app = TestApp::with(|input| input.unresponsive_restart_secs = Some(0)).await;
    let id = app.run("demo", "x = 1\n").await;
    app.engine.hang(id, true, false);
    app.until_status(id, "unresponsive").await;
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(app.show(id).await["status"], "unresponsive");
    let app = app
        .restart_with(async |input| input.unresponsive_restart_secs = Some(60))
        .await;
    app.patch(id, json!({"hold": true})).await.expect(200);
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(app.show(id).await["status"], "unresponsive");
    assert_eq!(app.engine.runs(id), 1);
    app.patch(id, json!({"hold": false})).await.expect(200);
    app.until_status(id, "running").await;
    assert_eq!(app.engine.runs(id), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_silent_soon_after_each_start_is_given_up() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: hang after 2s\n").await;
    let shown = app.until_reason(id, "failed_too_often").await;
    assert_eq!(shown["last_error"]["code"], "unresponsive");
    assert_eq!(app.engine.runs(id), 5);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_is_connected_again_also_where_nobody_told_of_it() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    for are_lost in [false, true] {
        app.engine.faults(|faults| faults.lose_events([are_lost]));
        app.engine.cut_off(id);
        let shown = app.until_status(id, "unresponsive").await;
        assert_eq!(shown["reason_code"], "network_lost");
        app.until_status(id, "running").await;
        let found = &app.engine.containers_of(id)[0].endpoints;
        assert_eq!(found.len(), 1);
        app.engine.faults(crate::runtime::fake::Faults::end);
    }
    assert_eq!(app.engine.runs(id), 1);
}
