//! Backups of the whole service, and a second one that begins with them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::app::TestApp;
use crate::blocking::run_blocking;
use crate::maintenance::{check_directory, restore, rotate_key};
use crate::model::ServerId;
use crate::settings::{Settings, SettingsInput};

const SECRET: &str = "hunter2-hunter2";
const DISK_BYTES: u64 = 64 << 20;

/// Servers of several kinds, and who may use them.
struct Platform {
    app: TestApp,
    runs: ServerId,
    stores: ServerId,
    rests: ServerId,
    connect: String,
    ada: String,
}

impl Platform {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let ada = app.token("ada", "developer").await;
        let env = json!([
            {"key": "TOKEN", "value": SECRET, "is_secret": true},
            {"key": "PLAIN", "value": "told", "is_secret": false},
        ]);
        let runs = app
            .create_with(json!({
                "name": "runs", "code": "x = 1\n", "env": env, "args": ["--x"],
                "description": "It runs.",
            }))
            .await;
        app.until_status(runs, "running").await;
        app.patch(runs, json!({"members": ["ada"]}))
            .await
            .expect(200);
        let path = format!("/api/servers/{runs}/code");
        let second = json!({"code": "x = 2\n"});
        app.call("PUT", &path, Some(second)).await.expect(200);
        app.until_status(runs, "running").await;
        let stores = app
            .create_with(json!({
                "name": "stores", "code": "x = 1\n", "storage": {"size_bytes": DISK_BYTES},
                "egress": "none",
            }))
            .await;
        app.until_status(stores, "running").await;
        let rests = app
            .create_with(json!({"name": "rests", "code": "y = 1\n", "start": false}))
            .await;
        let gone = app.run("gone", "z = 1\n").await;
        let path = format!("/api/servers/{gone}");
        app.call("DELETE", &path, None).await.expect(204);
        let connect = json!({"name": "client", "role": "connect", "servers": [runs]});
        let connect = app.call("POST", "/api/tokens", Some(connect)).await;
        let connect = connect.expect(201).json["token"]
            .as_str()
            .unwrap()
            .to_owned();
        // As the engine makes it.
        let folder = app.data(&format!("{stores}/storage"));
        fs::create_dir_all(&folder).unwrap();
        let disk = fs::File::create(folder.join("disk")).unwrap();
        disk.set_len(DISK_BYTES).unwrap();
        disk.write_all_at(b"superblock", 1024).unwrap();
        Self {
            app,
            runs,
            stores,
            rests,
            connect,
            ada,
        }
    }

    /// Writes a backup to a file.
    async fn back_up(&self, dir: &Path, keys: bool) -> PathBuf {
        let path = format!("/api/backup?keys={keys}");
        let made = self.app.call("GET", &path, None).await.expect(200);
        let file = dir.join(format!("backup-{keys}.tar"));
        fs::write(&file, &made.body).unwrap();
        file
    }

    /// What of all servers is the same wherever they run.
    async fn lasting(app: &TestApp) -> Vec<Value> {
        let listed = app.call("GET", "/api/servers", None).await.expect(200).json;
        let mut all = Vec::new();
        for server in listed["servers"].as_array().unwrap() {
            let path = format!("/api/servers/{}", server["id"].as_str().unwrap());
            let mut kept = Vec::new();
            for field in [
                "id",
                "name",
                "desired",
                "version",
                "description",
                "limits",
                "args",
                "members",
                "egress",
                "storage",
                "creator",
                "created_at",
                "etags",
            ] {
                kept.push(server[field].clone());
            }
            for part in ["env", "versions", "code"] {
                let part = app.call("GET", &format!("{path}/{part}"), None).await;
                kept.push(part.expect(200).text.into());
            }
            all.push(Value::Array(kept));
        }
        all
    }
}

fn settings_of(data_dir: &Path) -> Settings {
    let input = SettingsInput {
        data_dir: Some(data_dir.to_owned()),
        ..SettingsInput::default()
    };
    input.check().unwrap()
}

async fn until_it_has_a_container(app: &TestApp, id: ServerId) {
    let has_one = || !app.engine.containers_of(id).is_empty();
    app.until("it has a container", has_one).await;
}

/// What an EMCP had begun to write, its threads write to the end.
async fn rotate_once_it_is_free(settings: &Settings) -> usize {
    const TRIES: usize = 1_000;
    for _ in 0..TRIES {
        match rotate_key(settings).await {
            Err(error) if format!("{error:#}").contains("in use") => {
                // By the clock of the wall.
                run_blocking(|| std::thread::sleep(Duration::from_millis(10)))
                    .await
                    .unwrap();
            }
            rotated => return rotated.unwrap(),
        }
    }
    panic!("the EMCP before never let its data go");
}

#[tokio::test(start_paused = true)]
async fn a_platform_restored_elsewhere_is_the_same() {
    let here = Platform::new().await;
    let there = tempfile::tempdir().unwrap();
    let file = here.back_up(there.path(), true).await;
    let data = there.path().join("data");
    let settings = settings_of(&data);
    assert_eq!(restore(&settings, &file).await.unwrap(), 3);
    assert_eq!(check_directory(&settings).await.unwrap(), []);

    let app = TestApp::elsewhere(there).await;
    assert_eq!(app.admin, here.app.admin);
    for (id, status) in [
        (here.runs, "running"),
        (here.stores, "running"),
        (here.rests, "stopped"),
    ] {
        app.until_status(id, status).await;
    }
    app.until_code_is_settled().await;
    assert_eq!(
        Platform::lasting(&app).await,
        Platform::lasting(&here.app).await
    );
    // What was observed was restored too, and is what it was before it is looked
    // at anew.
    for id in [here.runs, here.stores] {
        until_it_has_a_container(&app, id).await;
        app.until_status(id, "running").await;
    }
    assert_eq!(app.engine.variable(here.runs, "TOKEN"), SECRET);
    assert_eq!(app.engine.given(here.stores).disk_bytes, Some(DISK_BYTES));
    let disk = format!("{}/storage/disk", here.stores);
    let mut begin = [0; 10];
    let restored = fs::File::open(app.data(&disk)).unwrap();
    restored.read_exact_at(&mut begin, 1024).unwrap();
    assert_eq!(&begin, b"superblock");
    // Whoever had something has it.
    assert_eq!(app.knock(&here.connect, here.runs).await, 200);
    assert_eq!(app.knock(&here.connect, here.stores).await, 403);
    let own = app.call_as(&here.ada, "GET", "/api/servers/runs/env", None);
    own.await.expect(200);
    let deleted = app.call("GET", "/api/servers/gone", None).await;
    deleted.refused(404, "server_not_found");
}

#[tokio::test(start_paused = true)]
async fn a_backup_without_keys_opens_with_the_master_key_alone() {
    let here = Platform::new().await;
    let there = tempfile::tempdir().unwrap();
    let file = here.back_up(there.path(), false).await;
    let data = there.path().join("data");
    let settings = settings_of(&data);
    let refused = restore(&settings, &file).await.unwrap_err();
    assert!(format!("{refused:#}").contains("master.key"), "{refused:#}");
    assert!(!data.exists());
    fs::create_dir(&data).unwrap();
    fs::copy(here.app.data("master.key"), data.join("master.key")).unwrap();
    assert_eq!(restore(&settings, &file).await.unwrap(), 3);

    let app = TestApp::elsewhere(there).await;
    assert_ne!(app.admin, here.app.admin);
    until_it_has_a_container(&app, here.runs).await;
    app.until_status(here.runs, "running").await;
    assert_eq!(app.engine.variable(here.runs, "TOKEN"), SECRET);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_archive_is_refused_and_nothing_is_written() {
    let here = Platform::new().await;
    let there = tempfile::tempdir().unwrap();
    let file = here.back_up(there.path(), true).await;
    let whole = fs::read(&file).unwrap();
    let with = |at: usize, byte: u8| {
        let mut altered = whole.clone();
        altered[at] = byte;
        altered
    };
    let code = whole.windows(6).position(|at| at == b"x = 1\n").unwrap();
    let bundle = whole.windows(8).position(|at| at == b"bundles/").unwrap();
    let damaged = [
        (Vec::new(), "not a backup"),
        (b"\x7fELF".repeat(4096), "damaged"),
        (whole[..whole.len() / 2].to_vec(), "damaged"),
        (whole[..whole.len() - 3 * 512].to_vec(), "damaged"),
        (with(code, b'y'), "damaged"),
        (with(bundle, b'B'), "damaged"),
    ];
    let data = there.path().join("data");
    for (content, why) in damaged {
        fs::write(&file, content).unwrap();
        let refused = restore(&settings_of(&data), &file).await.unwrap_err();
        assert!(format!("{refused:#}").contains(why), "{why}: {refused:#}");
        assert!(!data.exists(), "{refused:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_master_key_opens_everything_for_the_next_start() {
    let Platform { app, runs, .. } = Platform::new().await;
    let old = fs::read(app.data("master.key")).unwrap();
    app.act(runs, "stop").await.expect(202);
    app.until_status(runs, "stopped").await;
    let app = app
        .restart_with(async |input| {
            let settings = input.clone().check().unwrap();
            // A secret, and three gateway keys.
            assert_eq!(rotate_once_it_is_free(&settings).await, 4);
            assert_eq!(check_directory(&settings).await.unwrap(), []);
        })
        .await;
    assert_ne!(fs::read(app.data("master.key")).unwrap(), old);
    app.act(runs, "start").await.expect(202);
    app.until_status(runs, "running").await;
    assert_eq!(app.engine.variable(runs, "TOKEN"), SECRET);
}
