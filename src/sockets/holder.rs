//! The holder's side: opens the sockets, and hands them out.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::{GREETING, listen};
use crate::unix_socket::UnixSocket;

/// EMCPs at once: one, and the next one for a moment.
const TAKERS_MAX: usize = 256;

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
    let socket = UnixSocket::open(path)?;
    tracing::info!(%public, %internal, at = %path.display(), "the sockets are open");
    let attend = |stream| {
        let held = Arc::clone(&held);
        async move { held.serve(stream).await }
    };
    socket.serve(TAKERS_MAX, cancel, attend).await;
    Ok(())
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
