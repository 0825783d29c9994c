//! Credentials for the server beside EMCP's own.

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
