//! The audit log: what is kept of it, how it is read, and that a backup has it.

use emcp::maintenance::restore;
use emcp::model::{AuditEntry, AuditFilter, AuditResult, Principal};
use emcp::store::{AuditWrite, Store};
use jiff::Timestamp;

use super::backup::back_up;
use super::maintenance::{open, platform, settings};
use super::quotas;

fn line(actor: &str, target: &str) -> AuditEntry {
    AuditEntry {
        actor: Some(Principal::by_name(actor)),
        target: Some(target.into()),
        ..AuditEntry::new(Timestamp::now(), "server.change", AuditResult::Ok)
    }
}

async fn write(store: &Store, entries: Vec<AuditEntry>, kept: u64) -> Vec<u64> {
    let lines = entries.into_iter().map(|entry| AuditWrite {
        entry,
        repeats: None,
    });
    store.write_audit(lines.collect(), kept).await.unwrap()
}

async fn lines_of(store: &Store, actor: &str) -> usize {
    let filter = AuditFilter {
        actor: Some(actor.into()),
        ..AuditFilter::default()
    };
    store.audit_page(filter, 10_000).await.unwrap().0.len()
}

#[tokio::test]
async fn a_flood_pushes_out_nobody_elses_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = quotas::open(dir.path());
    for number in 0..30 {
        write(&store, vec![line("bob", &number.to_string())], 100).await;
    }
    // By herself, and by tokens that she makes for that: all of it is hers.
    for number in 0..10 {
        let own = (0..50).map(|n| line("eve", &format!("{number}-{n}")));
        let by_token = (0..50).map(|n| AuditEntry {
            made_by: Some(Principal::by_name("eve")),
            ..line(&format!("eves-{number}-{n}"), "x")
        });
        write(&store, own.chain(by_token).collect(), 100).await;
    }
    assert_eq!(lines_of(&store, "bob").await, 30);
    let (all, _) = store
        .audit_page(AuditFilter::default(), 10_000)
        .await
        .unwrap();
    assert_eq!(all.len(), 100);
    assert_eq!(all[0].entry.actor, Some(Principal::by_name("eves-9-49")));
}

#[tokio::test]
async fn a_line_that_says_the_same_is_counted_in_the_first_one_while_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = quotas::open(dir.path());
    let [id] = write(&store, vec![line("ada", "one")], 1_000).await[..] else {
        panic!("one line has one id");
    };
    let again = |repeats| {
        let entry = line("ada", "one");
        store.write_audit(vec![AuditWrite { entry, repeats }], 1_000)
    };
    for _ in 0..3 {
        assert_eq!(again(Some(id)).await.unwrap(), [id]);
    }
    assert_eq!(again(Some(99)).await.unwrap(), [id + 1]);
    let (all, _) = store.audit_page(AuditFilter::default(), 10).await.unwrap();
    assert_eq!((all.len(), all[1].entry.count), (2, Some(4)));
    assert!(all[1].entry.last_at > Some(all[1].entry.at));
    assert_eq!(all[0].entry.count, None);
}

#[tokio::test]
async fn the_export_brings_every_line_once_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = quotas::open(dir.path());
    let entries = (0..25).map(|n| line(if n % 2 == 0 { "ada" } else { "bob" }, "x"));
    write(&store, entries.collect(), 1_000).await;
    let filter = AuditFilter {
        actor: Some("ada".into()),
        ..AuditFilter::default()
    };
    let (mut after, mut found) = (Some(0), Vec::new());
    while let Some(last) = after {
        let (lines, next) = store.audit_after(last, filter.clone(), 7).await.unwrap();
        found.extend(lines.iter().map(|line| line.id));
        after = next;
    }
    assert_eq!(found, (1..=25).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_audit_log_keeps_the_newest_and_is_read_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, _) = platform(dir.path()).await;
    let (store, _) = open(&settings);
    for n in 0..30 {
        let actor = if n % 2 == 0 { "ada" } else { "bob" };
        let entry = line(actor, "demo");
        write(&store, vec![entry; 2], 40).await;
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
    let line = line("ada", "demo");
    write(&store, vec![line.clone()], 1_000).await;
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
        (id, &vec![Principal::by_name("ada")])
    );
    // The next line follows the restored ones.
    write(&store, vec![line], 1_000).await;
    let (lines, _) = store.audit_page(AuditFilter::default(), 10).await.unwrap();
    assert_eq!(lines[0].id, 2);
}
