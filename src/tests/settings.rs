//! What can be set of a server, from each body to the record and the view.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::app::TestApp;
use super::ask::Reply;

/// Each setting of a new server as JSON has it, what a form has in its place,
/// and what is shown.
fn of_a_new_server() -> [(&'static str, Value, &'static str, Value); 9] {
    let same = |field, sent: Value, part| (field, sent.clone(), part, sent);
    let limits = json!({"memory_bytes": 536_870_912, "cpus": 1.0, "pids": 64});
    [
        same("description", json!("for people"), "for people"),
        same("entry_object", json!("app"), "app"),
        same("runtime", json!("mcp2"), "mcp2"),
        same("args", json!(["--rows", "2"]), r#"["--rows","2"]"#),
        same(
            "storage",
            json!({"size_bytes": 16_777_216}),
            r#"{"size_bytes":16777216}"#,
        ),
        same("egress", json!("none"), "none"),
        same(
            "pass_headers",
            json!(["Authorization"]),
            r#"["Authorization"]"#,
        ),
        ("limits", json!({"pids": 64}), r#"{"pids":64}"#, limits),
        same("sleep", json!("never"), "never"),
    ]
}

async fn post_form(app: &TestApp, parts: &[(&str, &str)]) -> Reply {
    let mut body = String::new();
    for (name, text) in parts {
        body.push_str("--edge\r\ncontent-disposition: form-data; name=\"");
        body.push_str(&format!("{name}\"\r\n\r\n{text}\r\n"));
    }
    body.push_str("--edge--\r\n");
    let request = Request::post("/api/servers")
        .header("authorization", format!("Bearer {}", app.admin))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(Bytes::from(body))
        .unwrap();
    app.send(request).await
}

#[tokio::test(start_paused = true)]
async fn a_form_a_body_and_changes_set_the_same_and_a_new_emcp_shows_it() {
    let app = TestApp::new().await;
    let settings = of_a_new_server();
    let mut body = json!({"name": "by-json", "code": "x = 1\n", "start": false});
    let mut form = vec![("name", "by-form"), ("file", "x = 1\n"), ("start", "false")];
    for (field, sent, part, _) in &settings {
        body[field] = sent.clone();
        form.push((*field, *part));
    }
    app.call("POST", "/api/servers", Some(body))
        .await
        .expect(201);
    post_form(&app, &form).await.expect(201);
    let plain = json!({"name": "by-change", "code": "x = 1\n", "start": false});
    app.call("POST", "/api/servers", Some(plain))
        .await
        .expect(201);
    for (field, sent, _, _) in settings.clone() {
        let change = Some(json!({field: sent}));
        app.call("PATCH", "/api/servers/by-change", change)
            .await
            .expect(200);
    }
    let app = app.restart().await;
    for name in ["by-json", "by-form", "by-change"] {
        let path = format!("/api/servers/{name}");
        let shown = app.call("GET", &path, None).await.expect(200).json;
        for (field, _, _, expected) in &settings {
            assert_eq!(&shown[field], expected, "{name}: {field}");
        }
        assert_eq!(
            (&shown["hold"], &shown["members"]),
            (&json!(false), &json!([]))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_server_says_which_change_it_has_not_taken_over_yet() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: say hello\n").await;
    let path = format!("/api/servers/{id}");
    let mut first = app.until_status(id, "running").await;
    for (field, sent, _, _) in of_a_new_server() {
        // Its restart is another wish than the last.
        let changed = app.call("PATCH", &path, Some(json!({field: sent}))).await;
        let changed = changed.expect(200).json;
        let is_live = ["description", "pass_headers", "sleep"].contains(&field);
        let restarts = field == "egress";
        let is_needed = !is_live && !restarts;
        assert_eq!(changed["restart_needed"], is_needed, "{field}");
        assert_eq!(changed["settled"], !restarts, "{field}");
        if is_needed {
            app.act(id, "restart").await.expect(202);
        }
        if !is_live {
            let stale = first["container_id"].clone();
            let is_new = async {
                loop {
                    let shown = app.until_status(id, "running").await;
                    if shown["container_id"] != stale {
                        return shown;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            };
            let new = tokio::time::timeout(super::app::PATIENCE, is_new).await;
            first = new.unwrap();
            assert_eq!(first["restart_needed"], false, "{field}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused_by_the_same_code_in_each_body() {
    let app = TestApp::new().await;
    let id = app.create("demo", "x = 1\n").await;
    let path = format!("/api/servers/{id}");
    for (field, wrong, part, code) in [
        (
            "entry_object",
            json!("no object"),
            "no object",
            "invalid_entry_object",
        ),
        ("runtime", json!("mcp3"), "mcp3", "invalid_runtime"),
        ("args", json!([1]), "[1]", "invalid_args"),
        ("storage", json!({}), "{}", "invalid_storage"),
        ("egress", json!("some"), "some", "invalid_egress"),
        (
            "pass_headers",
            json!(["Cookie"]),
            r#"["Cookie"]"#,
            "invalid_pass_headers",
        ),
        (
            "limits",
            json!({"pids": 1}),
            r#"{"pids":1}"#,
            "invalid_limits",
        ),
        ("limits", json!([]), "[]", "invalid_json"),
        ("limits", json!({"x": 1}), r#"{"x":1}"#, "invalid_json"),
        ("sleep", json!({}), "{}", "invalid_sleep"),
    ] {
        let change = Some(json!({field: wrong}));
        let changed = app.call("PATCH", &path, change).await.expect(400);
        assert_eq!(changed.code(), code, "PATCH {field}");
        let body = json!({"name": "other", "code": "x = 1\n", field: wrong});
        let made = app.call("POST", "/api/servers", Some(body)).await;
        assert_eq!(made.expect(400).code(), code, "POST {field}");
        let form = [("name", "other"), ("code", "x = 1\n"), (field, part)];
        let made = post_form(&app, &form).await.expect(400);
        assert_eq!(made.code(), code, "form {field}");
    }
    // As it was.
    let shown = app.show(id).await;
    assert_eq!(shown["etags"]["settings"], format!("\"{id}/settings/1\""));
    let twice = [("name", "other"), ("egress", "open"), ("egress", "none")];
    assert_eq!(post_form(&app, &twice).await.code(), "duplicate_field");
    let unknown = post_form(&app, &[("name", "other"), ("hold", "true")]).await;
    assert_eq!(unknown.code(), "unknown_field");
    for known in ["known are name, description, entry_object, ", " and start"] {
        assert!(unknown.text.contains(known), "{}", unknown.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_until_its_server_has_settled_and_no_longer_than_it_says() {
    let app = TestApp::new().await;
    let body = json!({"name": "demo", "code": "# fake: say hello\n"});
    let made = app.call("POST", "/api/servers?wait=60", Some(body)).await;
    let made = made.expect(201).json;
    assert_eq!(
        (&made["status"], &made["settled"]),
        (&json!("running"), &json!(true))
    );
    let restart = json!({"action": "restart"});
    let (at_once, in_time) = (
        "/api/servers/demo/action?wait=0",
        "/api/servers/demo/action?wait=60",
    );
    let asked = app.call("POST", at_once, Some(restart.clone())).await;
    assert_eq!(asked.expect(200).json["settled"], false);
    let done = app.call("POST", in_time, Some(restart)).await;
    assert_eq!(done.expect(200).json["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn the_description_of_the_api_has_each_setting_in_both_bodies_and_the_view() {
    let app = TestApp::new().await;
    let document = app.call("GET", "/api/openapi.json", None).await.expect(200);
    let schemas = &document.json["components"]["schemas"];
    for (field, ..) in of_a_new_server() {
        for body in ["CreateServerBody", "PatchServer"] {
            let described = &schemas[body]["properties"][field];
            assert!(described.is_object(), "{body}: {field}");
        }
    }
    for (schema, required) in [
        ("CreateServerBody", json!(["name", "code"])),
        ("PatchServer", Value::Null),
    ] {
        assert_eq!(schemas[schema]["additionalProperties"], false, "{schema}");
        assert_eq!(schemas[schema]["required"], required, "{schema}");
    }
    assert!(schemas["PatchServer"]["properties"]["hold"].is_object());
    assert!(schemas["CreateServerBody"]["properties"]["hold"].is_null());
    // Every one of them is there whenever a server is shown.
    let settings = &schemas["ServerSettings"];
    let shown = settings["properties"].as_object().unwrap();
    assert!(shown.len() > of_a_new_server().len());
    assert_eq!(settings["required"].as_array().unwrap().len(), shown.len());
    let view = schemas["ServerView"]["allOf"].as_array().unwrap();
    let reference = "#/components/schemas/ServerSettings";
    assert!(
        view.iter().any(|part| part["$ref"] == reference),
        "{view:?}"
    );
}
