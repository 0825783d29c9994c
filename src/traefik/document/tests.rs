//! What Traefik is told.

use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::model::{Actor, AddressPool, Egress, ServerId};

fn facts() -> RouteFacts {
    let open = AddressPool::parse("198.18.1.0/24").unwrap();
    let networks = ServerNetworks::new(open, open.twin().unwrap()).unwrap();
    RouteFacts {
        networks,
        internal_url: "http://emcp:8081".into(),
        upstream_url: "http://emcp:8080".into(),
        certificate: None,
        cert_resolver: None,
        requests_per_address: 512,
    }
}

fn server(name: &str) -> Server {
    Server {
        address: [198, 18, 1, 7].into(),
        ..Server::new(
            ServerId::new(),
            name.parse().unwrap(),
            Actor("admin".into()),
            Timestamp::UNIX_EPOCH,
        )
    }
}

#[test]
fn a_route_leads_into_the_network_the_egress_says() {
    let mut demo = server("demo");
    for (egress, url) in [
        (Egress::Open, "http://198.18.1.7:8000"),
        (Egress::None, "http://198.18.129.7:8000"),
    ] {
        demo.egress = egress;
        let bytes = render([&demo].into_iter(), &facts()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let service = &value["http"]["services"][format!("server-{}", demo.id)];
        assert_eq!(service["loadBalancer"]["servers"][0]["url"], url);
    }
}

fn has_empty_map(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(map) if map.is_empty() && !path.ends_with("/tls") => Some(path.to_owned()),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, child)| has_empty_map(child, &format!("{path}/{key}"))),
        _ => None,
    }
}

#[test]
fn no_document_has_an_empty_map() {
    let demo = server("demo");
    for servers in [vec![], vec![&demo]] {
        let bytes = render(servers.into_iter(), &facts()).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(has_empty_map(&value, ""), None);
    }
}

#[test]
fn the_same_servers_give_the_same_bytes() {
    let (one, two) = (server("one"), server("two"));
    let forth = render([&one, &two].into_iter(), &facts()).unwrap();
    let back = render([&two, &one].into_iter(), &facts()).unwrap();
    assert_eq!(forth, back);
}

#[test]
fn a_server_is_reached_through_its_gate_before_the_prefix_goes() {
    let demo = server("demo");
    let bytes = render([&demo].into_iter(), &facts()).unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let router = &value["http"]["routers"][format!("server-{}-small", demo.id)];
    let rule = router["rule"].as_str().unwrap();
    assert!(rule.starts_with("(Path(`/api/demo`) || PathPrefix(`/api/demo/`)) && "));
    let gate = format!("gate-{}-sized", demo.id);
    assert_eq!(
        router["middlewares"],
        serde_json::json!(["flight", gate, "retry", "strip"])
    );
    let gate = &value["http"]["middlewares"][format!("gate-{}", demo.id)]["forwardAuth"];
    assert_eq!(
        gate["address"],
        format!("http://emcp:8081/gate?server={}&at=198.18.1.7", demo.id)
    );
    assert_eq!(gate["trustForwardHeader"], false);
    // Left out, Traefik would complain with every change of the routes.
    assert_eq!(gate["maxResponseBodySize"], -1);
}

#[test]
fn large_bodies_are_read_only_when_it_is_known_who_asks() {
    let demo = server("demo");
    let bytes = render([&demo].into_iter(), &facts()).unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let http = &value["http"];
    for (kind, reads, knocks, limit) in [
        ("-bare", false, false, -1),
        ("-small", true, false, -1),
        ("-large", true, true, -1),
        ("", true, true, UNTOLD_MAX_BYTES),
    ] {
        let router = &http["routers"][format!("server-{}{kind}", demo.id)];
        let chain: Vec<_> = router["middlewares"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let gate = chain.iter().find(|name| name.starts_with("gate-")).unwrap();
        let auth = &http["middlewares"][gate]["forwardAuth"];
        assert_eq!(auth["forwardBody"], reads, "{kind}");
        assert_eq!(auth["maxBodySize"], limit, "{kind}");
        assert!(auth["authResponseHeadersRegex"].is_string(), "{kind}");
        let knock = chain.iter().position(|name| *name == KNOCK);
        assert_eq!(knock == Some(1), knocks, "{kind}: {chain:?}");
    }
    let knock = &http["middlewares"][KNOCK]["forwardAuth"];
    assert_eq!(knock["forwardBody"], false);
    // The gate behind it must still see the credentials.
    assert!(knock["authResponseHeadersRegex"].is_null());
}

#[test]
fn a_thousand_servers_fit_into_what_traefik_takes() {
    let servers: Vec<_> = (0..100).map(|n| server(&format!("{:0>40}", n))).collect();
    let each = render(servers.iter(), &facts()).unwrap().len() / 100;
    // traefik/traefik.yml: maxResponseBodySize is 16 MiB.
    assert!(each < 4_096, "{each} bytes a server");
}
