//! The holder's side: opens the sockets, and hands them out.

use std::fs::Permissions;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{GREETING, listen};

/// After a failed accept (out of file descriptors): let others finish.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Opens both addresses and hands them to whoever connects to `path`, until
/// cancelled. Only the same user can connect.
///
/// # Errors
/// If an address or the path cannot be listened on.
pub async fn hold(
    public: SocketAddr,
    internal: SocketAddr,
    path: &Path,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let held = Arc::new(Held {
        // Taken out of the event loop: connections are none of its business.
        sockets: [listen(public)?.into_std()?, listen(internal)?.into_std()?],
        served: Mutex::new(Served {
            by: 0,
            changed: Instant::now(),
        }),
    });
    let listener = open_listener(path)
        .with_context(|| format!("cannot make the Unix socket {}", path.display()))?;
    tracing::info!(%public, %internal, at = %path.display(), "the sockets are open");
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let held = Arc::clone(&held);
                tasks.spawn(cancel.clone().run_until_cancelled_owned(async move {
                    if let Err(error) = held.serve(stream).await {
                        tracing::warn!(%error, "the sockets could not be handed over");
                    }
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Made under another name and moved there: a holder before this one may have
/// left its socket behind, and nobody must meet one that all may use.
fn open_listener(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

struct Held {
    sockets: [TcpListener; 2],
    served: Mutex<Served>,
}

/// How many EMCPs have the sockets, and since when it is none.
struct Served {
    by: usize,
    changed: Instant,
}

impl Held {
    /// Hands the sockets over and stays until the other side lets go.
    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let unserved = self.taken();
        let _taken = Taken(self);
        stream
            .async_io(Interest::WRITABLE, || self.send(&stream, unserved))
            .await?;
        tracing::info!(unserved_ms = unserved.as_millis() as u64, "handed over");
        // It never says anything, so this is the end of the connection.
        stream.read(&mut [0]).await.map(drop)
    }

    fn send(&self, stream: &UnixStream, unserved: Duration) -> io::Result<()> {
        let text = format!("{GREETING} {}\n", unserved.as_millis());
        let sockets = self.sockets.each_ref().map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&sockets));
        let sent = sendmsg(
            stream,
            &[IoSlice::new(text.as_bytes())],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        // A fresh connection has room for a line; less means that it is odd.
        if sent == text.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn taken(&self) -> Duration {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.by += 1;
        match served.by {
            1 => served.changed.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// Counts an EMCP out, however it went.
struct Taken<'a>(&'a Held);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut served = self.0.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.by -= 1;
        served.changed = Instant::now();
    }
}
