//! What EMCP wishes is done, and as if there were no broker in between.

use std::time::Duration;

use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::identity::{BundleSource, DiskSource};
use crate::runtime::{
    CHECK, ContainerSpec, DiskSpec, Endpoint, OneShot, OutputStream, Phase, REACH, RuntimeError,
};

const GRACE: Duration = Duration::from_secs(5);

/// A container as the reconciler wishes it.
fn spec(running: &Running, disk_bytes: Option<u64>) -> ContainerSpec {
    let wish = running.wish();
    ContainerSpec {
        server: wish.server,
        instance: wish.instance,
        name: wish.name,
        server_name: wish.server_name,
        image: "whatever".to_owned(),
        generation: wish.generation,
        revision: wish.revision,
        egress: wish.egress,
        disk: disk_bytes.map(|size_bytes| DiskSpec {
            source: DiskSource::of_dir(running.data(wish.server.to_string()).join("storage")),
            size_bytes,
        }),
        endpoint: wish.endpoint,
        bundle: BundleSource::of_dir(running.folder(wish.code)),
        env: vec![
            ("KEY".to_owned(), SecretString::from("secret")),
            ("OTHER".to_owned(), SecretString::from("shown")),
        ],
        secret_keys: vec!["KEY".to_owned()],
        limits: wish.limits,
        stop_grace: GRACE,
    }
}

/// What is in a folder of the broker's.
fn names_in(running: &Running, folder: &str) -> usize {
    let there = std::fs::read_dir(running.data("broker").join(folder));
    there.into_iter().flatten().count()
}

#[tokio::test]
async fn a_container_lives_its_life_behind_it() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    broker.greet_broker().await.unwrap().unwrap();
    broker.connect(running.settings.networks).await.unwrap();
    broker.connect(running.settings.networks).await.unwrap();
    broker.ping().await.unwrap();
    assert_eq!(broker.info().await.unwrap().version, "fake");
    assert!(broker.began_at().await.unwrap().is_some());
    let spec = spec(&running, None);
    let server = spec.server;
    let id = broker.run(&spec).await.unwrap();
    assert_eq!(engine.variable(server, "KEY"), "secret");
    assert_eq!(names_in(&running, "code"), 1);
    // Nothing that is mounted is EMCP's.
    assert!(broker.mounted().await.unwrap().is_empty());
    let listed = broker.list(Some(server)).await.unwrap();
    assert_eq!(listed[0].id, id);
    assert_eq!(listed[0].instance, Some(spec.instance));
    assert_eq!(listed[0].endpoints, std::slice::from_ref(&spec.endpoint));
    assert!(broker.list(Some(ServerId::new())).await.unwrap().is_empty());
    broker
        .attach(&id, spec.egress, &spec.endpoint)
        .await
        .unwrap();
    let secrets = broker.given_secrets(&id).await.unwrap();
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| secret.expose_secret())
        .collect();
    assert_eq!(secrets, ["secret"]);
    assert!(broker.usage(&id).await.unwrap().memory_bytes > 0);
    broker.pause(&id).await.unwrap();
    assert_eq!(broker.inspect(&id).await.unwrap().phase, Phase::Paused);
    broker.unpause(&id).await.unwrap();
    broker.stop(&id, GRACE).await.unwrap();
    assert_eq!(broker.inspect(&id).await.unwrap().phase, Phase::Exited);
    // Its copy of the code is there for the next start.
    broker.start(&id).await.unwrap();
    assert_eq!(broker.inspect(&id).await.unwrap().phase, Phase::Running);
    broker.remove(&id).await.unwrap();
    assert!(engine.containers().is_empty());
    assert_eq!(names_in(&running, "code"), 0);
    let gone = broker.inspect(&id).await.unwrap_err();
    assert!(matches!(gone, RuntimeError::NoSuchContainer), "{gone}");
    broker.stop(&id, GRACE).await.unwrap();
    broker.remove(&id).await.unwrap();
}

#[tokio::test]
async fn output_and_what_changes_come_as_they_are() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    let mut changes = broker.changes();
    let spec = spec(&running, None);
    let server = spec.server;
    let (id, change) = tokio::join!(
        async {
            engine.until_heard().await;
            broker.run(&spec).await.unwrap()
        },
        changes.next()
    );
    assert_eq!(change, Some(Change::Server(server)));
    engine.cut_off(server);
    let told = [changes.next().await, changes.next().await];
    assert!(told.contains(&Some(Change::CutOff(id.clone()))), "{told:?}");
    let tail = broker.tail(&id, 5).await.unwrap();
    assert_eq!(
        (tail[0].text.as_str(), tail[0].stream),
        ("hello", OutputStream::Stdout)
    );
    let follow = broker.follow(&id, 0);
    let (lines, ()) = tokio::join!(follow.collect::<Vec<_>>(), async {
        broker.stop(&id, GRACE).await.unwrap();
    });
    let lines: Vec<_> = lines.into_iter().map(|line| line.unwrap().text).collect();
    assert_eq!(lines, ["hello"]);
    engine.goes_away();
    let mut rest = std::pin::pin!(changes.skip_while(|_| std::future::ready(true)));
    assert_eq!(rest.next().await, None);
}

#[tokio::test]
async fn a_disk_is_made_once_and_kept_in_the_servers_folder() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    let spec = spec(&running, Some(16 << 20));
    let id = broker.run(&spec).await.unwrap();
    assert_eq!(engine.given(spec.server).disk_bytes, Some(16 << 20));
    let storage = running.data(spec.server.to_string()).join("storage");
    assert_eq!(
        std::fs::metadata(storage.join("disk")).unwrap().len(),
        16 << 20
    );
    assert_eq!(
        std::fs::read_to_string(storage.join("granted")).unwrap(),
        "16777216"
    );
    assert_eq!(names_in(&running, "disks"), 0);
    // Its device was given up with it, so it is made anew and not started again.
    broker.stop(&id, GRACE).await.unwrap();
    let refused = broker.start(&id).await.unwrap_err();
    assert!(
        matches!(refused, RuntimeError::NoSuchContainer),
        "{refused}"
    );
    broker.run(&spec).await.unwrap();
    assert_eq!(engine.containers().len(), 1);
}

#[tokio::test]
async fn what_fails_leaves_nothing_behind() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    let spec = spec(&running, Some(16 << 20));
    engine.faults(|faults| faults.next(Op::OpenDisk, Fault::NoStorage));
    let failed = broker.run(&spec).await.unwrap_err();
    assert!(matches!(failed, RuntimeError::Storage(_)), "{failed}");
    engine.faults(|faults| faults.next(Op::Create, Fault::ImageMissing));
    let failed = broker.run(&spec).await.unwrap_err();
    assert!(matches!(failed, RuntimeError::ImageMissing(_)), "{failed}");
    assert_eq!(
        (names_in(&running, "code"), names_in(&running, "disks")),
        (0, 0)
    );
    // One that was made and could not be started has its code.
    engine.faults(|faults| faults.next(Op::Start, Fault::Refused));
    let failed = broker.run(&spec).await.unwrap_err();
    assert!(matches!(failed, RuntimeError::Refused(_)), "{failed}");
    assert_eq!(
        (engine.containers().len(), names_in(&running, "code")),
        (1, 1)
    );
    // And what a broker that was killed left goes when EMCP comes.
    let left = running.data("broker/code/left");
    std::fs::create_dir(&left).unwrap();
    broker.connect(running.settings.networks).await.unwrap();
    assert!(!left.exists());
    assert_eq!(names_in(&running, "code"), 1);
}

#[tokio::test]
async fn files_are_checked_and_places_tried_behind_it() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    let code = BundleSource::of_dir(running.folder(running.wish().code));
    let shot = |command, env: &[&str], bundle, endpoint| OneShot {
        image: "whatever",
        command,
        env: env.iter().map(|pair| (*pair).to_owned()).collect(),
        bundle,
        endpoint,
        patience: Duration::from_secs(9),
    };
    let env = ["EMCP_ENTRY_OBJECT=mcp", "EMCP_RUNTIME=auto"];
    let check = shot(CHECK, &env, Some(&code), None);
    assert!(broker.run_once(&check).await.unwrap().contains("mcp2"));
    assert_eq!(names_in(&running, "code"), 0);
    let reach = shot(
        REACH,
        &[],
        None,
        Some(Endpoint::at([198, 18, 0, 20].into())),
    );
    broker.run_once(&reach).await.unwrap();
    assert_eq!(engine.count(Op::RunOnce), 2);
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = BundleSource::of_dir(elsewhere.path().to_owned());
    for other in [
        shot(&["sh"], &[], None, None),
        shot(CHECK, &[], Some(&code), None),
        shot(CHECK, &env, None, None),
        shot(CHECK, &env, Some(&elsewhere), None),
    ] {
        let refused = broker.run_once(&other).await.unwrap_err();
        assert!(matches!(refused, RuntimeError::Refused(_)), "{refused}");
    }
    assert_eq!(engine.count(Op::RunOnce), 2);
}

#[tokio::test]
async fn a_broker_answers_while_its_engine_does_not() {
    let (running, engine) = Running::with_engine().await;
    let broker = running.client();
    broker.ping().await.unwrap();
    engine.goes_away();
    let refused = broker.ping().await.unwrap_err();
    assert!(matches!(refused, RuntimeError::Unreachable(_)), "{refused}");
    broker.greet_broker().await.unwrap().unwrap();
    running.cancel.cancel();
    let away = async {
        while broker.greet_broker().await.unwrap().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), away)
        .await
        .unwrap();
}
