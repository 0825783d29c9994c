//! What people have and may have, also where many ask at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use super::ask::Reply;

const CALLERS: usize = 24;

fn count(replies: &[Reply], status: u16) -> usize {
    let fitting = replies.iter().filter(|reply| reply.status == status);
    fitting.count()
}

/// What this person has and may have.
async fn usage(app: &TestApp, token: &str) -> Value {
    let told = app.call_as(token, "GET", "/api/usage", None).await;
    told.expect(200).json["people"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn of_24_creates_at_once_no_more_pass_than_the_quota_permits() {
    let app = TestApp::with(|input| input.quota_servers = Some(5)).await;
    let ada = app.token("ada", "developer").await;
    let bob = app.token("bob", "developer").await;
    let create = |token: String, n: usize| {
        let body = json!({"name": format!("server-{n}"), "code": "x = 1\n", "start": false});
        let asked = app.ask("POST", "/api/servers").by(&token);
        asked.json(&body).send()
    };
    let callers = (0..CALLERS).map(|n| create(ada.clone(), n));
    let replies = join_all(callers).await;
    assert_eq!(
        (count(&replies, 201), count(&replies, 403)),
        (5, CALLERS - 5)
    );
    let refused = replies
        .into_iter()
        .find(|reply| reply.status == 403)
        .unwrap();
    assert_eq!(refused.code(), "quota_servers");
    assert_eq!(
        usage(&app, &ada).await["servers"],
        json!({"used": 5, "limit": 5})
    );
    // Nobody else pays for it, and there is room again where something goes.
    create(bob.clone(), 100).await.expect(201);
    let listed = app.ask("GET", "/api/servers").by(&ada).send().await.json;
    let name = listed["servers"][0]["name"].as_str().unwrap().to_owned();
    let path = format!("/api/servers/{name}");
    app.ask("DELETE", &path).by(&ada).send().await.expect(204);
    let callers = (200..200 + CALLERS).map(|n| create(ada.clone(), n));
    let replies = join_all(callers).await;
    assert_eq!(count(&replies, 201), 1);
    // An administrator may give one person more, and none holds for one.
    let tokens = app.call("GET", "/api/tokens", None).await.json;
    let tokens = tokens["tokens"].as_array().unwrap();
    let of_ada = tokens.iter().find(|token| token["name"] == "ada").unwrap();
    let path = format!("/api/tokens/{}", of_ada["id"].as_str().unwrap());
    let more = json!({"quota": {"servers": 7}});
    app.call("PATCH", &path, Some(more)).await.expect(200);
    let callers = (300..300 + CALLERS).map(|n| create(ada.clone(), n));
    let replies = join_all(callers).await;
    assert_eq!(count(&replies, 201), 2);
    create(app.admin.clone(), 400).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn of_24_servers_of_one_name_there_is_one_and_each_has_an_address_of_its_own() {
    let app = TestApp::new().await;
    let create = |name: String| {
        let body = json!({"name": name, "code": "x = 1\n", "start": false});
        app.ask("POST", "/api/servers").json(&body).send()
    };
    let replies = join_all((0..CALLERS).map(|_| create("demo".to_owned()))).await;
    assert_eq!(
        (count(&replies, 201), count(&replies, 409)),
        (1, CALLERS - 1)
    );
    let replies = join_all((0..CALLERS).map(|n| create(format!("demo-{n}")))).await;
    assert_eq!(count(&replies, 201), CALLERS);
    let listed = app.call("GET", "/api/servers", None).await.json;
    let servers = listed["servers"].as_array().unwrap();
    let addresses: std::collections::BTreeSet<&str> = servers
        .iter()
        .map(|server| server["address"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), CALLERS + 1);
}

#[tokio::test(start_paused = true)]
async fn of_24_uploads_at_once_each_is_a_version_and_of_24_forms_one_wins() {
    let app = TestApp::new().await;
    let fields = json!({"name": "demo", "code": "x = 0\n", "start": false});
    app.create_with(fields).await;
    let path = "/api/servers/demo/code";
    let upload = |n: usize| {
        let body = json!({"code": format!("x = {n}\n")});
        app.ask("PUT", path).json(&body).send()
    };
    let replies = join_all((1..=CALLERS).map(upload)).await;
    assert_eq!(count(&replies, 200), CALLERS);
    let listed = app
        .call("GET", "/api/servers/demo/versions", None)
        .await
        .json;
    assert_eq!(listed["versions"].as_array().unwrap().len(), CALLERS + 1);
    let shown = app.call("GET", "/api/servers/demo", None).await.json;
    assert_eq!(shown["version"], CALLERS + 1);
    let tag = shown["etags"]["settings"].as_str().unwrap();
    let change = |n: usize| {
        let body = json!({"description": format!("by {n}")});
        let asked = app.ask("PATCH", "/api/servers/demo").json(&body);
        asked.header("if-match", tag).send()
    };
    let replies = join_all((0..CALLERS).map(change)).await;
    assert_eq!(
        (count(&replies, 200), count(&replies, 412)),
        (1, CALLERS - 1)
    );
}

#[tokio::test(start_paused = true)]
async fn memory_storage_tokens_and_changes_are_bounded_too() {
    let app = TestApp::with(|input| {
        input.quota_memory = Some("1g".to_owned());
        input.quota_storage = Some("100k".to_owned());
        input.quota_tokens = Some(3);
        input.quota_writes_per_minute = Some(40);
    })
    .await;
    let ada = app.token("ada", "developer").await;
    let ask =
        |method: &str, path: &str, body: Value| app.ask(method, path).by(&ada).json(&body).send();
    // 512 MiB each while they are wanted running.
    for (name, start) in [("one", true), ("two", true), ("three", false)] {
        let body = json!({"name": name, "code": "x = 1\n", "start": start});
        ask("POST", "/api/servers", body).await.expect(201);
    }
    let start = json!({"action": "start"});
    let refused = ask("POST", "/api/servers/three/action", start.clone()).await;
    refused.refused(403, "quota_memory");
    let more = json!({"limits": {"memory_bytes": 600_000_000}});
    let refused = ask("PATCH", "/api/servers/one", more).await;
    refused.refused(403, "quota_memory");
    ask("POST", "/api/servers/two/action", json!({"action": "stop"}))
        .await
        .expect(202);
    ask("POST", "/api/servers/three/action", start)
        .await
        .expect(202);
    let large = json!({"code": "#".repeat(101 * 1024)});
    let refused = ask("PUT", "/api/servers/one/code", large).await;
    refused.refused(403, "quota_storage");
    let token = |n: usize| {
        let body = json!({"name": format!("client-{n}"), "role": "connect", "servers": ["one"]});
        ask("POST", "/api/tokens", body)
    };
    let replies = join_all((0..10).map(token)).await;
    assert_eq!(count(&replies, 201), 3);
    assert!(replies.iter().any(|reply| reply.code() == "quota_tokens"));
    let change = |n: usize| {
        ask(
            "PATCH",
            "/api/servers/one",
            json!({"description": n.to_string()}),
        )
    };
    let replies = join_all((0..40).map(change)).await;
    let refused = replies
        .into_iter()
        .find(|reply| reply.status != 200)
        .unwrap();
    let refused = refused.refused(429, "too_many_writes");
    assert!(refused.header("retry-after").is_some());
    // To look and to delete is always possible.
    let deleted = app.call_as(&ada, "DELETE", "/api/servers/two", None).await;
    deleted.expect(204);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_made_for_what_their_role_permits() {
    let app = TestApp::new().await;
    let ada = app.token("ada", "developer").await;
    app.create_as(&ada, "own").await;
    app.create("other", "x = 1\n").await;
    for (token, body, status, code) in [
        (
            &app.admin,
            json!({"name": "", "role": "viewer"}),
            400,
            "invalid_token_name",
        ),
        (
            &app.admin,
            json!({"name": "emcp", "role": "admin"}),
            400,
            "reserved_token_name",
        ),
        (
            &app.admin,
            json!({"name": "ada", "role": "viewer"}),
            409,
            "token_name_taken",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "root"}),
            400,
            "invalid_json",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}),
            400,
            "invalid_expiry",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "viewer", "servers": ["own"]}),
            400,
            "servers_not_for_role",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "connect", "servers": ["none"]}),
            404,
            "server_not_found",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "viewer", "quota": {"servers": 1}}),
            400,
            "quota_not_for_role",
        ),
        (
            &app.admin,
            json!({"name": "x", "role": "developer", "quota": {"writes_per_minute": 0}}),
            400,
            "invalid_quota",
        ),
        (
            &ada,
            json!({"name": "x", "role": "developer"}),
            403,
            "forbidden",
        ),
        (
            &ada,
            json!({"name": "x", "role": "connect"}),
            400,
            "servers_required",
        ),
        (
            &ada,
            json!({"name": "x", "role": "connect", "servers": ["other"]}),
            403,
            "not_your_server",
        ),
    ] {
        let shown = body.to_string();
        let answer = app.call_as(token, "POST", "/api/tokens", Some(body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (status, code),
            "{shown}"
        );
    }
    let body = json!({"name": "client", "role": "connect", "servers": ["own", "own"]});
    let made = app.call_as(&ada, "POST", "/api/tokens", Some(body)).await;
    let made = made.expect(201).json;
    assert_eq!(made["usable_in_url"], true);
    let listed = app
        .call_as(&ada, "GET", "/api/tokens?server=own", None)
        .await;
    let listed = listed.expect(200).json;
    assert_eq!(listed["tokens"][0]["name"], "client");
    assert!(!listed.to_string().contains(made["token"].as_str().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_member_may_do_what_the_maker_may_but_for_naming_members() {
    let app = TestApp::new().await;
    let ada = app.token("ada", "developer").await;
    let bob = app.token("bob", "developer").await;
    app.token("cara", "viewer").await;
    let id = app.create_as(&ada, "demo").await;
    let patch = |token: &str, body: Value| {
        let asked = app.ask("PATCH", "/api/servers/demo").by(token);
        asked.json(&body).send()
    };
    patch(&bob, json!({"description": "x"}))
        .await
        .refused(403, "not_your_server");
    patch(&ada, json!({"members": ["bob"]})).await.expect(200);
    patch(&bob, json!({"description": "x"})).await.expect(200);
    let refused = patch(&bob, json!({"members": ["bob", "cara"]})).await;
    refused.refused(403, "not_your_server");
    // What a member makes reaches as far as they do.
    let body = json!({"name": "bobs", "role": "connect", "servers": ["demo"]});
    let bobs = app.call_as(&bob, "POST", "/api/tokens", Some(body)).await;
    let bobs = bobs.expect(201).json["token"].as_str().unwrap().to_owned();
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
    assert_eq!(app.knock(&bobs, id).await, 200);
    patch(&ada, json!({"members": []})).await.expect(200);
    assert_eq!(app.knock(&bobs, id).await, 403);
    assert_eq!(app.knock(&bob, id).await, 403);
}

#[tokio::test(start_paused = true)]
async fn a_developers_token_is_nobody_else_whatever_it_is_called() {
    let app = TestApp::new().await;
    let ada = app.token("ada", "developer").await;
    let carol = app.token("carol", "developer").await;
    let adas = app.create_as(&ada, "adas").await;
    let carols = app.create_as(&carol, "carols").await;
    app.act(adas, "start").await.expect(202);
    app.revoke("carol").await;
    // The name is free, and a developer calls a program so.
    let body = json!({"name": "carol", "role": "connect", "servers": ["adas"]});
    let made = app.call_as(&ada, "POST", "/api/tokens", Some(body)).await;
    let program = made.expect(201).json["token"].as_str().unwrap().to_owned();
    let app = app.restart().await;
    app.until_status(adas, "running").await;
    let passed = app.ask_gate(&program, adas).send().await.expect(200);
    assert_eq!(passed.header("x-emcp-user"), Some("carol"));
    assert_eq!(app.knock(&program, carols).await, 403);
    // Whoever gets the name of an administrator is who had it from one before.
    app.revoke("carol").await;
    let carol = app.token("carol", "developer").await;
    for (id, status) in [(carols, 200), (adas, 403)] {
        let change = Some(json!({"description": "x"}));
        let path = format!("/api/servers/{id}");
        let changed = app.call_as(&carol, "PATCH", &path, change).await;
        changed.expect(status);
    }
    assert_eq!(app.show(carols).await["creator"], "carol");
}

#[tokio::test(start_paused = true)]
async fn the_audit_log_tells_who_did_what_and_what_was_refused() {
    let app = TestApp::new().await;
    let ada = app.token("ada", "developer").await;
    app.create_as(&ada, "demo").await;
    let again = Some(json!({"name": "demo", "code": "x = 1\n", "start": false}));
    let ask = async |method, path, body, status| {
        app.call_as(&ada, method, path, body).await.expect(status);
    };
    ask("POST", "/api/servers", again, 409).await;
    ask("GET", "/api/servers/demo/code", None, 200).await;
    let deleted = app.call("DELETE", "/api/servers/demo", None).await;
    deleted.expect(204);
    let audit = async |query: &str| {
        let told = app.call("GET", &format!("/api/audit?{query}"), None).await;
        told.expect(200)
    };
    let lines = |told: &Value| -> Vec<String> {
        let entries = told["entries"].as_array().unwrap().iter();
        entries.map(line).collect()
    };
    let told = audit("limit=3").await.json;
    assert_eq!(
        lines(&told),
        [
            "admin server.delete ok",
            "ada code.read ok",
            "ada server.create refused"
        ]
    );
    let next = format!("before={}&actor=ada&action=server", told["next"]);
    let told = audit(&next).await.json;
    assert_eq!(lines(&told), ["ada server.create ok"]);
    let all = audit("format=jsonl").await.text;
    let first: Value = serde_json::from_str(all.lines().next().unwrap()).unwrap();
    assert_eq!(line(&first), "admin token.create ok");
    for wrong in [
        "limit=0",
        "limit=1001",
        "format=xml",
        "before=x",
        "after=-1",
    ] {
        let answer = app.call("GET", &format!("/api/audit?{wrong}"), None).await;
        answer.refused(400, "invalid_query");
    }
}

fn line(entry: &Value) -> String {
    let word = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    format!("{} {} {}", word("actor"), word("action"), word("result"))
}
