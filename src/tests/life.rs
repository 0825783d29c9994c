//! A server's life, from its creation to its end.

use super::app::TestApp;

#[tokio::test(start_paused = true)]
async fn a_file_becomes_a_running_server_and_goes_without_a_trace() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: say hello\n").await;
    let shown = app.until_status(id, "running").await;
    assert_eq!(shown["reason_code"], "serving");
    assert_eq!(app.engine.containers().len(), 1);
    app.call("DELETE", "/api/servers/demo", None)
        .await
        .expect(204);
    app.until("gone", || app.engine.containers().is_empty())
        .await;
}
