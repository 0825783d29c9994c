//! What an operator does to a data directory, on real databases and files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use emcp::identity::{Identity, Layout};
use emcp::maintenance::{
    check, check_directory, finish_rotation, restore, rotate_key, write_backup,
};
use emcp::model::{
    Actor, AddressPool, AuditEntry, AuditFilter, AuditResult, CodeVersion, Deed, Event, Happening,
    Reason, Role, RunState, Server, ServerId, ServerNetworks, Token, TokenId,
};
use emcp::settings::{Settings, SettingsInput};
use emcp::store::{
    AuditWrite, NewServer, OpenError, ServerChange, Store, StoredEnvVar, StoredValue,
};
use emcp::vault::{Place, Vault};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

const SECRET: &str = "hunter2-hunter2";
const CODE: &[u8] = b"print('hello')\n";

fn settings(data_dir: &Path) -> Settings {
    SettingsInput {
        data_dir: Some(data_dir.to_owned()),
        ..SettingsInput::default()
    }
    .check()
    .unwrap()
}

/// A platform with one server that has a secret and a code file.
async fn platform(data_dir: &Path) -> (Settings, ServerId) {
    let settings = settings(data_dir);
    let identity = Identity::load_or_create(&settings).unwrap();
    let vault = Vault::new(&identity.master_key);
    let layout = Layout::new(data_dir);
    let store = Store::open(&layout.database(), &vault).unwrap();
    let id = ServerId::new();
    let now = Timestamp::now();
    let actor = Actor("admin".into());
    let new = NewServer {
        server: Server {
            members: vec![Actor("ada".into())],
            ..Server::new(id, "demo".parse().unwrap(), actor.clone(), now)
        },
        version: CodeVersion {
            number: 1,
            sha256: hex::encode(Sha256::digest(CODE)),
            size_bytes: CODE.len() as u64,
            uploaded_by: actor,
            uploaded_at: now,
            last_in_use_at: None,
        },
        env: vec![StoredEnvVar {
            key: "TOKEN".parse().unwrap(),
            value: StoredValue::Sealed(vault.seal(Place::Env(id, "TOKEN"), SECRET).unwrap()),
        }],
        gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
        state: RunState::never_ran(now),
        event: Event::of_deed(now, Deed::Created, &Actor("admin".into())),
    };
    let pool = AddressPool::parse("198.18.0.0/24").unwrap();
    store.insert_server(new, pool, None).await.unwrap();
    fs::create_dir_all(layout.code_dir(id, 1)).unwrap();
    fs::write(layout.code_file(id, 1), CODE).unwrap();
    (settings, id)
}

fn open(settings: &Settings) -> (Store, Vault) {
    let identity = Identity::load_or_create(settings).unwrap();
    finish_rotation(settings, Vault::new(&identity.master_key)).unwrap()
}

async fn secret_of(store: &Store, vault: &Vault, id: ServerId) -> String {
    let vars = store.env_of(id).await.unwrap();
    let StoredValue::Sealed(sealed) = &vars[0].value else {
        panic!("the secret is not sealed");
    };
    let opened = vault.open(Place::Env(id, "TOKEN"), sealed).unwrap();
    opened.expose_secret().to_owned()
}

async fn findings(settings: &Settings) -> Vec<String> {
    let (store, vault) = open(settings);
    let layout = Layout::new(&settings.data_dir);
    let found = check(&store, &vault, &layout).await.unwrap();
    found.into_iter().map(|finding| finding.0).collect()
}

/// A dump's line as EMCP wrote it when reasons and events were sentences, and
/// records had no checksums.
fn without_codes(line: &str) -> String {
    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
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
    let old: Vec<String> = lines.lines().map(without_codes).collect();
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
    let state = store.load_servers().await.unwrap().remove(0).state;
    let words = "the server ended with exit code 1; next try in 2 s";
    assert_eq!(state.reason, Reason::Older { text: words.into() });
    let created = Happening::Deed(Deed::Created);
    assert_eq!(store.events_of(id, 9).await.unwrap()[0].what, created);
    assert_eq!(store.recent_events(9).await.unwrap()[0].1.what, created);

    let serving = RunState {
        reason: Reason::Serving,
        ..state
    };
    store.save_state(id, serving, None).await.unwrap();
    let state = store.load_servers().await.unwrap().remove(0).state;
    assert_eq!(state.reason, Reason::Serving);
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
    let layout = Layout::new(dir.path());
    fs::write(layout.code_file(id, 1), "altered").unwrap();
    fs::create_dir(dir.path().join(ServerId::new().to_string())).unwrap();
    let found = findings(&settings).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("version 1 was altered"));
    assert!(found[1].contains("belongs to no server"));
}

#[tokio::test]
async fn a_backup_with_keys_is_the_same_platform_elsewhere() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;

    let settings_there = settings(&there.path().join("data"));
    assert_eq!(restore(&settings_there, &file).await.unwrap(), 1);
    let (store, vault) = open(&settings_there);
    assert_eq!(secret_of(&store, &vault, id).await, SECRET);
    let servers = store.load_servers().await.unwrap();
    assert_eq!(servers[0].server.name.as_str(), "demo");
    assert_eq!(store.events_of(id, 10).await.unwrap().len(), 1);
    drop(store);
    assert_eq!(findings(&settings_there).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_without_keys_needs_the_right_master_key() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, false).await;

    let settings_there = settings(there.path());
    let error = restore(&settings_there, &file).await.unwrap_err();
    assert!(format!("{error:#}").contains("master"), "{error:#}");
    let layout = Layout::new(there.path());
    assert!(
        !layout.database().exists(),
        "a half-restored database is left"
    );

    fs::copy(Layout::new(here.path()).master_key(), layout.master_key()).unwrap();
    assert_eq!(restore(&settings_there, &file).await.unwrap(), 1);
}

#[tokio::test]
async fn a_backup_that_was_cut_or_altered_is_refused_and_leaves_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    let whole = fs::read(&file).unwrap();
    // Tar itself takes a file that ends between two entries for a whole one.
    let cuts = (0..whole.len()).step_by(512).map(|at| whole[..at].to_vec());
    // The last 1,024 bytes, zeros, only say that the end is reached.
    let content = 0..whole.len() - 1024;
    let flips = content.step_by(97).filter(|at| whole[*at] != 0).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        flipped
    });
    for (number, damaged) in cuts.chain(flips).enumerate() {
        // Without its last block of zeros nothing is missing.
        if whole.starts_with(&damaged) && damaged.len() >= whole.len() - 1024 {
            continue;
        }
        let data = there.path().join(number.to_string());
        fs::write(&file, &damaged).unwrap();
        match restore(&settings(&data), &file).await {
            Err(error) => {
                let text = format!("{error:#}");
                assert!(
                    text.contains("damaged") || text.contains("not a backup"),
                    "{text}"
                );
                assert!(!data.exists(), "{text}, and yet something was written");
            }
            // A bit of an entry's time or owner changes nothing that is used.
            Ok(count) => {
                assert_eq!(damaged.len(), whole.len());
                assert_eq!(count, 1);
                assert_eq!(findings(&settings(&data)).await, Vec::<String>::new());
            }
        }
    }
}

#[tokio::test]
async fn a_backup_restored_into_another_network_gets_addresses_of_that_one() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    let mut elsewhere = settings(there.path());
    let pool = AddressPool::parse("10.99.0.0/24").unwrap();
    elsewhere.networks = ServerNetworks::new(pool, pool.twin().unwrap()).unwrap();
    restore(&elsewhere, &file).await.unwrap();
    let (store, _) = open(&elsewhere);
    let servers = store.load_servers().await.unwrap();
    assert_eq!(servers[0].server.address.to_string(), "10.99.0.16");
    drop(store);
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());
}

#[tokio::test]
async fn code_uploaded_after_the_database_was_read_is_not_in_the_backup() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let layout = Layout::new(here.path());
    fs::create_dir_all(layout.code_dir(id, 2)).unwrap();
    fs::write(layout.code_file(id, 2), "later").unwrap();
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    restore(&settings(there.path()), &file).await.unwrap();
    assert_eq!(
        findings(&settings(there.path())).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_platform_in_use_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let file = dir.path().join("backup.tar");
    back_up(&settings, &file, false).await;
    let error = restore(&settings, &file).await.unwrap_err();
    assert!(error.to_string().contains("empty data directory"));
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

/// Every path below a directory with its content, links and locks aside.
fn snapshot(root: &Path) -> Vec<(String, Vec<u8>)> {
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

#[tokio::test]
async fn a_restore_that_fails_leaves_the_directory_as_it_was_and_the_right_one_works() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let (bare, full) = (here.path().join("bare.tar"), here.path().join("full.tar"));
    back_up(&settings_here, &bare, false).await;
    back_up(&settings_here, &full, true).await;
    let root = there.path().join("data");
    let elsewhere = settings(&root);
    let layout = Layout::new(&root);

    // Without a key, into a directory that is not there.
    restore(&elsewhere, &bare).await.unwrap_err();
    assert!(!root.exists());
    // With another platform's key.
    fs::create_dir_all(&root).unwrap();
    fs::write(layout.master_key(), "cd".repeat(32)).unwrap();
    let before = snapshot(&root);
    for file in [&bare, &full] {
        let error = format!("{:#}", restore(&elsewhere, file).await.unwrap_err());
        assert!(error.contains("master"), "{error}");
        assert_eq!(snapshot(&root), before, "{error}");
    }
    // With other code where the backup's belongs.
    fs::remove_file(layout.master_key()).unwrap();
    fs::create_dir_all(layout.code_dir(id, 1)).unwrap();
    fs::write(layout.code_file(id, 1), "other").unwrap();
    let before = snapshot(&root);
    let error = restore(&elsewhere, &full).await.unwrap_err().to_string();
    assert!(error.contains("is not replaced"), "{error}");
    assert_eq!(snapshot(&root), before);

    fs::remove_dir_all(layout.server_dir(id)).unwrap();
    assert_eq!(restore(&elsewhere, &full).await.unwrap(), 1);
    assert!(!layout.restore_dir().exists());
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_restore_that_was_killed_is_made_again_and_nothing_else_begins_meanwhile() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let file = here.path().join("full.tar");
    back_up(&settings_here, &file, true).await;
    let elsewhere = settings(there.path());
    let layout = Layout::new(there.path());
    // As far as the last step but one: what it moves last is the database.
    let done = Layout::new(here.path());
    fs::create_dir_all(layout.restore_dir()).unwrap();
    fs::copy(
        done.database(),
        Layout::new(&layout.restore_dir()).database(),
    )
    .unwrap();
    fs::create_dir_all(layout.code_dir(id, 1)).unwrap();
    fs::copy(done.code_file(id, 1), layout.code_file(id, 1)).unwrap();
    fs::copy(done.master_key(), layout.master_key()).unwrap();

    let refused = Identity::load_or_create(&elsewhere)
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("restore"), "{refused}");
    assert_eq!(restore(&elsewhere, &file).await.unwrap(), 1);
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_whose_secrets_do_not_open_is_refused_before_anything_is_written() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let (store, vault) = open(&settings_here);
    // Sealed for another place: the canary opens, and this does not.
    let moved = vault.seal(Place::Env(id, "OTHER"), SECRET).unwrap();
    let env = vec![StoredEnvVar {
        key: "TOKEN".parse().unwrap(),
        value: StoredValue::Sealed(moved),
    }];
    let change = ServerChange {
        version: None,
        env: Some(env),
        event: Event::of_deed(Timestamp::now(), Deed::SettingsChanged, &Actor("a".into())),
    };
    store.update_server(id, None, |_| Ok(change)).await.unwrap();
    drop(store);
    let file = here.path().join("full.tar");
    back_up(&settings_here, &file, true).await;
    let root = there.path().join("data");
    let error = restore(&settings(&root), &file)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("TOKEN does not open"), "{error}");
    assert!(!root.exists());
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

fn audit_entry(actor: &str, action: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::now(),
        actor: Some(actor.into()),
        token_id: None,
        action: action.into(),
        target: Some("demo".into()),
        target_id: None,
        result: AuditResult::Ok,
        code: None,
        from: Some([203, 0, 113, 7].into()),
        made_by: None,
        count: None,
        last_at: None,
    }
}

async fn append(store: &Store, entries: Vec<AuditEntry>, kept: u64) -> Vec<u64> {
    let lines = entries.into_iter().map(|entry| AuditWrite {
        entry,
        repeats: None,
    });
    store.write_audit(lines.collect(), kept).await.unwrap()
}

#[tokio::test]
async fn the_audit_log_keeps_the_newest_and_is_read_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let (store, _) = open(&settings);
    for n in 0..30 {
        let actor = if n % 2 == 0 { "ada" } else { "bob" };
        let entry = audit_entry(actor, "server.start");
        append(&store, vec![entry; 2], 40).await;
    }
    let page = |filter, limit| store.audit_page(filter, limit);
    let (all, has_more) = page(AuditFilter::default(), 100).await.unwrap();
    let ids: Vec<u64> = all.iter().map(|line| line.id).collect();
    assert_eq!(ids, (21..=60).rev().collect::<Vec<_>>());
    assert!(!has_more);
    let of_ada = |before| AuditFilter {
        before,
        actor: Some("ada".into()),
        action: None,
    };
    let (newest, has_more) = page(of_ada(None), 3).await.unwrap();
    let ids: Vec<u64> = newest.iter().map(|line| line.id).collect();
    assert_eq!((ids.as_slice(), has_more), (&[58, 57, 54][..], true));
    let (older, has_more) = page(of_ada(Some(24)), 3).await.unwrap();
    assert_eq!((older.len(), has_more), (2, false));
}

#[tokio::test]
async fn a_backup_has_the_audit_log_and_the_members() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let (store, _) = open(&settings_here);
    let line = audit_entry("ada", "server.create");
    append(&store, vec![line.clone()], 1_000).await;
    drop(store);
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;

    let settings_there = settings(&there.path().join("data"));
    restore(&settings_there, &file).await.unwrap();
    let (store, _) = open(&settings_there);
    let (lines, _) = store.audit_page(AuditFilter::default(), 10).await.unwrap();
    assert_eq!((lines[0].id, &lines[0].entry), (1, &line));
    let server = &store.load_servers().await.unwrap()[0].server;
    assert_eq!(
        (server.id, &server.members),
        (id, &vec![Actor("ada".into())])
    );
    // The next line follows the restored ones.
    append(&store, vec![line], 1_000).await;
    let (lines, _) = store.audit_page(AuditFilter::default(), 10).await.unwrap();
    assert_eq!(lines[0].id, 2);
}

#[tokio::test]
async fn two_live_tokens_never_have_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let (store, _) = open(&settings);
    let now = Timestamp::now();
    let token = |name: &str, ends_in_secs: i64| Token {
        id: TokenId(ServerId::new().to_string().parse().unwrap()),
        name: name.into(),
        role: Role::Developer,
        servers: None,
        hash: "00".repeat(32),
        created_at: now,
        created_by: "admin".into(),
        bound_to_maker: false,
        expires_at: Some(now + jiff::SignedDuration::from_secs(ends_in_secs)),
        last_used_at: None,
        quota: Default::default(),
    };
    store.insert_token(token("ada", -1), None).await.unwrap();
    let live = token("Ada", 60);
    store.insert_token(live.clone(), None).await.unwrap();
    let error = store
        .insert_token(token("ADA", 60), None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "token_name_taken");
    let told = [("name", "ADA".to_owned()), ("free", "ADA 2".to_owned())];
    assert_eq!(error.parts().1, told);

    store.save_token_uses(vec![(live.id, now)]).await.unwrap();
    store.delete_token(live.id).await.unwrap();
    // A use that is written after the revocation does not bring it back.
    store.save_token_uses(vec![(live.id, now)]).await.unwrap();
    assert_eq!(store.load_tokens().await.unwrap().len(), 1);
    store.insert_token(token("ada", 60), None).await.unwrap();
}

async fn back_up(settings: &Settings, file: &Path, with_keys: bool) {
    let (store, _) = open(settings);
    let dump = store.dump().await.unwrap();
    let layout = Layout::new(&settings.data_dir);
    write_backup(fs::File::create(file).unwrap(), &layout, &dump, with_keys).unwrap();
}
