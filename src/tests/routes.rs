//! Which paths and methods there are, and what the others are told.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::app::TestApp;
use super::ask::Reply;

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

async fn of(app: &TestApp, method: &str, path: &str) -> Reply {
    app.call(method, path, None).await
}

#[tokio::test(start_paused = true)]
async fn the_description_that_is_served_is_the_one_in_docs() {
    let app = TestApp::new().await;
    let served = of(&app, "GET", "/api/openapi.json").await.expect(200);
    let written = include_str!("../../docs/openapi.json");
    assert_eq!(served.json, serde_json::from_str::<Value>(written).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_described_path_takes_the_described_methods_and_names_them_to_others() {
    let app = TestApp::with(|input| input.metrics_public = Some("on".to_owned())).await;
    let described = of(&app, "GET", "/api/openapi.json").await.json;
    for (template, operations) in described["paths"].as_object().unwrap() {
        let path = template.replace("{number}", "1").replace(['{', '}'], "");
        let taken: Vec<String> = operations.as_object().unwrap().keys().cloned().collect();
        let taken: Vec<String> = taken.iter().map(|name| name.to_uppercase()).collect();
        for method in METHODS {
            if path == "/api/events/stream" && method == "GET" {
                // It has no end.
                continue;
            }
            // With a slash at its end it is the same.
            for path in [path.clone(), format!("{path}/")] {
                let answer = of(&app, method, &path).await;
                if template == "/api/openapi.json" && method != "GET" {
                    // No server can be called so, but none is told before that.
                    assert_eq!(answer.code(), "server_not_found", "{method} {path}");
                    continue;
                }
                if taken.iter().any(|name| name == method) {
                    assert_ne!(answer.status, 405, "{method} {path}");
                    assert_ne!(answer.code(), "not_found", "{method} {path}");
                    continue;
                }
                assert_eq!(answer.code(), "method_not_allowed", "{method} {path}");
                assert_eq!(answer.expect(405).headers["allow"], taken.join(", "));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_route_is_told_apart() {
    let app = TestApp::new().await;
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/", 404, "not_found"),
        ("GET", "/api//servers", 404, "not_found"),
        ("GET", "//api/servers", 404, "not_found"),
        ("GET", "/api/servers//code", 404, "not_found"),
        ("GET", "/api/servers/x/nothing", 404, "not_found"),
        ("POST", "/", 404, "not_found"),
        ("HEAD", "/api/servers", 405, ""),
        ("OPTIONS", "/api/servers", 405, "method_not_allowed"),
        // Of the internal listener.
        ("GET", "/gate", 404, "not_found"),
        ("GET", "/metrics", 404, "not_found"),
        // Maybe a server's.
        ("GET", "/api/unknown", 404, "server_not_found"),
        ("POST", "/api/unknown/mcp", 404, "server_not_found"),
        ("GET", "/api/SERVERS", 404, "server_not_found"),
    ] {
        let answer = of(&app, method, path).await.expect(status);
        assert!(
            answer.code() == code || method == "HEAD",
            "{method} {path}: {}",
            answer.code()
        );
    }
    // Who has no token learns nothing of servers.
    let nobody = app
        .call_as("", "POST", "/api/unknown/mcp", None)
        .await
        .expect(401);
    assert!(nobody.headers.contains_key("www-authenticate"));
}

#[tokio::test(start_paused = true)]
async fn oauths_places_answer_every_method_and_the_dashboard_two() {
    let app = TestApp::new().await;
    for method in METHODS {
        for path in ["/register", "/authorize", "/token/"] {
            let answer = of(&app, method, path).await.expect(400);
            assert_eq!(answer.json["error"], "access_denied", "{method} {path}");
        }
        for path in [
            "/.well-known/oauth-authorization-server",
            "/api/unknown/.well-known/openid-configuration",
        ] {
            let answer = of(&app, method, path).await.expect(404);
            assert_eq!(answer.json["error"], "not_found", "{method} {path}");
        }
    }
    for method in ["GET", "HEAD"] {
        let page = of(&app, method, "/").await.expect(200);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_servers_host_there_are_servers_alone() {
    let app = TestApp::with(|input| {
        input.servers_url = Some("https://servers.example.com".to_owned());
    })
    .await;
    for (path, status) in [("/api/servers", 404), ("/", 404), ("/api/unknown/mcp", 401)] {
        let request = Request::get(path).header(crate::traefik::SERVERS_HOST_HEADER, "1");
        app.send(request.body(Bytes::new()).unwrap())
            .await
            .expect(status);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_measured_by_the_template_of_their_route_and_never_by_a_strangers_word() {
    let app = TestApp::new().await;
    for (method, path) in [
        ("GET", "/api/servers/a-secret-plan"),
        ("GET", "/api/servers/another/"),
        ("TRACE", "/api/servers/a-third"),
        ("GET", "/wp-login.php"),
        ("POST", "/api/nobody/mcp"),
        ("GET", "/.well-known/x"),
        ("GET", "/"),
    ] {
        of(&app, method, path).await;
    }
    let (status, _) = app.read(true, "/traefik/in-effect/00ff", "").await;
    assert_eq!(status, 204);
    let (_, text) = app.read(true, "/metrics", "").await;
    let labels: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("emcp_http_request_duration_seconds_count"))
        .filter_map(|line| line.split("route=\"").nth(1)?.split('"').next())
        .collect();
    let expected = [
        "/api/servers/{id}",
        "/traefik/in-effect/{fingerprint}",
        "dashboard",
        "unmatched",
    ];
    for label in expected {
        assert!(labels.contains(label), "{label} is not among {labels:?}");
    }
    assert!(
        !text.contains("secret-plan") && !text.contains("wp-login"),
        "{text}"
    );
}
