//! What an operator does to a data directory, on real databases and files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use emcp::bundles::Bundles;
use emcp::identity::{Identity, Layout};
use emcp::maintenance::{check, check_directory, finish_rotation, rotate_key};
use emcp::model::{
    AddressPool, Bundle, Deed, Event, Grant, Happening, Origin, Principal, Reason, Release, Role,
    RunState, Server, ServerId, Token, TokenId,
};
use emcp::settings::{Settings, SettingsInput};
use emcp::store::{NewRelease, NewServer, OpenError, Store, StoredEnvVar, StoredValue};
use emcp::vault::{Place, Vault};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "hunter2-hunter2";
const CODE: &[u8] = b"print('hello')\n";

pub(crate) fn settings(data_dir: &Path) -> Settings {
    SettingsInput {
        data_dir: Some(data_dir.to_owned()),
        ..SettingsInput::default()
    }
    .check()
    .unwrap()
}

/// A platform with one server that has a secret and a code file.
pub(crate) async fn platform(data_dir: &Path) -> (Settings, ServerId) {
    let settings = settings(data_dir);
    let identity = Identity::load_or_create(&settings).unwrap();
    let vault = Vault::new(&identity.master_key);
    let layout = Layout::new(data_dir);
    let store = Store::open(&layout.database(), &vault).unwrap();
    let id = ServerId::new();
    let now = Timestamp::now();
    let actor = Principal::by_name("admin");
    let new = NewServer {
        server: Server {
            members: vec![Principal::by_name("ada")],
            ..Server::new(id, "demo".parse().unwrap(), actor.clone(), now)
        },
        release: release(data_dir, CODE, actor, now),
        env: vec![StoredEnvVar {
            key: "TOKEN".parse().unwrap(),
            value: StoredValue::Sealed(vault.seal(Place::Env(id, "TOKEN"), SECRET).unwrap()),
        }],
        gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
        state: RunState::never_ran(now),
        event: Event::of_deed(now, Deed::Created, &Principal::by_name("admin")),
    };
    let pool = AddressPool::parse("198.18.0.0/24").unwrap();
    store.insert_server(new, pool, None).await.unwrap();
    (settings, id)
}

/// The first release of a server, whose file is on disk.
pub(crate) fn release(data_dir: &Path, code: &[u8], by: Principal, at: Timestamp) -> NewRelease {
    let release = Release::of_file(1, code, by, at);
    let bundle = Arc::new(Bundles::new(data_dir)).lease(release.bundle);
    bundle.write(&Bundle::of_one_file(code.to_vec())).unwrap();
    NewRelease { release, bundle }
}

/// The file of a server's first release.
pub(crate) fn code_file(data_dir: &Path) -> PathBuf {
    let digest = Bundle::of_one_file(CODE.to_vec()).digest();
    Bundles::new(data_dir).folder(digest).join("server.py")
}

/// Puts it where it was before bundles.
pub(crate) fn put_code_as_before(data_dir: &Path, id: ServerId) {
    let folder = data_dir.join(id.to_string()).join("versions/1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("server.py"), CODE).unwrap();
    fs::remove_dir_all(data_dir.join("bundles")).unwrap();
}

pub(crate) fn open(settings: &Settings) -> (Store, Vault) {
    let identity = Identity::load_or_create(settings).unwrap();
    finish_rotation(settings, Vault::new(&identity.master_key)).unwrap()
}

pub(crate) async fn secret_of(store: &Store, vault: &Vault, id: ServerId) -> String {
    let vars = store.env_of(id).await.unwrap();
    let StoredValue::Sealed(sealed) = &vars[0].value else {
        panic!("the secret is not sealed");
    };
    let opened = vault.open(Place::Env(id, "TOKEN"), sealed).unwrap();
    opened.expose_secret().to_owned()
}

pub(crate) async fn findings(settings: &Settings) -> Vec<String> {
    let (store, vault) = open(settings);
    let layout = Layout::new(&settings.data_dir);
    let found = check(&store, &vault, &layout).await.unwrap();
    found.into_iter().map(|finding| finding.0).collect()
}

/// A dump's lines as EMCP wrote them when a server had one address for life, and
/// what was observed was its own.
fn without_instances(lines: &str) -> Vec<Value> {
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    let mut addresses = BTreeMap::new();
    for line in &mut lines {
        if line["table"] == "meta" && line["key"][0] == "format" {
            line["value"] = json!({"v": 1, "data": 1});
        }
        if line["table"] == "meta" && line["key"][0] == "level" {
            line["value"] = json!({"v": 1, "data": 1});
        }
        if line["table"] == "instances" {
            let instance = line["value"]["data"].take();
            let server: ServerId = instance["server"].as_str().unwrap().parse().unwrap();
            let key = server.as_u128().to_string();
            addresses.insert(key.clone(), instance["address"].clone());
            let value = json!({"v": 2, "data": instance["state"]});
            *line = json!({"table": "states", "key": [key], "value": value});
        }
    }
    for line in &mut lines {
        if line["table"] == "servers" {
            let address = addresses[line["key"][0].as_str().unwrap()].clone();
            line["value"].as_object_mut().unwrap().remove("crc");
            line["value"]["data"]["address"] = address;
        }
    }
    lines
}

/// The same, when reasons and events were sentences, and records had no
/// checksums.
fn without_codes(mut line: Value) -> String {
    line["value"].as_object_mut().unwrap().remove("crc");
    let words = match line["table"].as_str().unwrap() {
        "states" => (
            "reason",
            "the server ended with exit code 1; next try in 2 s",
        ),
        "events" => ("message", "it was created"),
        _ => return line.to_string(),
    };
    line["value"]["v"] = 1.into();
    let data = line["value"]["data"].as_object_mut().unwrap();
    data.remove("code");
    data.remove("args");
    data.insert(words.0.into(), words.1.into());
    line.to_string()
}

#[tokio::test]
async fn records_of_an_emcp_without_codes_are_read_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    let (store, vault) = open(&settings);
    let lines = String::from_utf8(store.dump().await.unwrap().lines).unwrap();
    let old = without_instances(&lines);
    let old: Vec<String> = old.into_iter().map(without_codes).collect();
    let elsewhere = tempfile::tempdir().unwrap();
    let database = elsewhere.path().join("emcp.redb");
    let pool = AddressPool::parse("198.18.0.0/24").unwrap();
    let store = Store::open(&database, &vault).unwrap();
    store
        .load_dump(old.join("\n").into_bytes(), pool)
        .await
        .unwrap();
    drop(store);

    let store = Store::open(&database, &vault).unwrap();
    let lines = String::from_utf8(store.dump().await.unwrap().lines).unwrap();
    assert!(lines.lines().all(|line| line.contains("\"crc\":")));
    let instances = store.load_servers().await.unwrap().remove(0).instances;
    let (instance, state) = (instances.shown(), &instances.shown().state);
    let words = "the server ended with exit code 1; next try in 2 s";
    assert_eq!(state.reason, Reason::Older { text: words.into() });
    let created = Happening::Deed(Deed::Created);
    assert_eq!(store.events_of(id, 9).await.unwrap()[0].what, created);
    assert_eq!(store.recent_events(9).await.unwrap()[0].1.what, created);

    let serving = RunState {
        reason: Reason::Serving,
        ..RunState::clone(state)
    };
    let serving = instance.seen(serving);
    store.save_instance(serving, None).await.unwrap();
    let instances = store.load_servers().await.unwrap().remove(0).instances;
    assert_eq!(instances.shown().state.reason, Reason::Serving);
    assert_eq!(store.inconsistencies().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rotated_key_opens_everything_and_the_old_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    let old_key = Identity::load_or_create(&settings).unwrap().master_key;
    // The secret and the gateway key.
    assert_eq!(rotate_key(&settings).await.unwrap(), 2);
    let (store, vault) = open(&settings);
    assert_eq!(secret_of(&store, &vault, id).await, SECRET);
    drop(store);
    let database = Layout::new(dir.path()).database();
    assert!(matches!(
        Store::open(&database, &Vault::new(&old_key)),
        Err(OpenError::WrongMasterKey)
    ));
    assert_eq!(findings(&settings).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_rotation_cut_short_after_its_transaction_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    let key_file = Layout::new(dir.path()).master_key();
    let old = fs::read(&key_file).unwrap();
    rotate_key(&settings).await.unwrap();
    // As if the crash had come before the new key took its place.
    fs::rename(&key_file, dir.path().join("master.key.next")).unwrap();
    fs::write(&key_file, old).unwrap();
    let (store, vault) = open(&settings);
    assert_eq!(secret_of(&store, &vault, id).await, SECRET);
    assert!(!dir.path().join("master.key.next").exists());
}

#[tokio::test]
async fn a_rotation_cut_short_before_its_transaction_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    fs::write(dir.path().join("master.key.next"), "ab".repeat(32)).unwrap();
    let (store, vault) = open(&settings);
    assert_eq!(secret_of(&store, &vault, id).await, SECRET);
    assert!(!dir.path().join("master.key.next").exists());
}

#[tokio::test]
async fn check_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    assert_eq!(findings(&settings).await, Vec::<String>::new());
    let file = code_file(dir.path());
    fs::remove_file(&file).unwrap();
    fs::write(&file, "altered").unwrap();
    let foreign = Bundle::of_one_file(b"of another database".to_vec());
    let bundles = Arc::new(Bundles::new(dir.path()));
    let lease = bundles.lease(foreign.digest());
    lease.write(&foreign).unwrap();
    fs::create_dir(dir.path().join(ServerId::new().to_string())).unwrap();
    let found = findings(&settings).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].contains(&id.to_string()), "{found:?}");
    assert!(found[0].contains("version 1 was altered"), "{found:?}");
    assert!(found[1].contains(&foreign.digest().to_string()));
    assert!(found[1].contains("is of no version"));
    assert!(found[2].contains("belongs to no server"));
    // A note of it: the next start removes it.
    let (store, _) = open(&settings);
    store.note_loose_bundle(foreign.digest()).await.unwrap();
    drop(store);
    assert_eq!(findings(&settings).await.len(), 2);
    fs::remove_dir_all(dir.path().join("bundles")).unwrap();
    let found = findings(&settings).await;
    assert!(found[0].contains("version 1 is missing"), "{found:?}");
}

#[tokio::test]
async fn code_where_it_was_before_bundles_is_looked_for_there() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, id) = platform(dir.path()).await;
    put_code_as_before(dir.path(), id);
    assert_eq!(findings(&settings).await, Vec::<String>::new());
    let versions = dir.path().join(id.to_string()).join("versions");
    fs::write(versions.join("1/server.py"), "altered").unwrap();
    fs::create_dir(versions.join("2")).unwrap();
    let found = findings(&settings).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("the code of version 2 has no record"));
    assert!(found[1].contains("the code of version 1 was altered"));
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let database = Layout::new(dir.path()).database();
    let whole = fs::read(&database).unwrap();
    let key = Identity::load_or_create(&settings).unwrap().master_key;
    for damaged in [
        Vec::new(),
        b"this is no database".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        vec![0xff; whole.len()],
    ] {
        fs::write(&database, &damaged).unwrap();
        let error = Store::open(&database, &Vault::new(&key)).err().unwrap();
        assert!(
            matches!(error, OpenError::Damaged { .. } | OpenError::Failed(_)),
            "{error}"
        );
        assert_eq!(fs::read(&database).unwrap(), damaged);
    }
}

#[tokio::test]
async fn without_a_platform_no_command_makes_one() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = settings(&dir.path().join("nowhere"));
    let empty = settings(dir.path());
    for settings in [&nowhere, &empty] {
        for error in [
            rotate_key(settings).await.unwrap_err(),
            check_directory(settings).await.err().unwrap(),
        ] {
            let text = format!("{error:#}");
            assert!(text.contains("EMCP_DATA_DIR"), "{text}");
        }
    }
    assert_eq!(snapshot(dir.path()), Vec::new());
    // With keys and no database neither.
    Identity::load_or_create(&empty).unwrap();
    let before = snapshot(dir.path());
    rotate_key(&empty).await.unwrap_err();
    check_directory(&empty).await.err().unwrap();
    assert_eq!(snapshot(dir.path()), before);
}

#[tokio::test]
async fn a_check_changes_nothing_and_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let before = snapshot(dir.path());
    assert_eq!(check_directory(&settings).await.unwrap().len(), 0);
    assert_eq!(snapshot(dir.path()), before);

    let (store, _) = open(&settings);
    let in_use = check_directory(&settings).await.err().unwrap().to_string();
    assert!(in_use.contains("in use by another EMCP"), "{in_use}");
    let in_use = rotate_key(&settings).await.unwrap_err().to_string();
    assert!(in_use.contains("in use by another EMCP"), "{in_use}");
    drop(store);

    let key_file = Layout::new(dir.path()).master_key();
    let key = fs::read(&key_file).unwrap();
    fs::write(&key_file, "cd".repeat(32)).unwrap();
    let wrong = check_directory(&settings).await.err().unwrap().to_string();
    assert!(wrong.contains("master key does not fit"), "{wrong}");
    fs::remove_file(&key_file).unwrap();
    let gone = check_directory(&settings).await.err().unwrap().to_string();
    assert!(gone.contains("master.key does not exist"), "{gone}");
    assert!(!key_file.exists(), "a check has made a key");
    // As a rotation that was cut short behind its transaction leaves it.
    fs::write(&key_file, "cd".repeat(32)).unwrap();
    fs::write(dir.path().join("master.key.next"), key).unwrap();
    assert_eq!(check_directory(&settings).await.unwrap().len(), 0);
}

#[tokio::test]
async fn two_live_tokens_never_have_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let (store, _) = open(&settings);
    let now = Timestamp::now();
    let token = |name: &str, ends_in_secs: i64| Token {
        id: TokenId(ServerId::new().to_string().parse().unwrap()),
        principal: Principal::by_name(name),
        grant: Grant::of_role(Role::Developer),
        hash: "00".repeat(32),
        created_at: now,
        created_by: Principal::administrator(),
        expires_at: Some(now + jiff::SignedDuration::from_secs(ends_in_secs)),
        last_used_at: None,
        quota: Default::default(),
    };
    let insert = |token: Token| {
        let origin = Origin::of_name(&token.principal.name);
        store.insert_token(token, origin, None)
    };
    insert(token("ada", -1)).await.unwrap();
    let live = token("Ada", 60);
    insert(live.clone()).await.unwrap();
    let error = insert(token("ADA", 60)).await.unwrap_err();
    assert_eq!(error.code(), "token_name_taken");
    let told = [("name", "ADA".to_owned()), ("free", "ADA 2".to_owned())];
    assert_eq!(error.parts().1, told);

    store.save_token_uses(vec![(live.id, now)]).await.unwrap();
    store.delete_token(live.id).await.unwrap();
    // A use that is written after the revocation does not bring it back.
    store.save_token_uses(vec![(live.id, now)]).await.unwrap();
    assert_eq!(store.load_tokens().await.unwrap().len(), 1);
    insert(token("ada", 60)).await.unwrap();
}

/// Every path below a directory with its content, links and locks aside.
pub(crate) fn snapshot(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut due = vec![root.to_owned()];
    while let Some(dir) = due.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if path.is_dir() {
                found.push((name, Vec::new()));
                due.push(path);
            } else {
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
