//! What whoever took EMCP over tries at the socket, against an engine in memory:
//! nothing of it reaches the engine. `tests/faults/test_broker.py` tries the same
//! with Docker Engine.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

/// The word of a refusal; nothing for what was done.
fn refusal(answer: &Value) -> Option<String> {
    match answer {
        Value::Null => Some("hung up".to_owned()),
        answer => {
            let error = answer.get("Err")?;
            Some(
                error
                    .as_str()
                    .map_or_else(|| error.to_string(), str::to_owned),
            )
        }
    }
}

/// A wish for a container, once this is done to it.
fn run_of(wish: RunWish, change: impl FnOnce(&mut Value)) -> Value {
    let mut wish = serde_json::to_value(Wish::Run(Box::new(wish))).unwrap();
    change(&mut wish["run"]);
    wish
}

#[tokio::test]
async fn nothing_can_be_wished_that_a_servers_container_does_not_have() {
    let (running, engine) = Running::with_engine().await;
    for more in [
        json!({"privileged": true}),
        json!({"image": "evil"}),
        json!({"user": "0"}),
        json!({"command": ["sh"]}),
        json!({"network": "host"}),
        json!({"networks": ["bridge"]}),
        json!({"mounts": [{"source": "/", "target": "/host"}]}),
        json!({"binds": ["/:/host"]}),
        json!({"code_dir": "/etc"}),
        json!({"devices": ["/dev/sda"]}),
        json!({"cap_add": ["SYS_ADMIN"]}),
        json!({"security_opt": ["seccomp=unconfined"]}),
        json!({"pid_mode": "host"}),
        json!({"ports": {"8000": 22}}),
        json!({"restart": "always"}),
        json!({"labels": {"emcp.instance": "other"}}),
        json!({"instance": "other"}),
    ] {
        let wish = run_of(running.wish(), |run| {
            let more = more.as_object().unwrap().clone();
            run.as_object_mut().unwrap().extend(more);
        });
        assert_eq!(running.answers(&wish).await, Value::Null, "{more}");
    }
    for wish in [
        json!({"exec": {"id": "0".repeat(64), "command": ["sh"]}}),
        json!({"pull": {"image": "evil"}}),
        json!({"commit": {"id": "0".repeat(64)}}),
        json!({"run_once": {"what": {"shell": {"command": "sh"}}, "patience_secs": 1}}),
        json!({"run_once": {"what": {"reach": {"endpoint": "198.18.0.20", "command": "sh"}}, "patience_secs": 1}}),
    ] {
        assert_eq!(running.answers(&wish).await, Value::Null, "{wish}");
    }
    assert!(engine.calls().is_empty(), "{:?}", engine.calls());
}

#[tokio::test]
async fn what_can_be_wished_is_within_bounds() {
    let (running, engine) = Running::with_engine().await;
    type Change = fn(&mut Value);
    let attacks: &[(&str, Change)] = &[
        ("the platform's name", |run| {
            run["name"] = json!("emcp-traefik")
        }),
        ("another instance's name", |run| {
            run["name"] = json!("other-0123456789abcdef");
        }),
        ("a long name", |run| {
            run["name"] = json!(format!("emcp-{}", "0".repeat(4_096)));
        }),
        ("a name that is a path", |run| {
            run["name"] = json!("emcp-../../../../x")
        }),
        ("the gateway's address", |run| {
            run["endpoint"] = json!("198.18.0.1")
        }),
        ("an address of the other network", |run| {
            run["endpoint"] = json!("198.18.128.20");
        }),
        ("an address elsewhere", |run| {
            run["endpoint"] = json!("10.0.0.1")
        }),
        ("the other network with this one's address", |run| {
            run["egress"] = json!("none")
        }),
        ("a disk above the maximum", |run| {
            run["disk_bytes"] = json!(2_u64 << 30)
        }),
        ("no memory", |run| run["limits"]["memory_bytes"] = json!(0)),
        ("no processes", |run| run["limits"]["pids"] = json!(0)),
        ("less than no CPU", |run| {
            run["limits"]["cpus"] = json!(-1.0)
        }),
        ("years to end", |run| {
            run["stop_grace_secs"] = json!(u64::MAX)
        }),
        ("a variable without a name", |run| {
            run["env"] = json!([["", "x"]])
        }),
        ("two variables in one", |run| {
            run["env"] = json!([["A=B", "x"]])
        }),
        ("a variable that ends early", |run| {
            run["env"] = json!([["A", "x\0y"]])
        }),
        ("too many variables", |run| {
            run["env"] = json!(vec![["A", "x"]; 257])
        }),
        ("too long a key", |run| {
            run["env"] = json!([["A".repeat(129), "x"]])
        }),
        ("too much of a variable", |run| {
            run["env"] = json!([["A", "x".repeat(9 << 20)]]);
        }),
        ("a label by way of a secret's name", |run| {
            run["secret_keys"] = json!(["KEY,emcp.instance=other"]);
        }),
        ("too many secrets", |run| {
            run["secret_keys"] = json!(vec!["KEY"; 257])
        }),
    ];
    for (what, change) in attacks {
        let wish = run_of(running.wish(), change);
        let answer = running.answers(&wish).await;
        let refusal = refusal(&answer).unwrap_or_default();
        assert!(refusal.contains("does not allow it"), "{what}: {answer}");
    }
    // What is of no type at all.
    let attacks: &[(&str, Change)] = &[
        ("the host's files", |run| run["code"] = json!("/etc")),
        ("a way up", |run| run["code"] = json!("../../etc")),
        ("the broker's own files", |run| {
            run["code"] = json!("broker/code");
        }),
        ("code by its path", |run| {
            let digest = run["code"].as_str().unwrap().to_owned();
            let hex = digest.trim_start_matches("sha256:");
            run["code"] = json!(format!("bundles/{}/{hex}", &hex[..2]));
        }),
        ("no server", |run| run["server"] = json!("../..")),
        ("a name of a server that is none", |run| {
            run["server_name"] = json!("../x")
        }),
        ("a network of another name", |run| {
            run["egress"] = json!("host")
        }),
        ("an address that is none", |run| {
            run["endpoint"] = json!("::1")
        }),
        ("fewer processes than none", |run| {
            run["limits"]["pids"] = json!(-1)
        }),
        ("CPUs without end", |run| {
            run["limits"]["cpus"] = json!("inf")
        }),
    ];
    for (what, change) in attacks {
        let wish = run_of(running.wish(), change);
        assert_eq!(running.answers(&wish).await, Value::Null, "{what}");
    }
    assert!(engine.containers().is_empty());
    // And nothing is left of any of it.
    let copies = std::fs::read_dir(running.data("broker/code"));
    assert_eq!(copies.into_iter().flatten().count(), 0);
}

#[tokio::test]
async fn limits_above_the_maxima_are_brought_down_to_them() {
    let (running, engine) = Running::with_engine().await;
    let mut wish = running.wish();
    (wish.limits, wish.disk_bytes) = (Limits::HIGHEST, None);
    let server = wish.server;
    let answer = running.answers(&run_of(wish, |_| {})).await;
    assert_eq!(refusal(&answer), None);
    let given = engine.given(server).limits;
    let most = (1 << 30, 2.0, 256);
    assert_eq!((given.memory_bytes, given.cpus, given.pids), most);
}

/// A wish for a container of this code, which is left as it lies there.
fn wish_of(code: BundleDigest) -> RunWish {
    RunWish { code, ..wish() }
}

#[tokio::test]
async fn a_link_in_a_path_leads_nowhere() {
    let (running, engine) = Running::with_engine().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("server.py"), "secret").unwrap();
    let code = running.wish().code;
    let bundle = running.folder(code);
    // The bundle's own folder, and those above it.
    for place in bundle.ancestors().take(3) {
        let (wish, away) = (running.wish(), running.data("away"));
        std::fs::rename(place, &away).unwrap();
        symlink(&away, place).unwrap();
        assert!(bundle.exists(), "the way is there for who follows links");
        let answer = running.answers(&run_of(wish, |_| {})).await;
        assert!(refusal(&answer).is_some(), "{}: {answer}", place.display());
        std::fs::remove_file(place).unwrap();
        std::fs::rename(away, place).unwrap();
    }
    // A file of it, and one that is another than its name says.
    let (file, away) = (bundle.join("server.py"), outside.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    symlink(&away, &file).unwrap();
    let linked = running.answers(&run_of(wish_of(code), |_| {})).await;
    assert!(refusal(&linked).is_some(), "{linked}");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "import evil").unwrap();
    let altered = running.answers(&run_of(wish_of(code), |_| {})).await;
    let refused = refusal(&altered).unwrap_or_default();
    assert!(refused.contains("not what was uploaded"), "{altered}");
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(away, &file).unwrap();
    // The folder of the disk.
    let wish = running.wish();
    let own = running.data(wish.server.to_string());
    std::fs::create_dir(&own).unwrap();
    let storage = own.join("storage");
    symlink(outside.path(), storage).unwrap();
    let answer = running.answers(&run_of(wish, |_| {})).await;
    let refusal = refusal(&answer).unwrap_or_default();
    assert!(refusal.contains("Storage"), "{answer}");
    assert!(engine.containers().is_empty());
}

#[tokio::test]
async fn what_is_another_instances_is_not_there() {
    let (running, engine) = Running::with_engine().await;
    let server = ServerId::new();
    let victim = engine.has(server, Path::new("/elsewhere"), true);
    let not_there = json!({"Err": "NoSuchContainer"});
    for wish in [
        json!({"inspect": {"id": victim}}),
        json!({"start": {"id": victim}}),
        json!({"pause": {"id": victim}}),
        json!({"unpause": {"id": victim}}),
        json!({"usage": {"id": victim}}),
        json!({"given_secrets": {"id": victim}}),
        json!({"tail": {"id": victim, "lines": 1}}),
        json!({"follow": {"id": victim, "since_secs": 0}}),
        json!({"attach": {"id": victim, "egress": "open", "endpoint": "198.18.0.20"}}),
    ] {
        assert_eq!(running.answers(&wish).await, not_there, "{wish}");
    }
    // What is not there counts as stopped and removed.
    for wish in [
        json!({"stop": {"id": victim, "grace_secs": 0}}),
        json!({"remove": {"id": victim}}),
    ] {
        assert_eq!(running.answers(&wish).await, json!({"Ok": null}), "{wish}");
    }
    assert_eq!(
        running.answers(&json!({"list": {"server": null}})).await,
        json!({"Ok": []})
    );
    assert!(engine.runs_on(&victim));
    // Nor does anybody hear of it, though it shares the network.
    let mut changes = running.client().changes();
    let (own, seen) = tokio::join!(
        async {
            let wish = running.wish();
            engine.until_heard().await;
            engine.cut_off(server);
            let own = wish.server;
            running.answers(&run_of(wish, |_| {})).await;
            own
        },
        changes.next()
    );
    assert_eq!(seen, Some(Change::Server(own)));
}

#[tokio::test]
async fn a_container_of_ours_gets_nothing_that_is_not_its_own() {
    let (running, engine) = Running::with_engine().await;
    let answer = running.answers(&run_of(running.wish(), |_| {})).await;
    let id = answer["Ok"].as_str().unwrap().to_owned();
    for wish in [
        json!({"attach": {"id": id, "egress": "open", "endpoint": "198.18.0.1"}}),
        json!({"attach": {"id": id, "egress": "open", "endpoint": "10.0.0.1"}}),
        json!({"attach": {"id": id, "egress": "none", "endpoint": "198.18.0.20"}}),
        // The other network than it was made in.
        json!({"attach": {"id": id, "egress": "none", "endpoint": "198.18.128.20"}}),
        json!({"stop": {"id": id, "grace_secs": 601}}),
        json!({"tail": {"id": id, "lines": 10_001}}),
        json!({"inspect": {"id": id[..12]}}),
        json!({"inspect": {"id": format!("{id}/json?x=")}}),
        json!({"remove": {"id": "emcp-traefik"}}),
    ] {
        let answer = running.answers(&wish).await;
        let refusal = refusal(&answer).unwrap_or_default();
        assert!(refusal.contains("does not allow it"), "{wish}: {answer}");
    }
    assert_eq!(engine.count(Op::Attach), 0);
    assert!(engine.runs_on(&id.into()));
}

#[tokio::test]
async fn what_was_made_without_the_broker_is_removed_rather_than_started() {
    let (running, engine) = Running::with_engine().await;
    let id = engine.has(ServerId::new(), &running.data("x/versions/1"), false);
    let answer = running.answers(&json!({"start": {"id": id}})).await;
    assert_eq!(answer, json!({"Err": "NoSuchContainer"}));
    assert!(engine.containers().is_empty());
}

#[tokio::test]
async fn only_two_programs_are_run_to_their_end() {
    let (running, engine) = Running::with_engine().await;
    let wish = running.wish();
    let check = |code: BundleDigest, patience_secs: u64| json!({"run_once": {"what": {"check": {"code": code, "entry_object": "mcp", "runtime": "auto"}}, "patience_secs": patience_secs}});
    let reach = |address: &str| json!({"run_once": {"what": {"reach": {"endpoint": address}}, "patience_secs": 9}});
    for attack in [check(wish.code, 61), reach("198.18.0.1"), reach("10.0.0.1")] {
        let answer = running.answers(&attack).await;
        let refusal = refusal(&answer).unwrap_or_default();
        assert!(refusal.contains("does not allow it"), "{attack}: {answer}");
    }
    // Of code that is not there.
    let nowhere = Bundle::of_one_file(b"elsewhere".to_vec()).digest();
    let answer = running.answers(&check(nowhere, 9)).await;
    assert!(refusal(&answer).is_some(), "{answer}");
    assert_eq!(engine.count(Op::RunOnce), 0);
    for wish in [check(wish.code, 60), reach("198.18.0.20")] {
        assert_eq!(refusal(&running.answers(&wish).await), None, "{wish}");
    }
}

#[tokio::test]
async fn there_are_no_more_containers_than_servers_could_be() {
    let (running, engine) = Running::with_engine().await;
    let most = 2 * running.settings.networks.open().capacity();
    for _ in 0..most {
        engine.has(ServerId::new(), Path::new("/elsewhere"), false);
    }
    // The broker knows of none of them yet.
    let listed = running.client().list(None).await.unwrap();
    assert_eq!(listed.len(), most);
    let answer = running.answers(&run_of(running.wish(), |_| {})).await;
    let refusal = refusal(&answer).unwrap_or_default();
    assert!(refusal.contains("more containers"), "{answer}");
    // Those that are gone count no more.
    engine.vanish(listed[0].server);
    let answer = running.answers(&run_of(running.wish(), |_| {})).await;
    assert!(answer["Ok"].is_string(), "{answer}");
}
