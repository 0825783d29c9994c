//! Creating servers: all of it is there afterwards, or nothing.

use serde_json::{Value, json};

use super::app::TestApp;

const CODE: &str = "# fake: say hello\n";

/// Every setting a server can be made with.
fn everything() -> Value {
    json!({
        "description": "All of it.",
        "entry_object": "app",
        "runtime": "mcp1",
        "args": ["--rows", "2"],
        "storage": {"size_bytes": 67_108_864},
        "egress": "none",
        "pass_headers": ["X-Own"],
        "limits": {"memory_bytes": 134_217_728, "cpus": 0.5, "pids": 64},
        "sleep": {"pause_after_secs": 600, "stop_after_secs": null},
    })
}

#[tokio::test(start_paused = true)]
async fn json_and_a_form_make_the_same_server() {
    let app = TestApp::new().await;
    let env = json!([
        {"key": "OPEN", "value": "1"},
        {"key": "HIDDEN", "value": "xyzzy-9", "is_secret": true},
    ]);
    let mut fields = everything();
    fields["name"] = "by-json".into();
    fields["code"] = CODE.into();
    fields["env"] = env.clone();
    let by_json = app.create_with(fields).await;

    let expected = everything();
    let text = |key: &str| match &expected[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys = [
        "description",
        "entry_object",
        "runtime",
        "args",
        "storage",
        "egress",
        "pass_headers",
        "limits",
        "sleep",
    ];
    let texts: Vec<(&str, String)> = keys.iter().map(|key| (*key, text(key))).collect();
    let env = env.to_string();
    let mut form = vec![
        ("name", "by-form"),
        ("file", CODE),
        ("start", "true"),
        ("env", &env),
    ];
    form.extend(texts.iter().map(|(key, text)| (*key, text.as_str())));
    let made = app.ask("POST", "/api/servers").form(&form).send().await;
    let by_form = made.expect(201).id();

    for id in [by_json, by_form] {
        let shown = app.until_status(id, "running").await;
        for key in keys {
            assert_eq!(shown[key], expected[key], "{key}");
        }
        let path = format!("/api/servers/{id}/code");
        assert_eq!(app.call("GET", &path, None).await.expect(200).text, CODE);
        let path = format!("/api/servers/{id}/env");
        let env = app.call("GET", &path, None).await.expect(200).json;
        assert_eq!(env["env"][0]["value"], "1");
        assert_eq!(env["env"][1]["value"], "******");
        // And it is what its container was made with.
        let given = app.engine.given(id);
        assert_eq!(given.limits.pids, 64);
        assert_eq!(given.disk_bytes, Some(67_108_864));
        assert_eq!(app.engine.variable(id, "HIDDEN"), "xyzzy-9");
        assert_eq!(app.engine.variable(id, "EMCP_ARGS"), r#"["--rows","2"]"#);
        assert_eq!(app.engine.variable(id, "EMCP_DATA"), "/data");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_to_start_waits_for_it() {
    let app = TestApp::new().await;
    let fields = json!({"name": "later", "code": CODE, "start": false});
    let id = app.create_with(fields).await;
    let shown = app.show(id).await;
    assert_eq!(
        (&shown["status"], &shown["desired"]),
        (&json!("stopped"), &json!("stopped"))
    );
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    assert_eq!(app.engine.runs(id), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_field_is_told_by_its_code_and_nothing_is_made() {
    let app = TestApp::with(|input| input.max_storage = Some("100m".to_owned())).await;
    app.create("taken", CODE).await;
    let refusals = [
        ("name", json!(null), 400, "missing_field"),
        ("name", json!("Demo"), 400, "invalid_name"),
        ("name", json!(""), 400, "invalid_name"),
        ("name", json!("a".repeat(41)), 400, "invalid_name"),
        ("name", json!("servers"), 400, "reserved_name"),
        (
            "name",
            json!("01980000-0000-7000-8000-000000000000"),
            400,
            "name_like_id",
        ),
        ("name", json!("taken"), 409, "name_taken"),
        ("name", json!(7), 400, "invalid_json"),
        ("code", json!(null), 400, "missing_field"),
        ("code", json!(" \n"), 400, "code_empty"),
        ("code", json!("x\0"), 400, "code_not_text"),
        ("code", json!("#".repeat(1_048_577)), 413, "too_large"),
        (
            "description",
            json!("x".repeat(4_097)),
            400,
            "description_too_long",
        ),
        ("entry_object", json!("import"), 400, "invalid_entry_object"),
        ("runtime", json!("mcp3"), 400, "invalid_runtime"),
        ("args", json!("--rows 2"), 400, "invalid_args"),
        ("args", json!(["a\0"]), 400, "invalid_args"),
        ("storage", json!({"size_bytes": 1}), 400, "invalid_storage"),
        (
            "storage",
            json!({"size_bytes": 209_715_200}),
            400,
            "limit_above_maximum",
        ),
        ("egress", json!("lan"), 400, "invalid_egress"),
        ("pass_headers", json!(["Host"]), 400, "invalid_pass_headers"),
        (
            "pass_headers",
            json!(["X-Forwarded-User"]),
            400,
            "invalid_pass_headers",
        ),
        ("limits", json!({"pids": 1}), 400, "invalid_limits"),
        (
            "limits",
            json!({"memory_bytes": 1_099_511_627_776_u64}),
            400,
            "limit_above_maximum",
        ),
        ("limits", json!([1, 2, 3]), 400, "invalid_json"),
        ("sleep", json!("often"), 400, "invalid_sleep"),
        (
            "sleep",
            json!({"pause_after_secs": 1}),
            400,
            "invalid_sleep",
        ),
        (
            "env",
            json!([{"key": "1X", "value": ""}]),
            400,
            "invalid_env_key",
        ),
        (
            "env",
            json!([{"key": "EMCP_X", "value": ""}]),
            400,
            "reserved_env_key",
        ),
        (
            "env",
            json!([{"key": "A", "value": ""}, {"key": "A", "value": ""}]),
            400,
            "duplicate_env_key",
        ),
        (
            "env",
            json!([{"key": "A", "value": "x\0"}]),
            400,
            "invalid_env_value",
        ),
        (
            "env",
            json!([{"key": "A", "is_secret": true}]),
            400,
            "secret_without_value",
        ),
        ("env", json!("A=1"), 400, "invalid_env"),
        ("colour", json!("red"), 400, "invalid_json"),
    ];
    for (field, value, status, code) in refusals {
        let mut fields = json!({"name": "wrong", "code": CODE});
        fields[field] = value.clone();
        let answer = app.call("POST", "/api/servers", Some(fields)).await;
        let shown = value.to_string();
        let shown = &shown[..shown.len().min(60)];
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{field}: {shown}"
        );
    }
    let listed = app.call("GET", "/api/servers", None).await.expect(200).json;
    assert_eq!(listed["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_form_or_a_body_is_told_by_its_code() {
    let app = TestApp::new().await;
    let good = [("name", "wrong"), ("file", CODE)];
    let with = |more: (&'static str, &'static str)| [good.as_slice(), &[more]].concat();
    for (fields, code) in [
        (with(("name", "twice")), "duplicate_field"),
        (with(("code", CODE)), "duplicate_field"),
        (with(("start", "yes")), "invalid_flag"),
        (with(("colour", "red")), "unknown_field"),
        (with(("args", "not json")), "invalid_json"),
        (vec![("file", CODE)], "missing_field"),
        (vec![("name", "wrong")], "missing_field"),
    ] {
        let answer = app.ask("POST", "/api/servers").form(&fields).send().await;
        answer.refused(400, code);
    }
    for (kind, body, code) in [
        ("application/json", "{", "invalid_json"),
        ("application/json", "[]", "invalid_json"),
        ("text/plain", "x = 1", "unsupported_content_type"),
        ("multipart/form-data", "x", "unsupported_content_type"),
        (
            "multipart/form-data; boundary=edge",
            "x",
            "invalid_multipart",
        ),
    ] {
        let answer = app
            .ask("POST", "/api/servers")
            .body(kind, body)
            .send()
            .await;
        answer.refused(400, code);
    }
    let listed = app.call("GET", "/api/servers", None).await.expect(200).json;
    assert_eq!(listed["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_pool_that_is_used_up_refuses_and_a_deleted_servers_address_is_free_again() {
    // Of 64 addresses, some are the host's and Docker's own.
    let app = TestApp::with(|input| input.subnet = Some("10.213.0.0/26".to_owned())).await;
    let mut made = Vec::new();
    let refused = loop {
        let name = format!("server-{}", made.len());
        let fields = json!({"name": name, "code": CODE, "start": false});
        let answer = app.call("POST", "/api/servers", Some(fields)).await;
        if answer.status != 201 {
            break answer;
        }
        made.push(answer.id());
        assert!(made.len() <= 64, "there are more than addresses");
    };
    refused.refused(409, "address_pool_full");
    let path = format!("/api/servers/{}", made[0]);
    app.call("DELETE", &path, None).await.expect(204);
    // The address follows when nothing is left of the server.
    let fields = json!({"name": "next", "code": CODE});
    let mut answer = app.call("POST", "/api/servers", Some(fields.clone())).await;
    while answer.status != 201 {
        assert_eq!(answer.code(), "address_pool_full");
        tokio::time::sleep(super::app::POLL).await;
        answer = app.call("POST", "/api/servers", Some(fields.clone())).await;
    }
    app.until_status(answer.id(), "running").await;
}
