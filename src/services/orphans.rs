//! Files that no record speaks of, found at the start: what a crash cut short
//! is removed, and anything else is left alone.
//!
//! An upload is marked until it is recorded ([`Layout::unrecorded_mark`]), so
//! the two can be told apart. Unmarked code without a record was acknowledged
//! once, by a database that is not this one: a person put an older copy back,
//! or began with an empty one.

use std::io::{self, ErrorKind};

use tokio::fs;

use crate::directory::Entry;
use crate::identity::Layout;
use crate::model::ServerId;
use crate::store::Store;

/// Removes uploads that never came to be. Folders of deleted servers are the
/// reconciler's, which removes their containers first.
pub(super) async fn remove(
    layout: &Layout,
    store: &Store,
    entries: &[Entry],
) -> anyhow::Result<()> {
    let deleted = store.deleted_servers().await?;
    let mut folders = fs::read_dir(layout.root()).await?;
    while let Some(folder) = folders.next_entry().await? {
        let name = folder.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let server = entries.iter().map(|e| &e.server).find(|s| s.id == id);
        match server {
            Some(_) => {
                let recorded = store.versions_of(id).await?;
                let recorded: Vec<u32> = recorded.iter().map(|version| version.number).collect();
                remove_uploads(layout, id, &recorded).await?;
            }
            None if deleted.contains(&id) => {}
            None => remove_server(layout, id).await?,
        }
    }
    Ok(())
}

/// A server whose creation was cut short has nothing but marked versions.
async fn remove_server(layout: &Layout, id: ServerId) -> anyhow::Result<()> {
    let marked = layout.unrecorded_on_disk(id)?;
    let versions = layout.versions_on_disk(id)?;
    let is_recorded = versions.iter().any(|number| !marked.contains(number));
    if is_recorded || layout.storage_dir(id).exists() {
        tracing::warn!(
            folder = %layout.server_dir(id).display(),
            "this folder belongs to no server of the database; it is left as it is"
        );
        return Ok(());
    }
    tracing::warn!(server = %id, "removing files of a server that was never created");
    fs::remove_dir_all(layout.server_dir(id)).await?;
    Ok(())
}

/// Uploads at the same time are recorded in any order: one that was cut short
/// may have a lower number than one that was not.
async fn remove_uploads(layout: &Layout, id: ServerId, recorded: &[u32]) -> anyhow::Result<()> {
    for number in layout.unrecorded_on_disk(id)? {
        if !recorded.contains(&number) {
            tracing::warn!(server = %id, number, "removing a version that was never recorded");
            // It may have been cut between its mark and its directory.
            absent_is_fine(fs::remove_dir_all(layout.code_dir(id, number)).await)?;
        }
        fs::remove_file(layout.unrecorded_mark(id, number)).await?;
    }
    for number in layout.versions_on_disk(id)? {
        if !recorded.contains(&number) {
            tracing::warn!(
                folder = %layout.code_dir(id, number).display(),
                "this code is of no version in the database; it is left as it is"
            );
        }
    }
    Ok(())
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data directory with one server's versions, some of them marked.
    async fn with_versions(versions: &[(u32, bool)]) -> (tempfile::TempDir, Layout, ServerId) {
        let dir = tempfile::tempdir().unwrap();
        let (layout, id) = (Layout::new(dir.path()), ServerId::new());
        for &(number, is_marked) in versions {
            fs::create_dir_all(layout.code_dir(id, number))
                .await
                .unwrap();
            let code = format!("number = {number}\n");
            fs::write(layout.code_file(id, number), code).await.unwrap();
            if is_marked {
                fs::write(layout.unrecorded_mark(id, number), "")
                    .await
                    .unwrap();
            }
        }
        (dir, layout, id)
    }

    #[tokio::test]
    async fn a_creation_that_was_cut_short_leaves_nothing() {
        let (_dir, layout, id) = with_versions(&[(1, true)]).await;
        remove_server(&layout, id).await.unwrap();
        assert!(!layout.server_dir(id).exists());
    }

    #[tokio::test]
    async fn code_that_another_database_recorded_is_left_alone() {
        let (_dir, layout, id) = with_versions(&[(1, false), (2, true)]).await;
        remove_server(&layout, id).await.unwrap();
        assert!(layout.code_file(id, 1).exists());
    }

    #[tokio::test]
    async fn of_a_known_server_only_marked_uploads_go() {
        let (_dir, layout, id) =
            with_versions(&[(1, false), (2, true), (3, true), (4, false), (5, true)]).await;
        // A mark whose directory was never made.
        fs::write(layout.unrecorded_mark(id, 6), "").await.unwrap();
        remove_uploads(&layout, id, &[1, 2, 5]).await.unwrap();
        let mut left = layout.versions_on_disk(id).unwrap();
        left.sort_unstable();
        assert_eq!(left, [1, 2, 4, 5]);
        assert!(layout.unrecorded_on_disk(id).unwrap().is_empty());
    }
}
