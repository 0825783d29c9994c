//! EMCP's side: asks the holder for the sockets.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::{TcpListener, UnixStream};

use super::{GREETING, Lifeline, Sockets};

/// Between two tries to reach a holder that is not there yet.
const HOLDER_RETRY: Duration = Duration::from_millis(100);

pub(super) async fn receive(path: &Path) -> anyhow::Result<Sockets> {
    let mut said_so = false;
    loop {
        match ask(path).await {
            Ok(Some(sockets)) => return Ok(sockets),
            // It ended between the connection and its answer.
            Ok(None) => {}
            Err(error) => {
                let is_away = error
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| is_absence(error.kind()));
                if !is_away {
                    return Err(error);
                }
                if !said_so {
                    tracing::warn!(%error, at = %path.display(), "waiting for the holder of the sockets");
                    said_so = true;
                }
            }
        }
        tokio::time::sleep(HOLDER_RETRY).await;
    }
}

fn is_absence(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
    matches!(kind, NotFound | ConnectionRefused | ConnectionReset)
}

/// One try; nothing if the holder hung up.
async fn ask(path: &Path) -> anyhow::Result<Option<Sockets>> {
    let stream = UnixStream::connect(path).await.with_context(|| {
        format!(
            "cannot reach the holder of the sockets at {}",
            path.display()
        )
    })?;
    let (text, sockets) = stream
        .async_io(Interest::READABLE, || read(&stream))
        .await
        .context("the holder of the sockets does not answer")?;
    if text.is_empty() {
        return Ok(None);
    }
    let unserved_ms = text
        .strip_prefix(GREETING)
        .and_then(|rest| rest.trim().parse().ok());
    let (Some(unserved_ms), Ok([public, internal])) =
        (unserved_ms, <[OwnedFd; 2]>::try_from(sockets))
    else {
        bail!(
            "what holds the sockets is of another version than this EMCP (it says {text:?}); replace it: docker rm -f its container, then make up"
        );
    };
    Ok(Some(Sockets {
        public: listener(public)?,
        internal: listener(internal)?,
        unserved: Duration::from_millis(unserved_ms),
        lifeline: Lifeline(Some(stream)),
    }))
}

fn read(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut bytes = [0; 128];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let sockets = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        })
        .flatten()
        .collect();
    let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
    Ok((text, sockets))
}

fn listener(socket: OwnedFd) -> anyhow::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).context("a socket of the holder cannot be used")
}
