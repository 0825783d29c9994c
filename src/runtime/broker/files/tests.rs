use std::os::unix::fs::symlink;

use super::*;
use crate::bundles::Bundles;
use crate::model::Bundle;

/// A data directory with one bundle.
fn data() -> (tempfile::TempDir, ServerId, BundleDigest) {
    let data = tempfile::tempdir().unwrap();
    let mut bundle = Bundle::of_one_file(b"code".to_vec());
    bundle.insert("package/more.py".parse().unwrap(), b"more".to_vec());
    let bundles = Arc::new(Bundles::new(data.path()));
    bundles.lease(bundle.digest()).write(&bundle).unwrap();
    (data, ServerId::new(), bundle.digest())
}

fn folder(data: &tempfile::TempDir, digest: BundleDigest) -> PathBuf {
    Bundles::new(data.path()).folder(digest)
}

fn files(data: &Path) -> Arc<Files> {
    Arc::new(Files::new(data, 1024))
}

#[test]
fn code_is_copied_whole_and_goes_when_nothing_uses_it() {
    let (data, _, code) = data();
    let files = files(data.path());
    let mut copy = files.copy_code(code).unwrap();
    let path = copy.path().to_owned();
    assert!(files.is_copy(&path));
    assert_eq!(std::fs::read(path.join("server.py")).unwrap(), b"code");
    assert_eq!(
        std::fs::read(path.join("package/more.py")).unwrap(),
        b"more"
    );
    let mode = std::fs::metadata(path.join("server.py"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(files.idle().unwrap().is_empty());
    copy.keep();
    drop(copy);
    let idle = files.idle().unwrap();
    assert_eq!(idle, std::slice::from_ref(&path));
    files.remove(idle).unwrap();
    assert!(!path.exists());
    let path = files.copy_code(code).unwrap().path().to_owned();
    assert!(!path.exists());
}

#[test]
fn no_link_leads_anywhere() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("shadow"), "secret").unwrap();
    for steps in 0..3 {
        let (data, _, code) = data();
        // The bundle's own folder, and those above it.
        let place = folder(&data, code);
        let replaced = place.ancestors().nth(steps).unwrap();
        std::fs::rename(replaced, data.path().join("away")).unwrap();
        symlink(outside.path(), replaced).unwrap();
        assert!(
            files(data.path()).copy_code(code).is_err(),
            "{steps} above it"
        );
        // Also where the same lies behind it.
        std::fs::remove_file(replaced).unwrap();
        symlink(data.path().join("away"), replaced).unwrap();
        assert!(
            files(data.path()).copy_code(code).is_err(),
            "{steps} above it"
        );
    }
    let (data, server, code) = data();
    symlink(
        outside.path().join("shadow"),
        folder(&data, code).join("link.py"),
    )
    .unwrap();
    let files = files(data.path());
    assert!(files.copy_code(code).is_err());
    assert!(files.idle().unwrap().is_empty());
    let own = data.path().join(server.to_string());
    std::fs::create_dir(&own).unwrap();
    symlink(outside.path(), own.join("storage")).unwrap();
    assert!(files.disk_bytes(server).is_err());
    assert!(files.stage_disk(server).is_err());
}

#[test]
fn code_is_bounded_and_nothing_but_files() {
    let data = tempfile::tempdir().unwrap();
    let big = Bundle::of_one_file(vec![b'x'; 2_000]);
    let bundles = Arc::new(Bundles::new(data.path()));
    bundles.lease(big.digest()).write(&big).unwrap();
    assert!(files(data.path()).copy_code(big.digest()).is_err());

    let (data, _, code) = self::data();
    let socket = std::os::unix::net::UnixListener::bind(folder(&data, code).join("s"));
    assert!(files(data.path()).copy_code(code).is_err());
    drop(socket);
}

#[test]
fn what_is_not_what_its_name_says_is_refused_and_leaves_nothing() {
    type Alter = fn(&Path);
    let alter: [Alter; 4] = [
        |folder| {
            std::fs::remove_file(folder.join("server.py")).unwrap();
            std::fs::write(folder.join("server.py"), "Code").unwrap();
        },
        |folder| std::fs::remove_file(folder.join("package/more.py")).unwrap(),
        |folder| std::fs::write(folder.join("more.py"), "").unwrap(),
        |folder| std::fs::write(folder.join("a\nb"), "").unwrap(),
    ];
    for (number, alter) in alter.into_iter().enumerate() {
        let (data, _, code) = data();
        let files = files(data.path());
        drop(files.copy_code(code).unwrap());
        alter(&folder(&data, code));
        assert!(files.copy_code(code).is_err(), "{number}");
        assert!(files.idle().unwrap().is_empty(), "{number}");
        let copies = data.path().join("broker/code");
        assert_eq!(std::fs::read_dir(copies).unwrap().count(), 0, "{number}");
    }
}

#[test]
fn a_new_disk_has_its_name_before_it_is_used() {
    let (data, server, _) = data();
    let files = files(data.path());
    let stage = files.stage_disk(server).unwrap();
    assert!(files.stage_disk(server).is_err(), "by two at once");
    // As the helper does.
    std::fs::write(stage.path().join("disk.new"), "a file system").unwrap();
    std::fs::rename(stage.path().join("disk.new"), stage.path().join("disk")).unwrap();
    std::fs::write(stage.path().join("granted"), "13").unwrap();
    files.keep_disk(server, &stage).unwrap();
    let staged = stage.path().to_owned();
    drop(stage);
    assert!(!staged.exists());
    let storage = data.path().join(server.to_string()).join("storage");
    assert_eq!(
        std::fs::read(storage.join("disk")).unwrap(),
        b"a file system"
    );
    assert_eq!(std::fs::read(storage.join("granted")).unwrap(), b"13");
    assert_eq!(files.disk_bytes(server).unwrap(), 13);
    let stage = files.stage_disk(server).unwrap();
    assert_eq!(std::fs::read(stage.path().join("granted")).unwrap(), b"13");
    files.keep_disk(server, &stage).unwrap();
}

#[test]
fn a_disk_is_a_file_and_stays_the_same_one() {
    let (data, server, _) = data();
    let files = files(data.path());
    let storage = data.path().join(server.to_string()).join("storage");
    std::fs::create_dir_all(&storage).unwrap();
    symlink("/etc/passwd", storage.join("disk")).unwrap();
    assert!(files.stage_disk(server).is_err());
    std::fs::remove_file(storage.join("disk")).unwrap();
    std::fs::write(storage.join("disk"), "one").unwrap();
    let stage = files.stage_disk(server).unwrap();
    std::fs::remove_file(storage.join("disk")).unwrap();
    std::fs::write(storage.join("disk"), "another").unwrap();
    assert!(files.keep_disk(server, &stage).is_err());
}
