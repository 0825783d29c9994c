//! What Traefik is told.

use jiff::Timestamp;
use serde_json::Value;

use super::clients::PREFLIGHT;
use super::*;
use crate::model::{AddressPool, Egress, InstanceId, Principal, ServerId};

fn facts() -> RouteFacts {
    let open = AddressPool::parse("198.18.1.0/24").unwrap();
    let networks = ServerNetworks::new(open, open.twin().unwrap()).unwrap();
    RouteFacts {
        networks,
        internal_url: "http://emcp:8081".into(),
        upstream_url: "http://emcp:8080".into(),
        certificate: None,
        cert_resolver: None,
        public_host: "mcp.example.com".into(),
        servers_host: None,
        serves_metrics: false,
        requests_per_address: 512,
        allowed_origins: vec![
            "https://mcp.example.com".into(),
            "vscode-webview://*".into(),
        ],
        traefik_address: ([127, 0, 0, 1], 80).into(),
    }
}

fn rendered(servers: &[&Server], facts: &RouteFacts) -> Value {
    let bytes = render(placed(servers.iter().copied()), facts).unwrap().body;
    serde_json::from_slice(&bytes).unwrap()
}

fn server(name: &str) -> Server {
    Server::new(
        ServerId::new(),
        name.parse().unwrap(),
        Principal::by_name("admin"),
        Timestamp::UNIX_EPOCH,
    )
}

/// Each with the instance that serves it, all in one place.
fn placed<'a>(
    servers: impl IntoIterator<Item = &'a Server>,
) -> impl Iterator<Item = (&'a Server, Placement)> {
    servers.into_iter().map(|server| {
        let place = Placement {
            route: InstanceId::from_u128(server.id.as_u128() + 1),
            address: [198, 18, 1, 7].into(),
            egress: server.settings.egress,
        };
        (server, place)
    })
}

#[test]
fn a_route_leads_into_the_network_the_egress_says() {
    let mut demo = server("demo");
    for (egress, url) in [
        (Egress::Open, "http://198.18.1.7:8000"),
        (Egress::None, "http://198.18.129.7:8000"),
    ] {
        demo.settings.egress = egress;
        let bytes = render(placed([&demo]), &facts()).unwrap().body;
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
        let bytes = render(placed(servers), &facts()).unwrap().body;
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(has_empty_map(&value, ""), None);
    }
}

#[test]
fn the_same_servers_give_the_same_bytes() {
    let (one, two) = (server("one"), server("two"));
    let forth = render(placed([&one, &two]), &facts()).unwrap().body;
    let back = render(placed([&two, &one]), &facts()).unwrap().body;
    assert_eq!(forth, back);
}

#[test]
fn a_server_is_reached_through_its_gate_before_the_prefix_goes() {
    let demo = server("demo");
    let at = InstanceId::from_u128(demo.id.as_u128() + 1);
    let bytes = render(placed([&demo]), &facts()).unwrap().body;
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let router = &value["http"]["routers"][format!("server-{}-small", demo.id)];
    let rule = router["rule"].as_str().unwrap();
    assert!(rule.starts_with("(Path(`/api/demo`) || PathPrefix(`/api/demo/`)) && "));
    let gate = format!("gate-{}-sized", demo.id);
    assert_eq!(
        router["middlewares"],
        serde_json::json!(["isolate", "flight", gate, "retry", "strip"])
    );
    let gate = &value["http"]["middlewares"][format!("gate-{}", demo.id)]["forwardAuth"];
    assert_eq!(
        gate["address"],
        format!("http://emcp:8081/gate?server={}&at={at}", demo.id)
    );
    assert_eq!(gate["trustForwardHeader"], false);
    // Left out, Traefik would complain with every change of the routes.
    assert_eq!(gate["maxResponseBodySize"], -1);
}

#[test]
fn large_bodies_are_read_only_when_it_is_known_who_asks() {
    let demo = server("demo");
    let bytes = render(placed([&demo]), &facts()).unwrap().body;
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let http = &value["http"];
    for (kind, reads, knocks, is_counted) in [
        ("-bare", false, false, false),
        ("-small", true, false, false),
        ("-large", true, true, true),
        // Its length is untold: it is not read here at all.
        ("", false, false, true),
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
        // A limit would be a buffer of its size, kept until the answer.
        assert_eq!(auth["maxBodySize"], -1, "{kind}");
        assert!(auth["authResponseHeadersRegex"].is_string(), "{kind}");
        let knock = chain.iter().position(|name| *name == KNOCK);
        assert_eq!(knock == Some(2), knocks, "{kind}: {chain:?}");
        assert_eq!(chain.contains(&FLIGHT_LARGE), is_counted, "{kind}");
    }
    let knock = &http["middlewares"][KNOCK]["forwardAuth"];
    assert_eq!(knock["forwardBody"], false);
    // The gate behind it must still see the credentials.
    assert!(knock["authResponseHeadersRegex"].is_null());
}

#[test]
fn a_thousand_servers_fit_into_what_traefik_takes() {
    let servers: Vec<_> = (0..100).map(|n| server(&format!("{:0>40}", n))).collect();
    let each = render(placed(servers.iter()), &facts()).unwrap().body.len() / 100;
    // traefik/traefik.yml: maxResponseBodySize is 16 MiB.
    assert!(each < 8_192, "{each} bytes a server");
}

#[test]
fn what_a_server_answers_is_never_a_page_of_the_host() {
    let demo = server("demo");
    let value = rendered(&[&demo], &facts());
    let routers = value["http"]["routers"].as_object().unwrap();
    let of_servers: Vec<_> = routers
        .iter()
        .filter(|(name, _)| name.starts_with("server-"))
        .collect();
    assert!(!of_servers.is_empty());
    for (name, router) in of_servers {
        // First, so that it holds for what the gate and Traefik answer too.
        assert_eq!(router["middlewares"][0], "isolate", "{name}");
    }
    let set = &value["http"]["middlewares"]["isolate"]["headers"]["customResponseHeaders"];
    assert_eq!(
        set["Content-Security-Policy"],
        "sandbox; default-src 'none'; frame-ancestors 'none'"
    );
    assert_eq!(set["X-Content-Type-Options"], "nosniff");
    assert_eq!(set["Cross-Origin-Resource-Policy"], "same-origin");
    assert_eq!(set["Vary"], "*, Origin");
    for removed in [
        "Set-Cookie",
        "Service-Worker-Allowed",
        "Clear-Site-Data",
        "Refresh",
        "Strict-Transport-Security",
        "Alt-Svc",
        "NEL",
        "Report-To",
        "Reporting-Endpoints",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
    ] {
        assert_eq!(set[removed], "", "{removed}");
    }
}

#[test]
fn allowed_origins_may_read_answers_and_nobody_may_with_a_cookie() {
    let demo = server("demo");
    let value = rendered(&[&demo], &facts());
    let set = &value["http"]["middlewares"]["isolate"]["headers"];
    assert_eq!(
        set["accessControlAllowOriginList"],
        serde_json::json!(["https://mcp.example.com"])
    );
    assert_eq!(
        set["accessControlAllowOriginListRegex"],
        serde_json::json!(["^vscode-webview://[A-Za-z0-9._~:-]+$"])
    );
    let exposed = set["accessControlExposeHeaders"].as_array().unwrap();
    for header in ["Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate"] {
        assert!(exposed.contains(&Value::from(header)), "{header}");
    }
    assert!(set.get("accessControlAllowCredentials").is_none());
    let routers = value["http"]["routers"].as_object().unwrap();
    // The dashboard's own are nobody else's to read.
    assert_eq!(
        routers["emcp"]["middlewares"],
        serde_json::json!(["flight"])
    );
    for name in ["emcp-clients", "emcp-well-known"] {
        assert_eq!(routers[name]["middlewares"][0], "isolate", "{name}");
    }
}

#[test]
fn preflights_come_to_emcp_for_what_clients_call_and_nothing_else() {
    let value = rendered(&[&server("demo")], &facts());
    let http = &value["http"];
    let router = &http["routers"][PREFLIGHT];
    let rule = router["rule"].as_str().unwrap();
    assert!(rule.starts_with("Method(`OPTIONS`) && "), "{rule}");
    assert!(rule.contains("!PathRegexp(`^/api/(admin|api|"), "{rule}");
    let others = http["routers"].as_object().unwrap();
    for (name, other) in others.iter().filter(|(name, _)| *name != PREFLIGHT) {
        assert!(
            other["priority"].as_u64() < router["priority"].as_u64(),
            "{name}"
        );
    }
    assert_eq!(
        http["middlewares"][PREFLIGHT]["replacePath"]["path"],
        "/preflight"
    );
    let service = &http["services"][router["service"].as_str().unwrap()];
    assert_eq!(
        service["loadBalancer"]["servers"][0]["url"],
        "http://emcp:8081"
    );
}

#[test]
fn the_gate_learns_what_a_browser_wants_an_answer_for() {
    let demo = server("demo");
    let value = rendered(&[&demo], &facts());
    let gate = &value["http"]["middlewares"][format!("gate-{}", demo.id)]["forwardAuth"];
    let asked = gate["authRequestHeaders"].as_array().unwrap();
    assert!(asked.contains(&Value::from("Sec-Fetch-Dest")));
}

#[test]
fn a_host_of_their_own_takes_the_servers_away_from_the_dashboards() {
    let demo = server("demo");
    let facts = RouteFacts {
        servers_host: Some("servers.example.com".into()),
        ..facts()
    };
    let value = rendered(&[&demo], &facts);
    let routers = value["http"]["routers"].as_object().unwrap();
    let host = "Host(`servers.example.com`) && ";
    for (name, router) in routers {
        let rule = router["rule"].as_str().unwrap();
        // Over plain HTTP neither host has anything.
        let is_plain = router["entryPoints"][0] == PLAIN_ENTRY_POINT;
        let of_both = ["emcp", "emcp-clients", "emcp-well-known", PREFLIGHT];
        let is_for_both = is_plain || of_both.contains(&name.as_str());
        assert_eq!(rule.contains(host), !is_for_both, "{name}: {rule}");
    }
    let router = |name: &str| &routers[name];
    let demos = format!("server-{}", demo.id);
    assert_eq!(
        router(&demos)["rule"],
        format!("{host}(Path(`/api/demo`) || PathPrefix(`/api/demo/`))")
    );
    // What is no server's is EMCP's on both hosts, and EMCP learns of it.
    for (own, dashboards) in [
        ("emcp-servers", "emcp"),
        ("emcp-servers-clients", "emcp-clients"),
        ("emcp-servers-well-known", "emcp-well-known"),
    ] {
        let before = if own == "emcp-servers" {
            vec![]
        } else {
            vec!["isolate"]
        };
        let with = |rest: &[&str]| serde_json::json!([before.clone(), rest.to_vec()].concat());
        let (own, dashboards) = (router(own), router(dashboards));
        assert!(own["priority"].as_u64() > dashboards["priority"].as_u64());
        assert_eq!(own["service"], "emcp");
        let own = &own["middlewares"];
        assert_eq!(*own, with(&["flight", "servers-host"]));
        assert_eq!(dashboards["middlewares"], with(&["flight"]));
    }
    let mark = &value["http"]["middlewares"]["servers-host"]["headers"];
    assert_eq!(
        *mark,
        serde_json::json!({ "customRequestHeaders": { "X-Emcp-Servers-Host": "1" } })
    );
    assert_eq!(has_empty_map(&value, ""), None);
}

#[test]
fn a_resolver_gets_a_certificate_for_each_host() {
    let domains = |facts: &RouteFacts| -> Vec<String> {
        let demo = server("demo");
        let value = rendered(&[&demo], facts);
        let routers = value["http"]["routers"].as_object().unwrap().clone();
        let mut found: Vec<String> = routers
            .values()
            .filter(|router| !router["tls"].is_null())
            .inspect(|router| assert_eq!(router["tls"]["certResolver"], "acme"))
            .filter_map(|router| router["tls"]["domains"][0]["main"].as_str())
            .map(str::to_owned)
            .collect();
        found.dedup();
        found
    };
    let one = RouteFacts {
        cert_resolver: Some("acme".into()),
        ..facts()
    };
    assert_eq!(domains(&one), ["mcp.example.com"]);
    let two = RouteFacts {
        servers_host: Some("servers.example.com".into()),
        cert_resolver: Some("acme".into()),
        ..facts()
    };
    let found = domains(&two);
    assert!(found.contains(&"mcp.example.com".to_owned()), "{found:?}");
    assert!(
        found.contains(&"servers.example.com".to_owned()),
        "{found:?}"
    );
    let address = RouteFacts {
        public_host: "198.18.0.1".into(),
        ..one
    };
    assert_eq!(domains(&address), [""; 0]);
}

#[test]
fn only_a_certificate_that_every_browser_takes_makes_the_dashboard_https_only() {
    // Of EMCP's own CA, or no certificate at all: those of others are tried in
    // tests/e2e/test_servers_host.py.
    let other = ServedCertificate {
        cert_pem: String::new(),
        key_pem: String::new(),
    };
    let with = |certificate: Option<ServedCertificate>, resolver: Option<&str>| RouteFacts {
        certificate,
        cert_resolver: resolver.map(str::to_owned),
        servers_host: Some("servers.example.com".into()),
        ..facts()
    };
    for (facts, is_public) in [
        (with(Some(other), None), false),
        (with(None, Some("acme")), true),
    ] {
        let demo = server("demo");
        let value = rendered(&[&demo], &facts);
        let http = &value["http"];
        for (name, router) in http["routers"].as_object().unwrap() {
            let is_dashboards = name == "emcp" || name == "emcp-well-known";
            let used = router["middlewares"].as_array();
            let has = used.is_some_and(|used| used.contains(&Value::from("hsts")));
            assert_eq!(has, is_public && is_dashboards, "{name}");
        }
        let sent = &http["middlewares"]["hsts"]["headers"]["customResponseHeaders"];
        let sent = sent["Strict-Transport-Security"].as_str();
        assert_eq!(sent, is_public.then_some("max-age=31536000"));
    }
}

#[test]
fn a_token_over_plain_http_is_refused_before_it_is_redirected() {
    let value = rendered(&[], &facts());
    let router = &value["http"]["routers"][CLEAR_TEXT];
    assert_eq!(router["entryPoints"], serde_json::json!(["web"]));
    assert!(router.get("tls").is_none());
    let service = &value["http"]["services"][INTERNAL]["loadBalancer"];
    assert_eq!(service["servers"][0]["url"], "http://emcp:8081");
    let template = include_str!("../../../traefik/traefik.yml");
    let redirect = template.split("redirections:").nth(1).unwrap();
    let priority = redirect.split("priority: ").nth(1).unwrap();
    let priority: u64 = priority.lines().next().unwrap().parse().unwrap();
    assert!(priority < router["priority"].as_u64().unwrap());
}

#[test]
fn a_document_tells_which_one_it_is_to_traefik_itself_alone() {
    let (one, two) = (server("one"), server("two"));
    let documents = [vec![], vec![&one], vec![&one, &two]];
    let told = documents.map(|servers| {
        let fingerprint = render(placed(servers.iter().copied()), &facts())
            .unwrap()
            .fingerprint;
        let value = rendered(&servers, &facts());
        let http = &value["http"];
        let path = &http["middlewares"]["emcp-in-effect"]["replacePath"]["path"];
        assert_eq!(path, &format!("/traefik/in-effect/{fingerprint}"));
        let check = &http["services"]["emcp-in-effect-check"]["loadBalancer"];
        assert_eq!(check["servers"][0]["url"], "http://127.0.0.1:80");
        for route in ["emcp-in-effect", "emcp-in-effect-check"] {
            let route = &http["routers"][route];
            assert_eq!(route["entryPoints"], serde_json::json!(["web"]));
            let rule = route["rule"].as_str().unwrap();
            assert!(rule.ends_with(" && ClientIP(`127.0.0.1`)"), "{rule}");
        }
        fingerprint.to_string()
    });
    assert_eq!(
        told.iter().collect::<std::collections::BTreeSet<_>>().len(),
        3
    );
    let renewed = RouteFacts {
        public_host: "other.example.com".into(),
        cert_resolver: Some("acme".into()),
        ..facts()
    };
    assert_ne!(
        told[0],
        render(placed([]), &renewed)
            .unwrap()
            .fingerprint
            .to_string()
    );
}

#[test]
fn traefik_reaches_its_own_entry_point_wherever_that_listens() {
    for (listens_on, reached_at) in [
        (":80", "127.0.0.1:80"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
        ("198.18.0.9:8080", "198.18.0.9:8080"),
        ("[::1]:8080", "[::1]:8080"),
        ("localhost:8080", "127.0.0.1:8080"),
        (":http", "127.0.0.1:80"),
    ] {
        assert_eq!(own_address(listens_on).to_string(), reached_at);
    }
}

#[test]
fn traefiks_metrics_have_a_route_only_where_they_are_wanted_and_only_behind_emcps_word() {
    let name = "emcp-traefik-metrics";
    assert_eq!(
        rendered(&[], &facts())["http"]["routers"][name],
        Value::Null
    );
    let facts = RouteFacts {
        serves_metrics: true,
        servers_host: Some("servers.example.com".into()),
        ..facts()
    };
    let value = rendered(&[], &facts);
    let router = &value["http"]["routers"][name];
    assert_eq!(router["service"], "prometheus@internal");
    let middlewares = router["middlewares"].as_array().unwrap();
    assert!(middlewares.contains(&"may-scrape".into()), "{router}");
    let asked = &value["http"]["middlewares"]["may-scrape"]["forwardAuth"]["address"];
    assert_eq!(asked, "http://emcp:8081/metrics/may-scrape");
    // On the servers' own host there is nothing of the platform's.
    let priority = |name: &str| value["http"]["routers"][name]["priority"].as_u64();
    assert!(priority(name) > priority("emcp"));
    assert!(priority(name) < priority("emcp-servers"));
}
