//! Who may do what: every route, asked by everybody.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::app::TestApp;
use super::ask::Ask;
use crate::model::ServerId;

/// Who asks: nobody known; with a token that is none; with a `connect` token for
/// all servers; a viewer; a developer who has no part in the server, one who is
/// a member of it, one who made it; an administrator.
const WHO: [&str; 8] = [
    "none", "wrong", "connect", "viewer", "stranger", "member", "owner", "admin",
];

/// What each is answered. A server is `demo`, which runs; a token is one of the
/// owner's.
const PUBLIC: &str = "
                                                    none wrong connect viewer stranger member owner admin
GET    /api/servers                                  401   401     403    200      200    200   200   200
POST   /api/servers                                  401   401     403    403      201    201   201   201
GET    /api/servers/{id}                             401   401     403    200      200    200   200   200
PATCH  /api/servers/{id}                             401   401     403    403      403    200   200   200
DELETE /api/servers/{id}                             401   401     403    403      403    204   204   204
POST   /api/servers/{id}/action                      401   401     403    403      403    202   202   202
GET    /api/servers/{id}/events                      401   401     403    200      200    200   200   200
GET    /api/servers/{id}/code                        401   401     403    403      403    200   200   200
PUT    /api/servers/{id}/code                        401   401     403    403      403    200   200   200
GET    /api/servers/{id}/versions                    401   401     403    200      200    200   200   200
GET    /api/servers/{id}/versions/{number}/code      401   401     403    403      403    200   200   200
POST   /api/servers/{id}/versions/{number}/activate  401   401     403    403      403    200   200   200
GET    /api/servers/{id}/env                         401   401     403    403      403    200   200   200
PUT    /api/servers/{id}/env                         401   401     403    403      403    200   200   200
GET    /api/servers/{id}/logs                        401   401     403    200      200    200   200   200
GET    /api/servers/{id}/connection                  401   401     403    200      200    200   200   200
GET    /api/servers/{id}/tools                       401   401     200    403      403    200   200   200
POST   /api/servers/{id}/tools/call                  401   401     200    403      403    200   200   200
POST   /api/servers/{id}/resources/read              401   401     200    403      403    200   200   200
POST   /api/servers/{id}/prompts/get                 401   401     200    403      403    200   200   200
POST   /api/servers/{id}/test                        401   401     200    403      403    200   200   200
GET    /api/names/{name}                             401   401     403    200      200    200   200   200
POST   /api/check                                    401   401     403    200      200    200   200   200
GET    /api/templates                                401   401     403    200      200    200   200   200
GET    /api/events/stream                            401   401     403    200      200    200   200   200
GET    /api/overview                                 401   401     403    200      200    200   200   200
GET    /api/settings                                 401   401     403    403      403    403   403   200
GET    /api/usage                                    401   401     403    403      200    200   200   200
GET    /api/audit                                    401   401     403    403      403    403   403   200
GET    /api/backup                                   401   401     403    403      403    403   403   200
GET    /api/tokens                                   401   401     403    403      200    200   200   200
POST   /api/tokens                                   401   401     403    403      403    201   201   201
PATCH  /api/tokens/{id}                              401   401     403    403      403    403   403   200
DELETE /api/tokens/{id}                              401   401     403    403      404    404   204   204
GET    /api/session                                  200   200     200    200      200    200   200   200
POST   /api/session                                  401   401     403    200      200    200   200   200
DELETE /api/session                                  204   204     204    204      204    204   204   204
GET    /api/openapi.json                             200   200     200    200      200    200   200   200
GET    /healthz                                      200   200     200    200      200    200   200   200
GET    /metrics                                      404   404     404    404      404    404   404   404
GET    /metrics/traefik                              404   404     404    404      404    404   404   404
GET    /ca.crt                                       200   200     200    200      200    200   200   200
";

/// The same of the internal listener, which Traefik alone reaches. It has a token
/// of its own for its routes, and whoever gathers metrics has one too.
const INTERNAL: &str = "
                                                    none wrong connect viewer stranger member owner admin
GET    /gate                                         401   401     200    403      403    200   200   200
GET    /gate/knock                                   401   401     200    403      403    200   200   200
GET    /gate/too-large                               401   401     200    200      200    200   200   200
ANY    /too-large                                    413   413     413    413      413    413   413   413
ANY    /preflight                                    204   204     204    204      204    204   204   204
ANY    /clear-text                                   400   400     400    400      400    400   400   400
GET    /traefik/config                               401   401     401    401      401    401   401   401
GET    /traefik/in-effect/{fingerprint}              204   204     204    204      204    204   204   204
GET    /readyz                                       200   200     200    200      200    200   200   200
GET    /healthz                                      200   200     200    200      200    200   200   200
GET    /metrics                                      200   200     200    200      200    200   200   200
GET    /metrics/may-scrape                           401   401     403    403      403    403   403   403
";

/// A row of a table.
struct Row {
    method: String,
    path: String,
    expected: Vec<u16>,
}

fn rows(table: &str) -> Vec<Row> {
    let mut lines = table.lines().filter(|line| !line.trim().is_empty());
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(head, WHO);
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, path, expected @ ..] = words.as_slice() else {
            panic!("no row: {line}");
        };
        let expected: Vec<u16> = expected.iter().map(|word| word.parse().unwrap()).collect();
        assert_eq!(expected.len(), WHO.len(), "{line}");
        Row {
            method: (*method).to_owned(),
            path: (*path).to_owned(),
            expected,
        }
    };
    lines.map(row).collect()
}

/// The platform, and everybody.
struct World {
    app: TestApp,
    demo: ServerId,
    /// In the order of [`WHO`].
    tokens: [String; 8],
    made: usize,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::with(|input| {
            input.wrong_tokens_per_minute = Some(1_000_000);
            input.quota_writes_per_minute = Some(1_000_000);
        })
        .await;
        let connect = app.token("client", "connect").await;
        let viewer = app.token("viewer", "viewer").await;
        let stranger = app.token("stranger", "developer").await;
        let member = app.token("member", "developer").await;
        let owner = app.token("owner", "developer").await;
        let admin = app.admin.clone();
        let none = String::new();
        let wrong = format!("{}x", owner);
        let mut world = Self {
            app,
            demo: ServerId::new(),
            tokens: [none, wrong, connect, viewer, stranger, member, owner, admin],
            made: 0,
        };
        world.demo = world.server("demo", true).await;
        world
    }

    fn owner(&self) -> &str {
        &self.tokens[6]
    }

    /// A server of the owner's and the member's.
    async fn server(&mut self, name: &str, start: bool) -> ServerId {
        let body = json!({"name": name, "code": "# fake: say hello\n", "start": start});
        let made = self
            .app
            .ask("POST", "/api/servers")
            .by(self.owner())
            .json(&body);
        let id = made.send().await.expect(201).id();
        let body = json!({"members": ["member"]});
        let shared = self.app.ask("PATCH", &format!("/api/servers/{id}"));
        let shared = shared.by(self.owner()).json(&body).send().await;
        shared.expect(200);
        id
    }

    /// A token of the owner's.
    async fn token(&mut self) -> String {
        let name = self.fresh("token");
        let body = json!({"name": name, "role": "connect", "servers": ["demo"]});
        let made = self
            .app
            .ask("POST", "/api/tokens")
            .by(self.owner())
            .json(&body);
        let made = made.send().await.expect(201);
        made.json["id"].as_str().unwrap().to_owned()
    }

    fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    /// The path of a row, with what it is to be tried on.
    async fn path(&mut self, row: &Row) -> String {
        let id = match (row.method.as_str(), row.path.as_str()) {
            ("DELETE", "/api/servers/{id}") => {
                let name = self.fresh("spare");
                self.server(&name, false).await.to_string()
            }
            ("PATCH", "/api/tokens/{id}") => self.developers_token().await,
            (_, path) if path.starts_with("/api/tokens") => self.token().await,
            _ => self.demo.to_string(),
        };
        let path = row.path.replace("{id}", &id).replace("{number}", "1");
        let path = path.replace("{name}", "free").replace("{fingerprint}", "x");
        match path.as_str() {
            "/gate" => {
                let entry = self.app.app.behind.directory.find("demo").unwrap();
                let at = entry.place().route;
                format!("/gate?server={}&at={at}", self.demo)
            }
            // What follows is to find it running.
            path if path.ends_with("/code") && row.method == "PUT" => {
                format!("{path}?restart=false")
            }
            _ => path,
        }
    }

    async fn developers_token(&self) -> String {
        let listed = self.app.call("GET", "/api/tokens", None).await.expect(200);
        let tokens = listed.json["tokens"].as_array().unwrap();
        let stranger = tokens.iter().find(|token| token["name"] == "stranger");
        stranger.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// A good body of a row, for who has this token.
    fn body(&mut self, row: &Row, token: &str) -> Option<Value> {
        let path = row.path.as_str();
        Some(match (row.method.as_str(), path) {
            ("POST", "/api/servers") => {
                let name = self.fresh("new");
                json!({"name": name, "code": "# fake: say hello\n", "start": false})
            }
            ("PATCH", "/api/servers/{id}") => json!({"description": "changed"}),
            ("POST", "/api/servers/{id}/action") => json!({"action": "start"}),
            ("PUT", "/api/servers/{id}/code") => json!({"code": "# fake: say again\n"}),
            ("PUT", "/api/servers/{id}/env") => json!({"env": []}),
            ("POST", "/api/servers/{id}/tools/call") => {
                json!({"name": "echo", "arguments": {"text": "hello"}})
            }
            ("POST", "/api/servers/{id}/resources/read") => json!({"uri": "fake://note"}),
            ("POST", "/api/servers/{id}/prompts/get") => json!({"name": "greet"}),
            ("POST", "/api/check") => json!({"code": "x = 1\n"}),
            ("POST", "/api/tokens") => {
                let name = self.fresh("token");
                json!({"name": name, "role": "connect", "servers": ["demo"]})
            }
            ("PATCH", "/api/tokens/{id}") => json!({"quota": {"servers": 3}}),
            ("POST", "/api/session") => json!({"token": token}),
            _ => return None,
        })
    }

    async fn asked(&mut self, row: &Row, token: &str) -> u16 {
        let path = self.path(row).await;
        let body = self.body(row, token);
        let method = if row.method == "ANY" {
            "POST"
        } else {
            &row.method
        };
        let asked = self.app.ask(method, &path).by(token);
        let asked: Ask<'_> = match body {
            Some(body) => asked.json(&body),
            None => asked,
        };
        asked.status().await
    }

    async fn asked_internally(&mut self, row: &Row, token: &str) -> u16 {
        let path = self.path(row).await;
        let method = if row.method == "ANY" {
            "POST"
        } else {
            &row.method
        };
        let asked = self.app.ask(method, &path).by(token).internal();
        let asked = asked.header("x-forwarded-uri", "/api/demo/mcp");
        asked.status().await
    }
}

/// Compares, and shows the rows that are not as they should be as they are.
fn compare(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "answered otherwise:\n{}",
        wrong.join("\n")
    );
}

fn as_row(row: &Row, seen: &[u16]) -> Option<String> {
    let seen_words: Vec<String> = seen.iter().map(u16::to_string).collect();
    (seen != row.expected).then(|| format!("{} {} {}", row.method, row.path, seen_words.join(" ")))
}

#[tokio::test(start_paused = true)]
async fn every_route_answers_everybody_as_their_role_says() {
    let mut world = World::new().await;
    let mut wrong = Vec::new();
    for row in rows(PUBLIC) {
        let mut seen = Vec::new();
        for token in world.tokens.clone() {
            world.app.until_status(world.demo, "running").await;
            seen.push(world.asked(&row, &token).await);
        }
        wrong.extend(as_row(&row, &seen));
    }
    compare(&wrong);
}

#[tokio::test(start_paused = true)]
async fn every_internal_route_answers_everybody_as_their_role_says() {
    let mut world = World::new().await;
    world.app.until_status(world.demo, "running").await;
    let mut wrong = Vec::new();
    for row in rows(INTERNAL) {
        let mut seen = Vec::new();
        for token in world.tokens.clone() {
            seen.push(world.asked_internally(&row, &token).await);
        }
        wrong.extend(as_row(&row, &seen));
    }
    compare(&wrong);
}

#[tokio::test(start_paused = true)]
async fn the_tables_have_every_route_and_no_other() {
    let app = TestApp::new().await;
    let document = app.call("GET", "/api/openapi.json", None).await.expect(200);
    let mut described = BTreeSet::new();
    for (path, operations) in document.json["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let in_table = |table| -> BTreeSet<(String, String)> {
        let rows = rows(table).into_iter();
        rows.map(|row| (row.method, row.path)).collect()
    };
    assert_eq!(in_table(PUBLIC), described);
    assert_eq!(in_table(INTERNAL), internal_routes());
}

/// The internal listener's routes, which no document describes, as `router.rs`
/// writes them: `Route::new(GET, "/gate", …)`.
fn internal_routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../http/router.rs");
    let internal = source.split("fn internal_routes").nth(1).unwrap();
    let internal = internal.split("\n}").next().unwrap();
    let routes = internal.split("Route::new(").skip(1);
    let found: BTreeSet<_> = routes
        .map(|route| {
            let mut words = route.split(", ");
            let method = words.next().unwrap().to_owned();
            (method, words.next().unwrap().trim_matches('"').to_owned())
        })
        .collect();
    assert!(found.len() > 5, "the routes were not found: {found:?}");
    found
}

#[tokio::test(start_paused = true)]
async fn who_asks_by_the_dashboards_session_may_do_what_their_token_may() {
    let world = World::new().await;
    let app = &world.app;
    for (at, name) in [(3, "viewer"), (6, "owner"), (7, "admin")] {
        let body = json!({"token": world.tokens[at]});
        let signed_in = app
            .ask("POST", "/api/session")
            .by("")
            .json(&body)
            .send()
            .await;
        let signed_in = signed_in.expect(200);
        assert_eq!(signed_in.json["name"], name);
        let cookie = signed_in.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let shown = app
            .ask("GET", "/api/session")
            .by("")
            .header("cookie", &cookie);
        assert_eq!(shown.send().await.json["signed_in"], true);
        let body = json!({"name": format!("by-{name}"), "code": "x = 1\n"});
        let create = |origin: &str| {
            let asked = app.ask("POST", "/api/servers").by("").json(&body);
            let asked = asked.header("cookie", &cookie);
            asked.header("origin", origin).send()
        };
        let foreign = create("https://elsewhere.example").await;
        assert_eq!(foreign.status, 403, "{}", foreign.json);
        let own = create("https://localhost:8443").await;
        assert_eq!(own.status, if name == "viewer" { 403 } else { 201 });
    }
}
