//! What is shown: lists, logs, events as they happen, the platform at a glance.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::TestApp;

#[tokio::test(start_paused = true)]
async fn a_list_is_narrowed_by_words_and_by_status() {
    let app = TestApp::new().await;
    app.run("weather", "x = 1\n").await;
    let fields =
        json!({"name": "other", "code": "x = 1\n", "description": "Weather too", "start": false});
    app.create_with(fields).await;
    for (query, names) in [
        ("", json!(["weather", "other"])),
        ("?q=WEATHER", json!(["weather", "other"])),
        ("?q=weather&status=stopped", json!(["other"])),
        ("?status=error", json!([])),
    ] {
        let path = format!("/api/servers{query}");
        let listed = app.call("GET", &path, None).await.expect(200).json;
        let servers = listed["servers"].as_array().unwrap().iter();
        let found: Value = servers.map(|server| server["name"].clone()).collect();
        assert_eq!(found, names, "{query}");
        assert_eq!(listed["total"], names.as_array().unwrap().len());
    }
    let wrong = app.call("GET", "/api/servers?status=tired", None).await;
    wrong.refused(400, "invalid_query");
}

#[tokio::test(start_paused = true)]
async fn output_is_kept_as_text_and_in_pages_over_all_runs() {
    let app = TestApp::new().await;
    let code = "# fake: say one\n# fake: warn two\n# fake: say \u{1b}[31mthree\n";
    let id = app.run("demo", code).await;
    app.act(id, "restart").await.expect(202);
    app.until_reason(id, "serving").await;
    let text = async |query: &str| {
        let path = format!("/api/servers/demo/logs{query}");
        app.call("GET", &path, None).await.expect(200).text
    };
    let all = text("").await;
    let said = |text: &str, line: &str| text.lines().filter(|said| *said == line).count();
    assert_eq!((said(&all, "one"), said(&all, "two")), (2, 2), "{all}");
    let warned = text("?stream=stderr&grep=TWO&timestamps=true").await;
    assert_eq!(warned.lines().count(), 2, "{warned}");
    assert!(
        warned.lines().all(|line| line.ends_with("stderr two")),
        "{warned}"
    );
    assert_eq!(text("?tail=1").await.lines().count(), 1);
    assert_eq!(text("?since=2999-01-01T00:00:00Z").await, "");
    let page = async |query: &str| {
        let path = format!("/api/servers/demo/logs?format=json&limit=2{query}");
        app.call("GET", &path, None).await.expect(200).json
    };
    let newest = page("").await;
    assert_eq!(newest["records"].as_array().unwrap().len(), 2);
    let older = page(&format!("&before={}", newest["next"])).await;
    assert_ne!(newest["records"], older["records"]);
    for wrong in [
        "format=xml",
        "limit=0",
        "limit=1001",
        "stream=stdin",
        "since=today",
        "tail=-1",
        "before=x",
        "timestamps=maybe",
    ] {
        let answer = app
            .call("GET", &format!("/api/servers/demo/logs?{wrong}"), None)
            .await;
        answer.refused(400, "invalid_query");
    }
    let long = "x".repeat(1_001);
    let answer = app
        .call("GET", &format!("/api/servers/demo/logs?grep={long}"), None)
        .await;
    answer.refused(400, "invalid_query");
}

#[tokio::test(start_paused = true)]
async fn who_looks_on_is_told_everything_first_and_then_what_changes() {
    let app = TestApp::new().await;
    app.run("first", "x = 1\n").await;
    let viewer = app.token("viewer", "viewer").await;
    let looks_on = app.ask("GET", "/api/events/stream").by(&viewer);
    let watching = looks_on.read_until("\"removed\":[\"");
    let doing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        app.run("second", "x = 1\n").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        app.call("DELETE", "/api/servers/second", None)
            .await
            .expect(204);
    };
    let (told, ()) = tokio::join!(watching, doing);
    let events: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(events[0], "snapshot");
    assert!(
        events.contains(&"change") && events.contains(&"usage"),
        "{events:?}"
    );
    assert!(told.contains("\"name\":\"second\""));
    // It ends with the token.
    let listed = app.call("GET", "/api/tokens", None).await.json;
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    let revoking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        app.call("DELETE", &format!("/api/tokens/{id}"), None)
            .await
            .expect(204);
    };
    let watching = app.ask("GET", "/api/events/stream").by(&viewer).send();
    let (told, ()) = tokio::join!(watching, revoking);
    assert!(told.text.starts_with("event: snapshot"));
}

#[tokio::test(start_paused = true)]
async fn the_overview_counts_and_says_what_needs_attention() {
    let app = TestApp::new().await;
    app.run("runs", "x = 1\n").await;
    let broken = app.create("broken", "# fake: exit 70 after 1s\n").await;
    let hangs = app.run("hangs", "x = 1\n").await;
    let stale = app.run("stale", "x = 1\n").await;
    app.until_status(broken, "error").await;
    app.engine.hang(hangs, true, true);
    app.patch(stale, json!({"args": ["-v"]})).await.expect(200);
    app.until_status(hangs, "unresponsive").await;
    let shown = app
        .call("GET", "/api/overview", None)
        .await
        .expect(200)
        .json;
    assert_eq!(shown["total"], 4);
    assert_eq!(shown["by_status"]["running"], 2);
    let attention = shown["attention"].as_array().unwrap().iter();
    let named: Value = attention
        .map(|item| json!([item["server"]["name"], item["code"]]))
        .collect();
    let expected = json!([
        ["broken", "failed"],
        ["hangs", "unresponsive"],
        ["stale", "restart_needed"],
    ]);
    assert_eq!(named, expected);
    assert!(!shown["recent_events"].as_array().unwrap().is_empty());
    // Nothing is measured while nobody looks.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let shown = app
        .call("GET", "/api/overview", None)
        .await
        .expect(200)
        .json;
    assert!(
        shown["usage"]["memory_bytes"].as_u64().unwrap() > 0,
        "{}",
        shown["usage"]
    );
    let metrics = app
        .ask("GET", "/metrics")
        .internal()
        .send()
        .await
        .expect(200)
        .text;
    assert!(
        metrics.contains("emcp_servers{status=\"running\"} 2"),
        "{metrics}"
    );
    let settings = app
        .call("GET", "/api/settings", None)
        .await
        .expect(200)
        .json;
    assert_eq!(settings["certificate"], "local_ca");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_offers_is_listed_and_tried() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    let offered = app
        .call("GET", "/api/servers/demo/tools", None)
        .await
        .expect(200)
        .json;
    assert_eq!(offered["tools"][0]["name"], "echo");
    assert_eq!(offered["resources"][0]["uri"], "fake://note");
    assert_eq!(offered["prompts"][0]["name"], "greet");
    let call = json!({"name": "echo", "arguments": {"text": "hello"}});
    let called = app
        .call("POST", "/api/servers/demo/tools/call", Some(call.clone()))
        .await;
    let called = called.expect(200).json;
    assert_eq!(
        (&called["is_error"], &called["content"][0]["text"]),
        (&json!(false), &json!("hello"))
    );
    let read = json!({"uri": "fake://note"});
    let read = app
        .call("POST", "/api/servers/demo/resources/read", Some(read))
        .await;
    assert_eq!(read.expect(200).json["contents"][0]["text"], "a note");
    let prompt = json!({"name": "greet"});
    let prompt = app
        .call("POST", "/api/servers/demo/prompts/get", Some(prompt))
        .await;
    assert_eq!(prompt.expect(200).json["messages"][0]["role"], "user");
    // A test goes the clients' way, and here nobody listens for them.
    let tested = app
        .call("POST", "/api/servers/demo/test", None)
        .await
        .expect(200)
        .json;
    let steps = tested["steps"].as_array().unwrap().iter();
    let steps: Value = steps
        .map(|step| json!([step["code"], step["detail_code"]]))
        .collect();
    let expected = json!([
        ["resolve", "traefik_found"],
        ["tls", "no_connection"],
        ["gate", "not_reached"],
        ["initialize", "not_reached"],
        ["list_tools", "not_reached"],
    ]);
    assert_eq!(steps, expected);
    app.act(id, "stop").await.expect(202);
    app.until_status(id, "stopped").await;
    let refused = app
        .call("POST", "/api/servers/demo/tools/call", Some(call))
        .await;
    assert!(
        refused.status.is_client_error() || refused.status == 503,
        "{}",
        refused.json
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_and_a_file_are_checked_before_anything_is_made() {
    let app = TestApp::new().await;
    app.create("taken", "x = 1\n").await;
    for (name, code) in [
        ("free", Value::Null),
        ("taken", json!("name_taken")),
        ("servers", json!("reserved_name")),
        ("Demo", json!("invalid_name")),
    ] {
        let path = format!("/api/names/{name}");
        let shown = app.call("GET", &path, None).await.expect(200).json;
        assert_eq!(shown["code"], code);
        assert_eq!(shown["available"], code.is_null());
    }
    let body = json!({"code": "x = 1\n", "entry_object": "mcp"});
    let checked = app
        .call("POST", "/api/check", Some(body))
        .await
        .expect(200)
        .json;
    assert_eq!(checked["ok"], true);
    let templates = app
        .call("GET", "/api/templates", None)
        .await
        .expect(200)
        .json;
    assert!(!templates["templates"].as_array().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_made_while_everything_runs() {
    let app = TestApp::new().await;
    app.run("demo", "x = 1\n").await;
    for query in ["", "?keys=true"] {
        let path = format!("/api/backup{query}");
        let made = app.call("GET", &path, None).await.expect(200);
        // A tar file's first block says so.
        assert_eq!(&made.body[257..262], b"ustar");
        let has_keys = made.body.windows(10).any(|part| part == b"master.key");
        assert_eq!(has_keys, !query.is_empty());
    }
    assert_eq!(
        app.show(app.app.behind.directory.find("demo").unwrap().server.id)
            .await["status"],
        "running"
    );
}

#[tokio::test(start_paused = true)]
async fn addresses_without_a_server_are_answered_to_who_has_a_token() {
    let app = TestApp::new().await;
    app.create("demo", "x = 1\n").await;
    app.ask("POST", "/api/nobody/mcp")
        .by("")
        .send()
        .await
        .expect(401);
    app.ask("POST", "/api/nobody/mcp")
        .send()
        .await
        .refused(404, "server_not_found");
    app.ask("POST", "/api/demo/mcp")
        .send()
        .await
        .refused(503, "route_pending");
    for path in [
        "/",
        "/index.html",
        "/.well-known/oauth-authorization-server",
        "/register",
    ] {
        let status = app.ask("GET", path).by("").send().await.status;
        assert!(!status.is_server_error(), "{path}: {status}");
    }
    let ca = app.ask("GET", "/ca.crt").by("").send().await.expect(200);
    assert!(ca.text.starts_with("-----BEGIN CERTIFICATE-----"));
}
