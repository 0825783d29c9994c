//! A data directory that the version before instances made: all of it is read,
//! and what ran by it runs on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::app::TestApp;
use crate::runtime::Phase;
use crate::runtime::fake::Op;

const FIXTURE: &str = "tests/data/fixtures/before-instances.tar.gz";

/// The directory, and what its EMCP told of itself at its end.
pub(crate) fn unpack_fixture(dir: &Path) -> Value {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let unpacked = Command::new("tar")
        .arg("--extract")
        .arg("--no-same-owner")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(dir)
        .status();
    assert!(unpacked.unwrap().success());
    serde_json::from_slice(&fs::read(dir.join("expected.json")).unwrap()).unwrap()
}

/// An EMCP of now on that directory, and what the one before told.
async fn taken_over() -> (TestApp, Value) {
    let dir = tempfile::tempdir().unwrap();
    let before = unpack_fixture(dir.path());
    let subnet = |key: &str| before[key].as_str().map(str::to_owned);
    let app = TestApp::taking_over(dir, |input| {
        input.subnet = subnet("subnet");
        input.internal_subnet = subnet("internal_subnet");
    })
    .await;
    (app, before)
}

#[tokio::test(start_paused = true)]
async fn a_directory_of_before_is_read_whole_and_its_containers_go_on() {
    let (app, before) = taken_over().await;
    let made = app.engine.containers();
    let servers = before["servers"].as_object().unwrap();
    for (name, told) in servers {
        let id = told["id"].as_str().unwrap().parse().unwrap();
        let status = told["status"].as_str().unwrap();
        let shown = app.until_status(id, status).await;
        for (field, value) in told.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field} of {name}");
        }
    }
    // As long as it takes to look at everything, and to look again.
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(app.engine.containers(), made);
    let touched = [Op::Create, Op::Start, Op::Stop, Op::Pause, Op::Remove];
    let calls = app.engine.calls();
    assert!(
        !calls.iter().any(|call| touched.contains(call)),
        "{calls:?}"
    );

    // Code is in bundles now, and where it was only what containers have mounted.
    app.until_code_is_settled().await;
    let versions_of = |name: &str| {
        let id = servers[name]["id"].as_str().unwrap();
        let folder = app.data(id).join("versions");
        let entries = fs::read_dir(folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    let mounted =
        |number: u32| BTreeSet::from([number.to_string(), format!("{number}.unrecorded")]);
    // For a day all is there that going back takes.
    let kept = app.data("emcp.redb.before-upgrade");
    let all = &mounted(1) | &mounted(2);
    assert_eq!(versions_of("runs"), all);
    let file = File::options().write(true).open(&kept).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(25 * 60 * 60))
        .unwrap();
    app.collect_code();
    app.until("what nobody will go back to any more to go", || {
        versions_of("runs") != all
    })
    .await;
    assert!(!kept.exists());
    assert_eq!(versions_of("runs"), mounted(2));
    assert_eq!(versions_of("sleeps"), mounted(1));

    let env = app
        .call("GET", "/api/servers/runs/env", None)
        .await
        .expect(200);
    let keys: Vec<_> = env.json["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|var| &var["key"])
        .collect();
    assert_eq!(keys, ["PLAIN", "SECRET"]);
    let versions = app.call("GET", "/api/servers/runs/versions", None).await;
    assert_eq!(
        versions.expect(200).json["versions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let code = app
        .call("GET", "/api/servers/runs/code", None)
        .await
        .expect(200);
    assert!(code.text.ends_with("# second\n"));

    // Whoever had something has it.
    let tokens = &before["tokens"];
    let as_person = |who: &str| tokens[who].as_str().unwrap().to_owned();
    for (who, permission) in [("ada", true), ("bob", true), ("eve", false)] {
        let own = app
            .call_as(&as_person(who), "GET", "/api/servers/runs", None)
            .await;
        let own = own.expect(200).json;
        let may = own["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p == "update");
        assert_eq!(may, permission, "{who}: {own}");
    }
    let runs = servers["runs"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.knock(&as_person("connect"), runs).await, 200);
    let other = servers["fails"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.knock(&as_person("connect"), other).await, 403);

    // And what sleeps wakes where it is.
    let sleeps = servers["sleeps"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.knock(&app.admin, sleeps).await, 200);
    app.until_status(sleeps, "running").await;
    let phases = app
        .engine
        .containers_of(sleeps)
        .into_iter()
        .map(|one| one.phase);
    assert_eq!(phases.collect::<Vec<_>>(), [Phase::Running]);

    // With the next container what the last one had mounted goes.
    app.act(runs, "restart").await.expect(202);
    app.until_status(runs, "running").await;
    app.collect_code();
    app.until("its code of before to go", || {
        versions_of("runs").is_empty()
    })
    .await;
    assert_eq!(versions_of("sleeps"), mounted(1));
}

/// What an EMCP of before left is what it finds if it is gone back to: here the
/// same upgrade, made anew from what was kept.
#[tokio::test(start_paused = true)]
async fn the_database_of_before_is_kept_as_it_was() {
    let (app, before) = taken_over().await;
    let (database, kept) = (app.data("emcp.redb"), app.data("emcp.redb.before-upgrade"));
    let mode = fs::metadata(&kept).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    app.create_with(json!({"name": "later", "code": "x = 1\n", "start": false}))
        .await;
    let app = app
        .restart_with(async |_| fs::rename(&kept, &database).unwrap())
        .await;
    let listed = app.call("GET", "/api/servers", None).await.expect(200).json;
    let names = listed["servers"].as_array().unwrap().iter();
    let names: BTreeSet<_> = names
        .map(|server| server["name"].as_str().unwrap())
        .collect();
    let of_before = before["servers"].as_object().unwrap().keys();
    assert_eq!(names, of_before.map(String::as_str).collect());
    // What this EMCP wrote it does not keep twice.
    let app = app
        .restart_with(async |_| fs::remove_file(&kept).unwrap())
        .await;
    assert!(!kept.exists());
    app.call("GET", "/api/servers", None).await.expect(200);
}
