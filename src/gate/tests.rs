use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::access::TokenTable;
use crate::model::{
    Grant, Principal, Role, RunState, Server, ServerId, Token, TokenId, TokenSecret,
};

const ADMIN: &str = "emcp_admin-admin-admin";
const CONNECT: &str = "emcp_connect-connect";
const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const EXPIRED: &str = "emcp_expired-expired";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn entry(desired: Desired, status: Status) -> Entry {
    let server = Server {
        desired,
        ..Server::new(
            ServerId::new(),
            "demo".parse().unwrap(),
            Principal::by_name("admin"),
            now(),
        )
    };
    let state = RunState {
        status,
        generation: 1,
        ..RunState::never_ran(now())
    };
    Entry::of_test(server, state, [198, 18, 1, 0])
}

fn token(secret: &str, role: Role, servers: Option<Vec<ServerId>>) -> Token {
    Token {
        id: TokenId(Uuid::now_v7()),
        principal: Principal::by_name("ci"),
        grant: Grant {
            servers,
            ..Grant::of_role(role)
        },
        hash: hex::encode(TokenSecret::hash_of(secret)),
        created_at: now(),
        created_by: Principal::administrator(),
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    }
}

fn table(tokens: Vec<Token>) -> TokenTable {
    TokenTable::new(&SecretString::from(ADMIN), tokens)
}

fn ask(request: &GateRequest<'_>, tokens: &TokenTable, server: Option<&Entry>) -> Verdict {
    let presented = credentials(request);
    let found = presented.iter().find_map(|(by, secret)| {
        let found = tokens.identify(secret, HERE.into(), now())?;
        Some(Recognised {
            caller: found.caller,
            by: *by,
        })
    });
    let caller = found.ok_or_else(|| match presented.is_empty() {
        true => no_credential(),
        false => Error::Unauthenticated {
            is_wrong: true,
            message: "this token is not valid".into(),
        },
    });
    decide(
        request,
        || caller,
        server,
        &["https://localhost:8443".to_owned()],
    )
}

fn status_of(verdict: &Verdict) -> (u16, &'static str) {
    match verdict {
        Verdict::Refuse(refusal) => (refusal.status, refusal.code),
        other => panic!("not refused: {other:?}"),
    }
}

const AS_ADMIN: GateRequest<'_> = GateRequest {
    authorization: Some("Bearer emcp_admin-admin-admin"),
    api_key: None,
    repeats_authorization: false,
    repeats_api_key: false,
    origin: None,
    fetch_dest: None,
    uri: "/api/demo/mcp",
    method: Some("POST"),
};

/// As a client that takes nothing but a URL asks.
fn by_url<'a>(uri: &'a str, method: &'a str) -> GateRequest<'a> {
    GateRequest {
        authorization: None,
        uri,
        method: Some(method),
        ..AS_ADMIN
    }
}

#[test]
fn a_valid_token_passes_in_each_of_its_forms() {
    let running = entry(Desired::Running, Status::Running);
    let tokens = table(vec![]);
    let lower = GateRequest {
        authorization: Some("bearer emcp_admin-admin-admin"),
        ..AS_ADMIN
    };
    let key = GateRequest {
        authorization: None,
        api_key: Some(ADMIN),
        ..AS_ADMIN
    };
    for request in [AS_ADMIN, lower, key] {
        let verdict = ask(&request, &tokens, Some(&running));
        assert!(
            matches!(&verdict, Verdict::Allow { user, .. } if user == "admin"),
            "{request:?}: {verdict:?}"
        );
    }
    let own = table(vec![token(
        CONNECT,
        Role::Connect,
        Some(vec![running.server.id]),
    )]);
    let url = by_url("/api/demo/mcp?x=1&key=emcp%5Fconnect-connect", "POST");
    let verdict = ask(&url, &own, Some(&running));
    assert!(
        matches!(&verdict, Verdict::Allow { user, .. } if user == "ci"),
        "{verdict:?}"
    );
}

#[test]
fn a_url_takes_only_a_connect_token_for_this_server_alone() {
    let running = entry(Desired::Running, Status::Running);
    let this = running.server.id;
    let mut own = token(CONNECT, Role::Developer, None);
    own.principal = Principal::administrator();
    for (token, expected) in [
        (token(CONNECT, Role::Connect, Some(vec![this])), "ok"),
        (token(CONNECT, Role::Connect, None), "token_not_for_url"),
        (
            token(CONNECT, Role::Connect, Some(vec![this, ServerId::new()])),
            "token_not_for_url",
        ),
        (
            token(CONNECT, Role::Connect, Some(vec![])),
            "token_not_for_server",
        ),
        (token(CONNECT, Role::Admin, None), "token_not_for_url"),
        (own, "token_not_for_url"),
        (token(CONNECT, Role::Viewer, None), "forbidden"),
    ] {
        let role = (token.grant.role, token.grant.servers.clone());
        let tokens = table(vec![token]);
        for uri in [
            "/api/demo/mcp?key=emcp_connect-connect",
            "/api/demo/sse?key=emcp_connect-connect",
        ] {
            for method in ["GET", "POST", "DELETE"] {
                let found = match ask(&by_url(uri, method), &tokens, Some(&running)) {
                    Verdict::Refuse(refusal) => refusal.code,
                    _ => "ok",
                };
                assert_eq!(found, expected, "{method} {uri} with {role:?}");
            }
        }
    }
    let admin = by_url("/api/demo/sse?key=emcp_admin-admin-admin", "GET");
    assert_eq!(
        status_of(&ask(&admin, &table(vec![]), Some(&running))),
        (403, "token_not_for_url")
    );
}

#[test]
fn a_stream_opened_by_a_key_in_the_url_is_sent_on_without_it() {
    let running = entry(Desired::Running, Status::Running);
    let connect = token(CONNECT, Role::Connect, Some(vec![running.server.id]));
    let id = connect.id;
    let tokens = table(vec![connect]);
    let verdict = |uri, method| ask(&by_url(uri, method), &tokens, Some(&running));
    let redirect = Verdict::Redirect { token: Some(id) };
    let sse = "/api/demo/sse?key=emcp_connect-connect";
    assert_eq!(verdict(sse, "GET"), redirect);
    // Where others than the client could have chosen the path, it is not repeated.
    for (uri, method) in [
        (sse, "POST"),
        ("/api/demo/mcp?key=emcp_connect-connect", "GET"),
        ("//evil.example/sse?key=emcp_connect-connect", "GET"),
        ("/api/demo2/sse?key=emcp_connect-connect", "GET"),
    ] {
        assert!(
            matches!(verdict(uri, method), Verdict::Allow { .. }),
            "{method} {uri}"
        );
    }
    for (uri, expected) in [
        ("/api/demo/sse?key=K", "/api/demo/sse?emcp_ticket=T"),
        (
            "/api/demo/sse?a=%2F&k%65y=K&b&emcp_ticket=old&key=K2",
            "/api/demo/sse?a=%2F&b&emcp_ticket=T",
        ),
    ] {
        assert_eq!(with_ticket(uri, "T"), expected);
    }
}

#[test]
fn a_key_in_the_url_counts_only_where_clients_connect() {
    let running = entry(Desired::Running, Status::Running);
    let request = GateRequest {
        authorization: None,
        uri: "/api/demo/messages/?key=emcp_admin-admin-admin",
        ..AS_ADMIN
    };
    assert_eq!(
        status_of(&ask(&request, &table(vec![]), Some(&running))).0,
        401
    );
}

#[test]
fn without_a_valid_token_nobody_learns_whether_a_server_exists() {
    let running = entry(Desired::Running, Status::Running);
    let nothing = GateRequest {
        authorization: None,
        ..AS_ADMIN
    };
    let wrong = GateRequest {
        authorization: Some("Bearer nonsense"),
        ..AS_ADMIN
    };
    let basic = GateRequest {
        authorization: Some("Basic YTpi"),
        ..AS_ADMIN
    };
    for request in [nothing, wrong, basic] {
        for server in [Some(&running), None] {
            assert_eq!(
                status_of(&ask(&request, &table(vec![]), server)),
                (401, "unauthenticated")
            );
        }
    }
    assert_eq!(
        status_of(&ask(&AS_ADMIN, &table(vec![]), None)),
        (404, "server_not_found")
    );
}

#[test]
fn a_connect_token_reaches_its_servers_only() {
    let mine = entry(Desired::Running, Status::Running);
    let other = entry(Desired::Running, Status::Running);
    let tokens = table(vec![token(
        CONNECT,
        Role::Connect,
        Some(vec![mine.server.id]),
    )]);
    let request = GateRequest {
        authorization: Some("Bearer emcp_connect-connect"),
        ..AS_ADMIN
    };
    assert_eq!(
        ask(&request, &tokens, Some(&mine)),
        Verdict::Allow {
            user: "ci".into(),
            ticket_for: None
        }
    );
    assert_eq!(
        status_of(&ask(&request, &tokens, Some(&other))),
        (403, "token_not_for_server")
    );
}

#[test]
fn an_expired_token_is_no_token() {
    let running = entry(Desired::Running, Status::Running);
    let expired = Token {
        expires_at: Some(now()),
        ..token(EXPIRED, Role::Admin, None)
    };
    let request = GateRequest {
        authorization: Some("Bearer emcp_expired-expired"),
        ..AS_ADMIN
    };
    assert_eq!(
        status_of(&ask(&request, &table(vec![expired]), Some(&running))).0,
        401
    );
}

#[test]
fn a_foreign_origin_is_refused_even_with_a_token() {
    let running = entry(Desired::Running, Status::Running);
    let evil = GateRequest {
        origin: Some("https://evil.example"),
        ..AS_ADMIN
    };
    assert_eq!(
        status_of(&ask(&evil, &table(vec![]), Some(&running))),
        (403, "origin_not_allowed")
    );
    let own = GateRequest {
        origin: Some("https://localhost:8443"),
        ..AS_ADMIN
    };
    assert!(matches!(
        ask(&own, &table(vec![]), Some(&running)),
        Verdict::Allow { .. }
    ));
}

#[test]
fn what_a_browser_would_show_or_run_is_refused_even_with_a_token() {
    let running = entry(Desired::Running, Status::Running);
    let to = |dest| GateRequest {
        fetch_dest: Some(dest),
        ..AS_ADMIN
    };
    for dest in [
        "document",
        "iframe",
        "frame",
        "script",
        "serviceworker",
        "sharedworker",
        "worker",
        "style",
        "image",
        "object",
        "embed",
        "manifest",
        "report",
        "",
        "what comes yet",
    ] {
        assert_eq!(
            status_of(&ask(&to(dest), &table(vec![]), Some(&running))),
            (403, "not_a_page"),
            "{dest}"
        );
    }
    assert!(matches!(
        ask(&to("empty"), &table(vec![]), Some(&running)),
        Verdict::Allow { .. }
    ));
}

#[test]
fn what_a_page_elsewhere_sends_is_refused_before_anybody_looks_at_its_token() {
    let page = GateRequest {
        fetch_dest: Some("image"),
        ..AS_ADMIN
    };
    let elsewhere = GateRequest {
        origin: Some("https://evil.example"),
        ..AS_ADMIN
    };
    let running = entry(Desired::Running, Status::Running);
    for request in [page, elsewhere] {
        for server in [Some(&running), None] {
            let never = || panic!("the token was looked at");
            assert_eq!(status_of(&decide(&request, never, server, &[])).0, 403);
        }
    }
}

#[test]
fn what_is_on_its_way_up_is_held_and_what_is_down_is_told() {
    let tokens = table(vec![]);
    for status in [
        Status::Building,
        Status::Starting,
        Status::Stopped,
        Status::Sleeping,
    ] {
        let server = entry(Desired::Running, status);
        assert!(matches!(
            ask(&AS_ADMIN, &tokens, Some(&server)),
            Verdict::Hold { .. }
        ));
    }
    let stopped = entry(Desired::Stopped, Status::Stopped);
    assert_eq!(
        status_of(&ask(&AS_ADMIN, &tokens, Some(&stopped))),
        (503, "server_stopped")
    );
    let mut failed = entry(Desired::Running, Status::Error);
    assert!(matches!(
        ask(&AS_ADMIN, &tokens, Some(&failed)),
        Verdict::Hold { .. }
    ));
    Arc::make_mut(&mut failed.state).gave_up = true;
    assert_eq!(
        status_of(&ask(&AS_ADMIN, &tokens, Some(&failed))),
        (503, "server_failed")
    );
}

#[test]
fn a_wish_not_yet_taken_up_is_held() {
    let mut server = entry(Desired::Running, Status::Running);
    Arc::make_mut(&mut server.server).generation = 2;
    assert!(matches!(
        ask(&AS_ADMIN, &table(vec![]), Some(&server)),
        Verdict::Hold { .. }
    ));
}

#[test]
fn a_ticket_opens_a_session_or_its_messages_and_nothing_else() {
    let found = |uri| ticket_in_url(uri).map(|(kind, _)| kind);
    for (uri, expected) in [
        (
            "/api/demo/messages/?session_id=1&emcp_ticket=abc",
            Some(TicketKind::Session),
        ),
        ("/api/demo/sse?emcp_ticket=abc", Some(TicketKind::Opening)),
        ("/api/demo/mcp?emcp_ticket=abc", None),
        ("/api/demo/other?emcp_ticket=abc", None),
        ("/api/demo/sse", None),
    ] {
        assert_eq!(found(uri), expected, "{uri}");
    }
}

#[test]
fn a_locked_out_address_is_told_when_to_come_back() {
    let running = entry(Desired::Running, Status::Running);
    let locked = Err(Error::TooManyAttempts {
        retry_after_secs: 30,
    });
    match decide(&AS_ADMIN, || locked, Some(&running), &[]) {
        Verdict::Refuse(refusal) => {
            assert_eq!((refusal.status, refusal.code), (429, "too_many_attempts"));
            assert_eq!(refusal.retry_after_secs, Some(30));
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_developer_calls_the_servers_that_are_theirs() {
    let mut server = entry(Desired::Running, Status::Running);
    let tokens = table(vec![token(CONNECT, Role::Developer, None)]);
    let request = GateRequest {
        authorization: Some("Bearer emcp_connect-connect"),
        ..AS_ADMIN
    };
    assert_eq!(
        status_of(&ask(&request, &tokens, Some(&server))),
        (403, "not_your_server")
    );
    Arc::make_mut(&mut server.server).members = vec![Principal::by_name("ci")];
    assert!(matches!(
        ask(&request, &tokens, Some(&server)),
        Verdict::Allow { .. }
    ));
}

mod beside;
