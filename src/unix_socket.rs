//! A Unix socket for processes of the same user alone, and the loop that takes
//! their connections: how EMCP finds its broker, and the holder of its sockets.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After a failed accept (out of file descriptors): let others finish.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One that is listened on.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl UnixSocket {
    /// Listens at this path, in place of whoever did before.
    ///
    /// # Errors
    /// If it cannot be made there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = listen(path).and_then(|listener| {
            Ok(Self {
                listener,
                path: path.to_owned(),
                owner: fs::metadata(path)?.uid(),
            })
        });
        opened.with_context(|| format!("cannot make the Unix socket {}", path.display()))
    }

    /// Has every connection attended to, so many at once, until cancelled.
    /// Further ones wait in the kernel's queue.
    pub(crate) async fn serve<F>(
        self,
        connections_max: usize,
        cancel: CancellationToken,
        attend: impl Fn(UnixStream) -> F,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(connections_max));
        let tasks = TaskTracker::new();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = cancel.cancelled() => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok(Some(stream)) => {
                    let at = self.path.display().to_string();
                    let attended = attend(stream);
                    tasks.spawn(cancel.clone().run_until_cancelled_owned(async move {
                        let _place = place;
                        if let Err(error) = attended.await {
                            tracing::warn!(%error, at, "a connection was given up");
                        }
                    }));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// The next connection, or nothing for one that is not of the same user.
    async fn accept(&self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        if user == self.owner {
            return Ok(Some(stream));
        }
        tracing::warn!(user, at = %self.path.display(), "another user was turned away");
        Ok(None)
    }
}

/// Made under another name and moved there: one before may have left its socket
/// behind, and nobody must meet one that all may use.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers one byte with the next one, and stays until the other side goes.
    async fn count(mut stream: UnixStream) -> io::Result<()> {
        while let Ok(byte) = stream.read_u8().await {
            stream.write_u8(byte + 1).await?;
        }
        Ok(())
    }

    async fn next_of(stream: &mut UnixStream, byte: u8) -> u8 {
        stream.write_u8(byte).await.unwrap();
        stream.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn it_is_its_owners_alone_and_takes_the_place_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/socket");
        let before = UnixSocket::open(&path).unwrap();
        fs::write(path.with_extension("new"), "left behind").unwrap();
        let socket = UnixSocket::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let cancel = CancellationToken::new();
        let serving = tokio::spawn(socket.serve(8, cancel.clone(), count));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        assert_eq!(next_of(&mut stream, 6).await, 7);
        cancel.cancel();
        serving.await.unwrap();
        assert!(stream.read_u8().await.is_err());
        drop(before);
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let cancel = CancellationToken::new();
        let socket = UnixSocket::open(&path).unwrap();
        let serving = tokio::spawn(socket.serve(1, cancel.clone(), count));
        let mut first = UnixStream::connect(&path).await.unwrap();
        assert_eq!(next_of(&mut first, 1).await, 2);
        let mut second = UnixStream::connect(&path).await.unwrap();
        second.write_u8(2).await.unwrap();
        // The first one is answered all the while.
        assert_eq!(next_of(&mut first, 3).await, 4);
        assert!(second.try_read(&mut [0]).is_err());
        drop(first);
        assert_eq!(second.read_u8().await.unwrap(), 3);
        cancel.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_of_another_user_is_turned_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut socket = UnixSocket::open(&path).unwrap();
        socket.owner += 1;
        let cancel = CancellationToken::new();
        let serving = tokio::spawn(socket.serve(8, cancel.clone(), count));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        assert!(stream.read_u8().await.is_err());
        cancel.cancel();
        serving.await.unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let path = dir.path().join("file/socket");
        let refused = UnixSocket::open(&path).err().unwrap().to_string();
        assert!(refused.contains("file/socket"), "{refused}");
    }
}
