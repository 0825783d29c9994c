//! Which of a request's credentials is EMCP's, and what follows from its place.

use super::*;

#[test]
fn a_credential_for_the_server_beside_emcps_is_no_wrong_token() {
    let running = entry(Desired::Running, Status::Running);
    let connect = token(CONNECT, Role::Connect, Some(vec![running.server.id]));
    let tokens = table(vec![connect]);
    let foreign = Some("Bearer meant-for-the-server");
    let beside_key = GateRequest {
        authorization: foreign,
        api_key: Some(ADMIN),
        ..AS_ADMIN
    };
    let beside_url = GateRequest {
        authorization: foreign,
        uri: "/api/demo/mcp?key=emcp_connect-connect",
        ..AS_ADMIN
    };
    for (request, user) in [(beside_key, "admin"), (beside_url, "ci")] {
        let verdict = ask(&request, &tokens, Some(&running));
        assert!(
            matches!(&verdict, Verdict::Allow { user: found, .. } if found == user),
            "{request:?}: {verdict:?}"
        );
    }
    // By a URL it is still a URL's token: one for this server alone.
    let admins = GateRequest {
        uri: "/api/demo/mcp?key=emcp_admin-admin-admin",
        ..beside_url
    };
    assert_eq!(
        status_of(&ask(&admins, &tokens, Some(&running))),
        (403, "token_not_for_url")
    );
    let neither = GateRequest {
        api_key: Some("own-key"),
        ..beside_key
    };
    assert_eq!(status_of(&ask(&neither, &tokens, Some(&running))).0, 401);
}

#[test]
fn only_a_session_opened_by_a_key_in_the_url_gets_a_ticket() {
    let running = entry(Desired::Running, Status::Running);
    let caller = Caller::administrator_by(TokenId(Uuid::now_v7()));
    let ticket = |request, by| {
        let caller = caller.clone();
        let recognised = Recognised { caller, by };
        match decide(&request, || Ok(recognised), Some(&running), &[]) {
            Verdict::Allow { ticket_for, .. } => ticket_for,
            other => panic!("not allowed: {other:?}"),
        }
    };
    let followed = by_url("/api/demo/sse?emcp_ticket=T", "GET");
    assert_eq!(
        ticket(followed, Presented::Ticket),
        Some(caller.credential())
    );
    assert_eq!(
        ticket(by_url("/api/demo/mcp", "POST"), Presented::Ticket),
        None
    );
    let by_header = GateRequest {
        uri: "/api/demo/sse",
        method: Some("GET"),
        ..AS_ADMIN
    };
    assert_eq!(ticket(by_header, Presented::Authorization), None);
}
