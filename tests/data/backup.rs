//! Backups: what is in one, where it goes, and what is refused.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use emcp::bundles::Bundles;
use emcp::identity::{Identity, Layout};
use emcp::maintenance::{restore, write_backup};
use emcp::model::{AddressPool, Bundle, Deed, Event, Principal, ServerId, ServerNetworks, Storage};
use emcp::settings::Settings;
use emcp::store::{ServerChange, StoredEnvVar, StoredValue};
use emcp::vault::Place;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::maintenance::{
    SECRET, code_file, findings, open, platform, release, secret_of, settings, snapshot,
};

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
    let place = servers[0].instances.shown().place;
    assert_eq!(place.address, [10, 99, 0, 16].into());
    drop(store);
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());
}

#[tokio::test]
async fn code_uploaded_after_the_database_was_read_is_not_in_the_backup() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
    let later = Bundle::of_one_file(b"later".to_vec());
    let bundles = Arc::new(Bundles::new(here.path()));
    bundles.lease(later.digest()).write(&later).unwrap();
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    restore(&settings(there.path()), &file).await.unwrap();
    assert_eq!(
        findings(&settings(there.path())).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_bundle_is_in_a_backup_once_and_one_that_is_lost_is_left_out() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let (store, _) = open(&settings_here);
    // The same file again, and another one.
    let original = store.release(id, 1).await.unwrap().unwrap();
    for (number, code) in [(2, &b"print('hello')\n"[..]), (3, b"lost")] {
        let mut new = release(
            here.path(),
            code,
            Principal::by_name("ada"),
            Timestamp::now(),
        );
        new.release.number = number;
        let change = store.update_server(id, None, move |server| {
            (server.version, server.newest_version) = (number, number);
            let uploaded = Deed::CodeUploaded { version: number };
            Ok(ServerChange {
                release: Some(new),
                ..ServerChange::of_record(Event::of_deed(
                    Timestamp::now(),
                    uploaded,
                    &Principal::by_name("ada"),
                ))
            })
        });
        change.await.unwrap();
    }
    let lost = store.release(id, 3).await.unwrap().unwrap();
    drop(store);
    let bundles = Bundles::new(here.path());
    fs::remove_dir_all(bundles.folder(lost.bundle)).unwrap();
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    let bytes = fs::read(&file).unwrap();
    let name = format!("bundles/{}/server.py", original.bundle.hex());
    let times = bytes
        .windows(name.len())
        .filter(|at| *at == name.as_bytes());
    assert_eq!(times.count(), 1);

    restore(&settings(there.path()), &file).await.unwrap();
    let found = findings(&settings(there.path())).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the code of version 3 is missing"));
    let restored = Bundles::new(there.path());
    assert_eq!(restored.read(&original).unwrap(), b"print('hello')\n");
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
async fn a_restore_that_fails_leaves_the_directory_as_it_was_and_the_right_one_works() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
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
    let other = code_file(&root);
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "other").unwrap();
    let before = snapshot(&root);
    let error = restore(&elsewhere, &full).await.unwrap_err().to_string();
    assert!(error.contains("is not replaced"), "{error}");
    assert_eq!(snapshot(&root), before);

    fs::remove_dir_all(root.join("bundles")).unwrap();
    assert_eq!(restore(&elsewhere, &full).await.unwrap(), 1);
    assert!(!layout.restore_dir().exists());
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_server_has_stored_comes_back_and_is_never_replaced() {
    const SIZE: u64 = 20 * 1024 * 1024 + 4096;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let (store, _) = open(&settings_here);
    let stored = store.update_server(id, None, |server| {
        server.settings.storage = Some(Storage { size_bytes: SIZE });
        let actor = Principal::by_name("admin");
        let event = Event::of_deed(Timestamp::now(), Deed::SettingsChanged, &actor);
        Ok(ServerChange::of_record(event))
    });
    stored.await.unwrap();
    drop(store);
    let file = here.path().join("full.tar");
    // A server that has never started has no disk yet.
    back_up(&settings_here, &file, true).await;
    let layout = Layout::new(here.path());
    fs::create_dir_all(layout.storage_dir(id)).unwrap();
    let disk = fs::File::create(layout.disk_image(id)).unwrap();
    disk.set_len(SIZE).unwrap();
    disk.write_all_at(b"superblock", 1024).unwrap();
    disk.write_all_at(b"in the middle", 9_000_000).unwrap();
    disk.write_all_at(b"the end", SIZE - 7).unwrap();
    back_up(&settings_here, &file, true).await;
    // What is empty takes no room in it.
    assert!(fs::metadata(&file).unwrap().len() < SIZE);

    let root = there.path().join("data");
    let elsewhere = settings(&root);
    let restored = Layout::new(&root);
    fs::create_dir_all(restored.storage_dir(id)).unwrap();
    fs::write(restored.disk_image(id), "somebody else's").unwrap();
    let before = snapshot(&root);
    let error = restore(&elsewhere, &file).await.unwrap_err().to_string();
    assert!(error.contains("is not replaced"), "{error}");
    assert_eq!(snapshot(&root), before);
    // The same, as a restore that was killed leaves it, is taken for what it is.
    fs::copy(layout.disk_image(id), restored.disk_image(id)).unwrap();
    assert_eq!(restore(&elsewhere, &file).await.unwrap(), 1);
    assert_eq!(findings(&elsewhere).await, Vec::<String>::new());

    fs::remove_dir_all(&root).unwrap();
    assert_eq!(restore(&elsewhere, &file).await.unwrap(), 1);
    let (was, is) = (layout.disk_image(id), restored.disk_image(id));
    assert_eq!(fs::read(was).unwrap(), fs::read(&is).unwrap());
    assert_eq!(fs::metadata(&is).unwrap().mode() & 0o777, 0o600);
    // Its room is set aside again.
    assert!(fs::metadata(&is).unwrap().blocks() * 512 >= SIZE);
}

#[tokio::test]
async fn a_restore_that_was_killed_is_made_again_and_nothing_else_begins_meanwhile() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, _) = platform(here.path()).await;
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
    let file_there = code_file(there.path());
    fs::create_dir_all(file_there.parent().unwrap()).unwrap();
    fs::copy(code_file(here.path()), file_there).unwrap();
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
        release: None,
        env: Some(env),
        event: Event::of_deed(
            Timestamp::now(),
            Deed::SettingsChanged,
            &Principal::by_name("a"),
        ),
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

/// The same backup as an EMCP before bundles made it.
fn as_before_bundles(archive: &Path, id: ServerId) {
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    let mut read = tar::Archive::new(fs::File::open(archive).unwrap());
    for entry in read.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        entries.push((name, bytes));
    }
    let mut digest = Sha256::new();
    let mut written = tar::Builder::new(fs::File::create(archive).unwrap());
    for (name, mut bytes) in entries {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let name = match name.as_str() {
            "manifest.json" => {
                let manifest = text(&bytes).replace("\"format\": 4", "\"format\": 3");
                assert_ne!(manifest.as_bytes(), bytes);
                bytes = manifest.into_bytes();
                name
            }
            "database.jsonl" => {
                let lines = text(&bytes);
                let lines: Vec<_> = lines.lines().map(without_bundles).collect();
                bytes = lines.join("\n").into_bytes();
                name
            }
            "digest.txt" => {
                bytes = hex::encode(digest.clone().finalize()).into_bytes();
                name
            }
            _ if name.starts_with("bundles/") => format!("{id}/versions/1/server.py"),
            _ => name,
        };
        for part in [name.as_bytes(), &bytes] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        written
            .append_data(&mut header, &name, bytes.as_slice())
            .unwrap();
    }
    written.finish().unwrap();
}

/// A dump's line as it was when a version had nothing but its file.
fn without_bundles(line: &str) -> String {
    let mut old: serde_json::Value = serde_json::from_str(line).unwrap();
    if old["table"] != "versions" {
        return line.to_owned();
    }
    old["value"]["v"] = 1.into();
    old["value"].as_object_mut().unwrap().remove("crc");
    let release = old["value"]["data"].as_object_mut().unwrap();
    for field in ["bundle", "entry_file"] {
        assert!(release.remove(field).is_some(), "{field}");
    }
    old.to_string()
}

#[tokio::test]
async fn a_backup_of_before_bundles_is_restored_into_bundles() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (settings_here, id) = platform(here.path()).await;
    let file = here.path().join("backup.tar");
    back_up(&settings_here, &file, true).await;
    as_before_bundles(&file, id);
    assert_eq!(restore(&settings(there.path()), &file).await.unwrap(), 1);
    assert!(code_file(there.path()).exists());
    assert!(!there.path().join(id.to_string()).exists());
    assert_eq!(
        findings(&settings(there.path())).await,
        Vec::<String>::new()
    );
}

pub(crate) async fn back_up(settings: &Settings, file: &Path, with_keys: bool) {
    let (store, _) = open(settings);
    let dump = store.dump().await.unwrap();
    let layout = Layout::new(&settings.data_dir);
    write_backup(fs::File::create(file).unwrap(), &layout, &dump, with_keys).unwrap();
}
