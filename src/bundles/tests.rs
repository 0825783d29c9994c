use std::os::unix::fs::{PermissionsExt, symlink};

use jiff::Timestamp;

use super::*;
use crate::model::{Principal, ServerId};

const CODE: &[u8] = b"mcp = None\n";
/// Writers at the same time.
const WRITERS: usize = 24;

fn bundle(content: &[u8]) -> Bundle {
    Bundle::of_one_file(content.to_vec())
}

fn release(number: u32, content: &[u8]) -> Release {
    Release::of_file(
        number,
        content,
        Principal::by_name("ada"),
        Timestamp::UNIX_EPOCH,
    )
}

/// An empty data directory.
fn bundles() -> (tempfile::TempDir, Arc<Bundles>) {
    let dir = tempfile::tempdir().unwrap();
    let bundles = Arc::new(Bundles::new(dir.path()));
    (dir, bundles)
}

/// A bundle that is there and nobody's.
fn put(bundles: &Arc<Bundles>, content: &[u8]) -> BundleDigest {
    let bundle = bundle(content);
    let lease = bundles.lease(bundle.digest());
    lease.write(&bundle).unwrap();
    lease.keep();
    bundle.digest()
}

/// What is left of what was being written or removed.
fn temporary(dir: &Path) -> usize {
    disk::names(&dir.join(FOLDER).join(TEMPORARY))
        .unwrap()
        .len()
}

/// What a collection removes of these that no record has.
fn collect(bundles: &Bundles, loose: &[BundleDigest]) -> Vec<BundleDigest> {
    let condemned = bundles.condemn(loose.iter().copied());
    bundles.remove_condemned(&condemned)
}

#[test]
fn the_same_content_is_there_once_and_whole_whoever_writes_it() {
    let (dir, bundles) = bundles();
    let mut several = bundle(CODE);
    several.insert("data/a/words.txt".parse().unwrap(), b"words".to_vec());
    let digest = several.digest();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| bundles.lease(digest).write(&several).unwrap());
        }
    });
    assert_eq!(bundles.on_disk().unwrap(), [digest]);
    assert_eq!(bundles.read_whole(digest).unwrap(), several);
    assert_eq!(temporary(dir.path()), 0);
    let mode = |path: &str| {
        let path = bundles.folder(digest).join(path);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("server.py"), 0o444);
    assert_eq!(mode("data/a/words.txt"), 0o444);
    assert_eq!((mode(""), mode("data/a")), (0o755, 0o755));
}

#[test]
fn what_was_altered_is_told_and_written_anew() {
    let (_dir, bundles) = bundles();
    let release = release(1, CODE);
    assert!(matches!(bundles.read(&release), Err(Unreadable::Missing)));
    let missing = bundles.verify(release.bundle);
    assert!(matches!(missing, Err(Unreadable::Missing)));
    put(&bundles, CODE);
    assert_eq!(bundles.read(&release).unwrap(), CODE);
    bundles.verify(release.bundle).unwrap();

    let folder = bundles.folder(release.bundle);
    type Alter = fn(&Path);
    let alter: [Alter; 4] = [
        |folder| {
            fs::remove_file(folder.join("server.py")).unwrap();
            fs::write(folder.join("server.py"), "mcp = Nine\n").unwrap();
        },
        |folder| fs::write(folder.join("more.py"), "").unwrap(),
        |folder| fs::remove_file(folder.join("server.py")).unwrap(),
        |folder| symlink("/etc/passwd", folder.join("link")).unwrap(),
    ];
    for (number, alter) in alter.into_iter().enumerate() {
        alter(&folder);
        let altered = bundles.verify(release.bundle);
        assert!(matches!(altered, Err(Unreadable::Altered)), "{number}");
        put(&bundles, CODE);
        bundles.verify(release.bundle).unwrap();
    }
}

#[test]
fn a_lease_is_for_one_bundle() {
    let (_dir, bundles) = bundles();
    let lease = bundles.lease(bundle(CODE).digest());
    assert!(lease.write(&bundle(b"other")).is_err());
    assert!(!lease.is_there());
}

#[test]
fn what_somebody_uses_is_not_collected() {
    let (dir, bundles) = bundles();
    let digest = put(&bundles, CODE);
    // From before a collection until after it.
    let lease = bundles.lease(digest);
    assert_eq!(collect(&bundles, &[digest]), []);
    drop(lease);
    // Taken and given back while it runs: a record may have come meanwhile.
    let condemned = bundles.condemn([digest].into_iter());
    assert_eq!(condemned, [digest]);
    drop(bundles.lease(digest));
    assert_eq!(bundles.remove_condemned(&condemned), []);
    // Two of them, of which one ends.
    let (one, other) = (bundles.lease(digest), bundles.lease(digest));
    drop(one);
    assert_eq!(collect(&bundles, &[digest]), []);
    drop(other);
    // While everything is to stay, also where that begins in the middle.
    let condemned = bundles.condemn([digest].into_iter());
    let hold = bundles.hold();
    assert_eq!(bundles.remove_condemned(&condemned), []);
    assert_eq!(collect(&bundles, &[digest]), []);
    drop(hold);
    assert!(bundles.has(digest));

    assert_eq!(collect(&bundles, &[digest]), [digest]);
    assert!(!bundles.has(digest));
    // What is not there is gone.
    assert_eq!(collect(&bundles, &[digest]), [digest]);
    assert_eq!(temporary(dir.path()), 0);
}

#[test]
fn writers_and_a_collection_at_the_same_time_lose_nothing() {
    let (_dir, bundles) = bundles();
    let digest = bundle(CODE).digest();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                collect(&bundles, &[digest]);
            }
        });
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lease = bundles.lease(digest);
                        lease.write(&bundle(CODE)).unwrap();
                        bundles.verify(digest).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[tokio::test]
async fn what_was_written_for_nothing_has_a_collection_made() {
    let (_dir, bundles) = bundles();
    let lease = bundles.lease(bundle(CODE).digest());
    lease.write(&bundle(CODE)).unwrap();
    let digest = lease.digest();
    assert!(bundles.is_fresh(digest));
    drop(lease);
    bundles.collection_asked().await;
    // What a record had may be in a container.
    put(&bundles, CODE);
    assert!(!bundles.is_fresh(digest));
}

#[test]
fn what_a_killed_process_was_at_goes_with_the_next_start() {
    let (dir, bundles) = bundles();
    let digest = put(&bundles, CODE);
    let half = dir.path().join(FOLDER).join(TEMPORARY).join("half");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("server.py"), "mc").unwrap();
    bundles.clear().unwrap();
    assert_eq!(temporary(dir.path()), 0);
    assert_eq!(bundles.on_disk().unwrap(), [digest]);
    // Where nothing was ever written there is nothing to do.
    let empty = tempfile::tempdir().unwrap();
    Bundles::new(empty.path()).clear().unwrap();
}

/// A server's folder of before: version 1 and 2 are recorded, 3 was cut short
/// (its mark is there), 4 was pruned, 5 came with another database, 6 was altered.
fn former(dir: &Path) -> (ServerId, Vec<Release>) {
    let server = ServerId::new();
    let folder = dir.join(server.to_string()).join("versions");
    for number in 1..=6 {
        let version = folder.join(number.to_string());
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("server.py"), format!("version {number}")).unwrap();
    }
    for marked in [1, 3, 6, 7] {
        fs::write(folder.join(format!("{marked}.unrecorded")), "").unwrap();
    }
    let recorded = [1, 2, 6].map(|number| {
        let content = format!("version {number}");
        release(number, content.as_bytes())
    });
    fs::write(folder.join("6/server.py"), "altered").unwrap();
    (server, recorded.into())
}

fn names(dir: &Path, server: ServerId) -> Vec<String> {
    let folder = dir.join(server.to_string()).join("versions");
    let names = disk::names(&folder).unwrap();
    let mut names: Vec<_> = names
        .into_iter()
        .map(|name| name.into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn code_of_before_is_taken_over_and_goes_when_no_container_has_it() {
    let (dir, bundles) = bundles();
    let (server, releases) = former(dir.path());
    let take_over = || {
        let found = former::find(dir.path()).unwrap();
        assert_eq!(found.len(), 1);
        found[0]
            .take_over(&bundles, &releases, &[(server, 4)])
            .unwrap();
    };
    let found = former::find(dir.path()).unwrap();
    assert_eq!(found[0].foreign(&releases, &[(server, 4)]), [5]);
    let old = former::read(dir.path(), server, &releases[0]).unwrap();
    assert_eq!(old, b"version 1");
    // However often, also cut short at any point: nothing is moved.
    for _ in 0..2 {
        take_over();
        assert_eq!(bundles.read(&releases[0]).unwrap(), b"version 1");
        assert_eq!(bundles.read(&releases[1]).unwrap(), b"version 2");
        assert!(!bundles.has(releases[2].bundle));
    }
    let remove = |mounted: &[PathBuf]| {
        let found = former::find(dir.path()).unwrap();
        found[0].remove(mounted, true).unwrap();
    };
    let mounted: PathBuf = format!("/seen/elsewhere/{server}/versions/2").into();
    remove(std::slice::from_ref(&mounted));
    assert_eq!(names(dir.path(), server), ["2", "2.unrecorded", "5", "6"]);
    remove(&[]);
    assert_eq!(names(dir.path(), server), ["5", "6"]);
    take_over();
    assert_eq!(names(dir.path(), server), ["5", "6"]);
}

#[test]
fn of_a_server_of_before_that_never_came_to_be_nothing_stays() {
    let (dir, bundles) = bundles();
    let server = ServerId::new();
    let folder = dir.path().join(server.to_string());
    fs::create_dir_all(folder.join("versions/1")).unwrap();
    fs::write(folder.join("versions/1.unrecorded"), "").unwrap();
    let found = former::find(dir.path()).unwrap();
    found[0].take_over(&bundles, &[], &[]).unwrap();
    let found = former::find(dir.path()).unwrap();
    found[0].remove(&[], false).unwrap();
    assert!(!folder.exists());
}
