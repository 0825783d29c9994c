//! Changing servers: settings, variables, code and versions.

use serde_json::{Value, json};

use super::app::TestApp;

const CODE: &str = "# fake: say hello\n";

#[tokio::test(start_paused = true)]
async fn each_setting_can_be_changed_and_says_whether_it_takes_a_new_container() {
    let app = TestApp::new().await;
    app.token("ada", "developer").await;
    let id = app.run("demo", CODE).await;
    for (key, value, takes_a_restart) in [
        ("description", json!("another"), false),
        ("members", json!(["ada"]), false),
        ("sleep", json!("never"), false),
        ("sleep", json!(null), false),
        ("pass_headers", json!(["X-Own"]), false),
        ("hold", json!(true), false),
        ("hold", json!(false), false),
        ("entry_object", json!("app"), true),
        ("runtime", json!("mcp2"), true),
        ("args", json!(["-v"]), true),
        ("storage", json!({"size_bytes": 67_108_864}), true),
    ] {
        let changed = app.patch(id, json!({key: value})).await.expect(200);
        assert_eq!(changed.json[key], value);
        assert_eq!(changed.json["restart_needed"], takes_a_restart, "{key}");
        let tag = &changed.json["etags"]["settings"];
        assert_eq!(changed.header("etag"), tag.as_str());
        if takes_a_restart {
            app.act(id, "restart").await.expect(202);
            let shown = app.until_reason(id, "serving").await;
            assert_eq!(shown["restart_needed"], false, "{key}");
        }
    }
    // Of several limits, those that are named.
    let before = app.show(id).await["limits"].clone();
    let changed = app
        .patch(id, json!({"limits": {"pids": 77}}))
        .await
        .expect(200);
    assert_eq!(changed.json["limits"]["pids"], 77);
    assert_eq!(changed.json["limits"]["cpus"], before["cpus"]);
    assert_eq!(changed.json["restart_needed"], true);
    // Another egress is another network, and that is not put off.
    let runs = app.engine.runs(id);
    let changed = app.patch(id, json!({"egress": "none"})).await.expect(200);
    let address = changed.json["address"].as_str().unwrap().to_owned();
    let shown = app.until_reason(id, "serving").await;
    assert_eq!(app.engine.runs(id), runs + 1);
    assert_eq!(shown["address"], address.as_str());
    assert_eq!(app.engine.given(id).limits.pids, 77);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_change_is_told_by_its_code_and_nothing_is_changed() {
    let app = TestApp::new().await;
    app.token("client", "connect").await;
    let fields = json!({"name": "demo", "code": CODE, "storage": {"size_bytes": 67_108_864}});
    let id = app.create_with(fields).await;
    app.until_status(id, "running").await;
    app.patch(id, json!({"hold": true})).await.expect(200);
    let before = app.show(id).await;
    for (change, status, code) in [
        (
            json!({"description": "x".repeat(4_097)}),
            400,
            "description_too_long",
        ),
        (json!({"entry_object": "1x"}), 400, "invalid_entry_object"),
        (json!({"runtime": "mcp3"}), 400, "invalid_runtime"),
        (json!({"args": 7}), 400, "invalid_args"),
        (
            json!({"storage": {"size_bytes": 33_554_432}}),
            409,
            "storage_shrinks",
        ),
        (json!({"storage": null}), 409, "storage_shrinks"),
        (json!({"storage": {}}), 400, "invalid_storage"),
        (json!({"egress": "lan"}), 400, "invalid_egress"),
        (json!({"egress": "none"}), 409, "server_held"),
        (
            json!({"pass_headers": ["a b"]}),
            400,
            "invalid_pass_headers",
        ),
        (json!({"limits": {"cpus": 0}}), 400, "invalid_limits"),
        (json!({"limits": {"cpus": 64}}), 400, "limit_above_maximum"),
        (json!({"sleep": 5}), 400, "invalid_sleep"),
        (json!({"members": ["nobody"]}), 400, "unknown_member"),
        // Who may only connect is nobody's colleague.
        (json!({"members": ["client"]}), 400, "unknown_member"),
        (json!({"members": ["\n"]}), 400, "invalid_members"),
        (json!({"hold": "yes"}), 400, "invalid_json"),
        (json!({"name": "other"}), 400, "invalid_json"),
        (json!([]), 400, "invalid_json"),
    ] {
        let what = change.to_string();
        let answer = app.patch(id, change).await;
        let what = &what[..what.len().min(60)];
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{what}"
        );
    }
    assert_eq!(app.show(id).await, before);
    let nobody = app
        .call("PATCH", "/api/servers/nobody", Some(json!({})))
        .await;
    nobody.refused(404, "server_not_found");
}

#[tokio::test(start_paused = true)]
async fn variables_are_replaced_as_a_whole_and_secrets_are_kept_and_never_shown() {
    let app = TestApp::new().await;
    let code = "# fake: print HIDDEN\n# fake: print OPEN\n";
    let env = json!([
        {"key": "OPEN", "value": "one"},
        {"key": "HIDDEN", "value": "xyzzy-9-plugh", "is_secret": true},
    ]);
    let fields = json!({"name": "demo", "code": code, "env": env});
    let id = app.create_with(fields).await;
    app.until_status(id, "running").await;
    let path = format!("/api/servers/{id}/env");
    let shown = app.call("GET", &path, None).await.expect(200).json;
    assert!(!shown.to_string().contains("xyzzy"));
    // As it was shown it can be sent back.
    let again = app
        .call("PUT", &path, Some(shown.clone()))
        .await
        .expect(200);
    assert_eq!(again.json, shown);
    assert_eq!(app.show(id).await["restart_needed"], true);
    let changed = json!([
        {"key": "OPEN", "value": "two"},
        {"key": "HIDDEN", "is_secret": true},
    ]);
    let restart = format!("{path}?restart=true");
    app.call("PUT", &restart, Some(changed)).await.expect(200);
    app.until_reason(id, "serving").await;
    assert_eq!(app.engine.variable(id, "OPEN"), "two");
    assert_eq!(app.engine.variable(id, "HIDDEN"), "xyzzy-9-plugh");
    // What the server itself says of its secret is hidden too.
    let logs = format!("/api/servers/{id}/logs");
    let logs = app.call("GET", &logs, None).await.expect(200).text;
    assert!(logs.contains("two") && !logs.contains("xyzzy"), "{logs}");
    // A secret that is gone cannot be kept.
    app.call("PUT", &path, Some(json!([]))).await.expect(200);
    let kept = json!([{"key": "HIDDEN", "is_secret": true}]);
    let refused = app.call("PUT", &path, Some(kept)).await;
    refused.refused(400, "secret_without_value");
    let wrong = app
        .ask("PUT", &format!("{path}?restart=maybe"))
        .json(&json!([]));
    wrong.send().await.refused(400, "invalid_query");
}

#[tokio::test(start_paused = true)]
async fn code_comes_in_versions_and_an_earlier_one_can_be_put_into_use_again() {
    let app = TestApp::new().await;
    let id = app.run("demo", "# fake: say the first\n").await;
    let path = format!("/api/servers/{id}/code");
    let second = "# fake: say the second\n";
    let third = "# fake: say the third\n";
    let changed = app
        .ask("PUT", &path)
        .json(&json!({"code": second}))
        .send()
        .await;
    assert_eq!(changed.expect(200).json["version"], 2);
    app.until_reason(id, "serving").await;
    // As a form, and without a restart.
    let later = format!("{path}?restart=false");
    let changed = app.ask("PUT", &later).form(&[("file", third)]).send().await;
    assert_eq!(changed.expect(200).json["version"], 3);
    let runs = app.engine.runs(id);
    assert_eq!(app.show(id).await["restart_needed"], true);
    // As it lies there.
    let changed = app
        .ask("PUT", &later)
        .body("text/x-python", third)
        .send()
        .await;
    assert_eq!(changed.expect(200).json["version"], 4);
    assert_eq!(app.engine.runs(id), runs);
    let versions = format!("/api/servers/{id}/versions");
    let listed = app.call("GET", &versions, None).await.expect(200).json;
    let numbers: Vec<&Value> = listed["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| &version["number"])
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let shown = app.call("GET", &format!("{versions}/2/code"), None).await;
    assert_eq!(shown.expect(200).text, second);
    let raw = app.call("GET", &format!("{path}?raw=true"), None).await;
    assert_eq!(raw.expect(200).text, third);
    let activate = format!("{versions}/1/activate");
    let changed = app.call("POST", &activate, None).await.expect(200);
    assert_eq!(changed.json["version"], 1);
    app.until_reason(id, "serving").await;
    let logs = format!("/api/servers/{id}/logs");
    let logs = app.call("GET", &logs, None).await.expect(200).text;
    let said: Vec<&str> = logs
        .lines()
        .filter(|line| line.starts_with("the "))
        .collect();
    assert_eq!(said, ["the first", "the second", "the first"]);
    for wrong in ["9", "0", "x", "-1"] {
        let answer = app
            .call("POST", &format!("{versions}/{wrong}/activate"), None)
            .await;
        answer.refused(404, "version_not_found");
        let answer = app
            .call("GET", &format!("{versions}/{wrong}/code"), None)
            .await;
        answer.refused(404, "version_not_found");
    }
    for (body, status, code) in [
        (json!({"code": ""}), 400, "code_empty"),
        (json!({}), 400, "missing_field"),
        (json!({"code": "#".repeat(1_048_577)}), 413, "too_large"),
    ] {
        let answer = app.ask("PUT", &path).json(&body).send().await;
        answer.refused(status, code);
    }
    let utf8 = app
        .ask("PUT", &path)
        .body("text/x-python; charset=utf-8", &b"\xff"[..]);
    utf8.send().await.refused(400, "code_not_text");
}

#[tokio::test(start_paused = true)]
async fn old_versions_go_and_say_so() {
    let app = TestApp::with(|input| {
        input.versions_kept = Some(2);
        input.versions_kept_days = Some(0);
    })
    .await;
    let fields = json!({"name": "demo", "code": "x = 1\n", "start": false});
    let id = app.create_with(fields).await;
    for n in 2..=6 {
        let path = format!("/api/servers/{id}/code");
        let body = json!({"code": format!("x = {n}\n")});
        app.call("PUT", &path, Some(body)).await.expect(200);
    }
    let path = format!("/api/servers/{id}/versions/1");
    let gone = app.call("POST", &format!("{path}/activate"), None).await;
    gone.refused(404, "version_pruned");
    let gone = app.call("GET", &format!("{path}/code"), None).await;
    gone.refused(404, "version_pruned");
    let told = app.history(id).await;
    assert!(
        told.iter().any(|event| event["code"] == "versions_pruned"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_overwrites_what_they_have_not_seen() {
    let app = TestApp::new().await;
    let fields = json!({"name": "demo", "code": CODE, "start": false});
    let id = app.create_with(fields).await;
    let path = format!("/api/servers/{id}");
    let tags = app.show(id).await["etags"].clone();
    let (code, env) = (format!("{path}/code"), format!("{path}/env"));
    let activate = format!("{path}/versions/1/activate");
    let rows = [
        (
            "PATCH",
            &path,
            "settings",
            Some(json!({"description": "new"})),
        ),
        ("PUT", &code, "code", Some(json!({"code": "x = 2\n"}))),
        ("POST", &activate, "code", None),
        (
            "PUT",
            &env,
            "env",
            Some(json!([{"key": "A", "value": "1"}])),
        ),
    ];
    let ask = |row: &(&str, &String, &str, Option<Value>), tag: &str| {
        let asked = app.ask(row.0, row.1).header("if-match", tag);
        match &row.3 {
            Some(body) => asked.json(body).send(),
            None => asked.body("text/plain", "").send(),
        }
    };
    let mut tags_now = tags.clone();
    for row in &rows {
        let part = row.2;
        ask(row, "\"other\"")
            .await
            .refused(412, "precondition_failed");
        let tag = tags_now[part].as_str().unwrap().to_owned();
        let changed = ask(row, &format!("\"other\", {tag}")).await.expect(200);
        let newer = app.show(id).await["etags"].clone();
        assert_eq!(changed.header("etag"), newer[part].as_str(), "{part}");
        assert_ne!(newer[part], tag, "{part}");
        // Who comes second with the same tag has not seen it.
        ask(row, &tag).await.refused(412, "precondition_failed");
        ask(row, "*").await.expect(200);
        tags_now = app.show(id).await["etags"].clone();
    }
    let gone = app
        .ask("DELETE", &path)
        .header("if-match", tags["settings"].as_str().unwrap());
    gone.send().await.refused(412, "precondition_failed");
    let now = app.show(id).await["etags"]["settings"]
        .as_str()
        .unwrap()
        .to_owned();
    app.ask("DELETE", &path)
        .header("if-match", now)
        .send()
        .await
        .expect(204);
}
