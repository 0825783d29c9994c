//! Metrics: who may read them, and that they move with what happens.

use std::os::unix::fs::PermissionsExt;

use super::app::TestApp;

/// EMCP that shows its metrics outside, and its metrics token.
async fn measured() -> (TestApp, String) {
    let app = TestApp::with(|settings| settings.metrics_public = Some("on".to_owned())).await;
    let token = std::fs::read_to_string(app.data("metrics-token")).unwrap();
    (app, token.trim().to_owned())
}

/// The value of a series, 0 where there is none yet.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

async fn scrape(app: &TestApp) -> String {
    let (status, text) = app.read(true, "/metrics", "").await;
    assert_eq!(status, 200, "{text}");
    text
}

#[tokio::test(start_paused = true)]
async fn metrics_are_not_outside_unless_they_are_wanted_there() {
    let app = TestApp::new().await;
    for path in ["/metrics", "/metrics/traefik"] {
        let (status, _) = app.read(false, path, &app.admin).await;
        assert_eq!(status, 404, "{path}");
    }
    assert!(!app.data("metrics-token").exists());
    let static_configuration = std::fs::read_to_string(app.data("traefik/traefik.yml")).unwrap();
    assert!(
        !static_configuration.contains("prometheus:"),
        "{static_configuration}"
    );
    let (status, _) = app.read(true, "/metrics/may-scrape", &app.admin).await;
    assert_ne!(status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_token_and_nothing_else_opens_them_and_opens_nothing_else() {
    let (app, token) = measured().await;
    let mode = std::fs::metadata(app.data("metrics-token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let static_configuration = std::fs::read_to_string(app.data("traefik/traefik.yml")).unwrap();
    assert!(static_configuration.contains("{prometheus: {manualRouting: true"));
    for (is_internal, path) in [
        (false, "/metrics"),
        (false, "/metrics/traefik"),
        (true, "/metrics/may-scrape"),
    ] {
        for (shown, status) in [
            ("", 401),
            ("wrong", 401),
            (&token[1..], 401),
            (&*app.admin, 403),
        ] {
            let (answered, text) = app.read(is_internal, path, shown).await;
            assert_eq!(answered, status, "{path} {text}");
            assert!(!text.contains("emcp_build"), "{text}");
            assert!(!text.contains(&token), "{text}");
        }
    }
    let (status, text) = app.read(false, "/metrics", &token).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("emcp_build_info"), "{text}");
    let (status, _) = app.read(true, "/metrics/may-scrape", &token).await;
    assert_eq!(status, 200);
    // Traefik has a route before this one, if it has metrics.
    let (status, text) = app.read(false, "/metrics/traefik", &token).await;
    assert_eq!(status, 404);
    assert!(text.contains("no_traefik_metrics"), "{text}");
    // It is nobody's: neither the API nor the gate takes it.
    app.call_as(&token, "GET", "/api/servers", None)
        .await
        .expect(401);
    let id = app.create("demo", "# fake: say hello\n").await;
    assert_eq!(app.knock(&token, id).await, 401);
}

#[tokio::test(start_paused = true)]
async fn guesses_are_counted_and_do_not_shut_out_who_has_the_token() {
    let app = TestApp::with(|settings| {
        settings.metrics_public = Some("on".to_owned());
        settings.wrong_tokens_per_minute = Some(3);
    })
    .await;
    let token = std::fs::read_to_string(app.data("metrics-token")).unwrap();
    let mut statuses = Vec::new();
    for number in 0..4 {
        let (status, _) = app
            .read(false, "/metrics", &format!("guess-{number}"))
            .await;
        statuses.push(status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
    let (status, _) = app.read(false, "/metrics", token.trim()).await;
    assert_eq!(status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_learns_no_names() {
    let (app, token) = measured().await;
    let id = app.create("secret-plan", "# fake: say hello\n").await;
    app.until_status(id, "running").await;
    let (_, named) = app.read(false, "/metrics", &token).await;
    let series = r#"emcp_server_status{server="secret-plan",status="running"}"#;
    assert_eq!(value(&named, series), 1.0, "{named}");
    let inside = scrape(&app).await;
    assert_eq!(value(&inside, r#"emcp_servers{status="running"}"#), 1.0);
    assert!(!inside.contains("secret-plan"), "{inside}");
    app.call("DELETE", "/api/servers/secret-plan", None)
        .await
        .expect(204);
    app.until("gone", || app.engine.containers().is_empty())
        .await;
    let (_, named) = app.read(false, "/metrics", &token).await;
    assert!(!named.contains("secret-plan"), "{named}");
}

#[tokio::test(start_paused = true)]
async fn starts_failures_steps_calls_and_commits_are_measured() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: ready after 1500ms\n").await;
    app.until_status(id, "running").await;
    let text = scrape(&app).await;
    let started = |le: &str| {
        let series =
            format!("emcp_server_start_duration_seconds_bucket{{le=\"{le}\",outcome=\"ready\"}}");
        value(&text, &series)
    };
    assert_eq!((started("1.0"), started("8.0")), (0.0, 1.0), "{text}");
    let count = |name: &str, labels: &str| value(&text, &format!("{name}_count{{{labels}}}"));
    let engine = "emcp_engine_call_duration_seconds";
    assert_eq!(count(engine, r#"call="run",outcome="ok""#), 1.0, "{text}");
    assert!(count(engine, r#"call="list",outcome="ok""#) > 1.0, "{text}");
    let step = "emcp_reconcile_step_duration_seconds";
    assert_eq!(count(step, r#"step="create",outcome="ok""#), 1.0, "{text}");
    assert!(
        count(step, r#"step="await_ready",outcome="ok""#) >= 1.0,
        "{text}"
    );
    assert!(count("emcp_store_commit_duration_seconds", r#"outcome="ok""#) >= 3.0);
    assert_eq!(value(&text, "emcp_traefik_in_service"), 1.0);

    let broken = app.create("broken", "# fake: exit 3 after 10ms\n").await;
    app.until_status(broken, "error").await;
    let text = scrape(&app).await;
    let failures = value(&text, r#"emcp_server_failures_total{cause="crashed"}"#);
    assert!(failures >= 1.0, "{text}");
    let failed = r#"emcp_server_start_duration_seconds_count{outcome="failed"}"#;
    assert_eq!(value(&text, failed), failures, "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_shows() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: say hello\n").await;
    app.until_status(id, "running").await;
    let unreachable = |text: &str| {
        let series = text.lines().filter(|line| {
            line.starts_with("emcp_engine_call_duration_seconds_count")
                && line.contains("unreachable")
        });
        series.count()
    };
    assert_eq!(unreachable(&scrape(&app).await), 0);
    app.engine.goes_away();
    let (status, _) = app.read(true, "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(unreachable(&scrape(&app).await) > 0);
}

#[tokio::test(start_paused = true)]
async fn calls_are_measured_by_route_and_by_what_the_gate_said() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: say hello\n").await;
    app.until_status(id, "running").await;
    assert_eq!(app.knock(&app.admin, id).await, 200);
    assert_eq!(app.knock("wrong", id).await, 401);
    for path in ["/.git/config", "/wp-login.php", "/api/nobody/mcp"] {
        app.read(false, path, "").await;
    }
    let text = scrape(&app).await;
    let gate = |labels: &str| {
        value(
            &text,
            &format!("emcp_gate_duration_seconds_count{{{labels}}}"),
        )
    };
    assert_eq!(gate(r#"outcome="allowed",held="false""#), 1.0, "{text}");
    assert_eq!(gate(r#"outcome="refused",held="false""#), 1.0, "{text}");
    let http = |labels: &str| {
        value(
            &text,
            &format!("emcp_http_request_duration_seconds_count{{{labels}}}"),
        )
    };
    assert_eq!(
        http(r#"route="/api/servers",method="POST",status="2xx""#),
        1.0,
        "{text}"
    );
    assert!(http(r#"route="/api/servers/{id}",method="GET",status="2xx""#) >= 1.0);
    assert_eq!(http(r#"route="/gate",method="GET",status="4xx""#), 1.0);
    assert_eq!(
        http(r#"route="unmatched",method="GET",status="4xx""#),
        3.0,
        "{text}"
    );
    assert!(!text.contains("wp-login"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_server_is_held_and_its_wait_measured() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: ready after 3s\n").await;
    app.until_status(id, "starting").await;
    assert_eq!(app.knock(&app.admin, id).await, 200);
    let text = scrape(&app).await;
    let held = |le: &str| {
        let labels = format!("le=\"{le}\",outcome=\"allowed\",held=\"true\"");
        value(
            &text,
            &format!("emcp_gate_duration_seconds_bucket{{{labels}}}"),
        )
    };
    assert_eq!((held("0.5"), held("25.0")), (0.0, 1.0), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_dated_and_the_date_outlives_emcp() {
    let app = TestApp::new().await;
    let last = "emcp_last_backup_timestamp_seconds";
    assert_eq!(value(&scrape(&app).await, last), 0.0);
    let (status, _) = app.read(false, "/api/backup", &app.admin).await;
    assert_eq!(status, 200);
    let made = value(&scrape(&app).await, last);
    assert!(made > 1_700_000_000.0, "{made}");
    let app = app.restart().await;
    assert_eq!(value(&scrape(&app).await, last), made);
    // Of EMCP's own CA.
    let ends = value(
        &scrape(&app).await,
        "emcp_certificate_end_timestamp_seconds",
    );
    assert!(ends > made + 86_400.0 * 700.0, "{ends}");
}
