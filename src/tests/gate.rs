//! Calls at the gate while a server cannot take them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::app::TestApp;
use super::ask::Reply;
use crate::model::ServerId;

const CALLERS: usize = 24;

/// So many calls at once, and how long all took together.
async fn all_call(app: &TestApp, id: ServerId, callers: usize) -> (Vec<Reply>, Duration) {
    let begin = Instant::now();
    let calls = (0..callers).map(|_| app.ask_gate(&app.admin, id).send());
    let replies = join_all(calls).await;
    (replies, begin.elapsed())
}

#[track_caller]
fn all_pass(replies: Vec<Reply>) {
    for reply in replies {
        let passed = reply.expect(200);
        assert_eq!(passed.header("x-emcp-user"), Some("admin"));
        assert!(passed.header("x-emcp-gateway-key").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_come_while_a_server_starts_wait_for_it_and_pass() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: ready after 15s\n").await;
    let (replies, took) = all_call(&app, id, CALLERS).await;
    all_pass(replies);
    assert!((15..18).contains(&took.as_secs()), "{took:?}");
    // A restart and a crash are waited for too.
    app.act(id, "restart").await.expect(202);
    let (replies, _) = all_call(&app, id, CALLERS).await;
    all_pass(replies);
    app.engine.kill(id, 1);
    app.until_status(id, "error").await;
    let (replies, _) = all_call(&app, id, CALLERS).await;
    all_pass(replies);
    assert_eq!(app.engine.runs(id), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_25_s_and_is_then_told_to_come_back() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: never ready\n").await;
    app.until_status(id, "starting").await;
    let (replies, took) = all_call(&app, id, CALLERS).await;
    assert_eq!(took.as_secs(), 25);
    for reply in replies {
        let refused = reply.refused(503, "server_not_ready");
        assert_eq!(refused.header("retry-after"), Some("5"));
        assert!(refused.text.contains("waiting for the first MCP answer"));
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_enough_for_one_server_are_not_let_wait() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: ready after 10s\n").await;
    app.until_status(id, "starting").await;
    let (replies, _) = all_call(&app, id, 130).await;
    let (passed, refused): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((passed.len(), refused.len()), (128, 2));
    for reply in refused {
        let refused = reply.refused(503, "too_many_waiting");
        assert_eq!(refused.header("retry-after"), Some("5"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_server_or_a_token_meanwhile_is_heard_by_who_waits() {
    let app = TestApp::new().await;
    let token = app.token("ada", "connect").await;
    let listed = app.call("GET", "/api/tokens", None).await.expect(200).json;
    let token_id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    let id = app.create("demo", "# fake: never ready\n").await;
    app.until_status(id, "starting").await;
    let waits = app.ask_gate(&token, id).send();
    let revoke = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let path = format!("/api/tokens/{token_id}");
        app.call("DELETE", &path, None).await.expect(204);
        // Who waits looks again when something happens to a server.
        app.act(id, "restart").await.expect(202);
    };
    let (waited, ()) = tokio::join!(waits, revoke);
    waited.refused(401, "unauthenticated");

    let waits = app.ask_gate(&app.admin, id).send();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        app.act(id, "stop").await.expect(202);
    };
    let (waited, ()) = tokio::join!(waits, stop);
    let refused = waited.refused(503, "server_stopped");
    assert_eq!(refused.header("retry-after"), Some("30"));

    app.act(id, "start").await.expect(202);
    let waits = app.ask_gate(&app.admin, id).send();
    let delete = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        app.call("DELETE", "/api/servers/demo", None)
            .await
            .expect(204);
    };
    let (waited, ()) = tokio::join!(waits, delete);
    waited.refused(404, "server_not_found");
}

#[tokio::test(start_paused = true)]
async fn a_call_by_a_route_that_is_being_replaced_must_come_again() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    let by_the_old_route = app.ask_gate(&app.admin, id);
    app.patch(id, json!({"egress": "none"})).await.expect(200);
    let refused = by_the_old_route
        .send()
        .await
        .refused(503, "server_not_ready");
    assert_eq!(refused.header("retry-after"), Some("1"));
    all_pass(vec![app.ask_gate(&app.admin, id).send().await]);
}

#[tokio::test(start_paused = true)]
async fn an_emcp_that_ends_answers_who_waits() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: never ready\n").await;
    app.until_status(id, "starting").await;
    let waits = app.ask_gate(&app.admin, id).send();
    let begin = Instant::now();
    let end = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        app.app.cancel().cancel();
    };
    let (waited, ()) = tokio::join!(waits, end);
    waited.refused(503, "server_not_ready");
    assert_eq!(begin.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_the_url_is_exchanged_for_tickets_of_one_session() {
    let app = TestApp::new().await;
    let id = app.run("demo", "x = 1\n").await;
    let body = json!({"name": "url", "role": "connect", "servers": ["demo"]});
    let made = app
        .call("POST", "/api/tokens", Some(body))
        .await
        .expect(201)
        .json;
    let key = made["token"].as_str().unwrap();
    let ask = |method: &str, uri: String| {
        let entry = app.app.behind.directory.find("demo").unwrap();
        let at = entry.place().route;
        app.ask("GET", &format!("/gate?server={id}&at={at}"))
            .by("")
            .internal()
            .header("x-forwarded-method", method)
            .header("x-forwarded-uri", uri)
    };
    let sent_on = ask("GET", format!("/api/demo/sse?key={key}&x=1"))
        .send()
        .await;
    let sent_on = sent_on.expect(307);
    let place = sent_on.header("location").unwrap().to_owned();
    assert!(place.starts_with("/api/demo/sse?x=1&emcp_ticket=") && !place.contains(key));
    let opened = ask("GET", place.clone()).send().await.expect(200);
    let ticket = opened.header("x-emcp-sse-ticket").unwrap().to_owned();
    let message = |ticket: &str| format!("/api/demo/messages?emcp_ticket={ticket}");
    ask("POST", message(&ticket)).send().await.expect(200);
    // One is for opening, the other for messages.
    let opening = place.split("emcp_ticket=").nth(1).unwrap();
    ask("POST", message(opening)).send().await.expect(401);
    ask("POST", message("made-up")).send().await.expect(401);
    // Over /mcp nobody is sent on.
    ask("POST", format!("/api/demo/mcp?key={key}"))
        .send()
        .await
        .expect(200);
    // Any other token does not belong into a URL.
    let admin = &app.admin;
    ask("POST", format!("/api/demo/mcp?key={admin}"))
        .send()
        .await
        .refused(403, "token_not_for_url");
    // And with the token the session ends.
    let path = format!("/api/tokens/{}", made["id"].as_str().unwrap());
    app.call("DELETE", &path, None).await.expect(204);
    ask("POST", message(&ticket)).send().await.expect(401);
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_are_turned_away() {
    let app = TestApp::with(|input| {
        input.allowed_origins = Some("https://inspector.example".to_owned());
    })
    .await;
    let id = app.run("demo", "x = 1\n").await;
    for (origin, status) in [
        ("https://inspector.example", 200),
        ("https://localhost:8443", 200),
        ("https://elsewhere.example", 403),
        ("null", 403),
    ] {
        let asked = app.ask_gate(&app.admin, id).header("origin", origin);
        assert_eq!(asked.send().await.status, status, "{origin}");
        let asked = app.ask("OPTIONS", "/preflight").internal();
        let asked = asked.header("origin", origin).send().await;
        let is_allowed = asked.header("access-control-allow-origin") == Some(origin);
        assert_eq!(is_allowed, status == 200, "{origin}");
    }
    let page = app
        .ask_gate(&app.admin, id)
        .header("sec-fetch-dest", "document");
    page.send().await.expect(403);
}

#[tokio::test(start_paused = true)]
async fn guessing_is_bounded_and_does_not_lock_out_who_knows() {
    let app = TestApp::with(|input| input.wrong_tokens_per_minute = Some(5)).await;
    let id = app.run("demo", "x = 1\n").await;
    for _ in 0..5 {
        let asked = app
            .ask_gate("wrong", id)
            .header("x-forwarded-for", "192.0.2.1");
        asked.send().await.refused(401, "unauthenticated");
    }
    let asked = app
        .ask_gate("wrong", id)
        .header("x-forwarded-for", "192.0.2.1");
    let refused = asked.send().await.refused(429, "too_many_attempts");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait));
    let known = app
        .ask_gate(&app.admin, id)
        .header("x-forwarded-for", "192.0.2.1");
    known.send().await.expect(200);
    let elsewhere = app
        .ask_gate("wrong", id)
        .header("x-forwarded-for", "192.0.2.2");
    elsewhere.send().await.refused(401, "unauthenticated");
}
