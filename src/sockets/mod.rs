//! The two listening sockets, which outlive EMCP (ADR 8).
//!
//! Traefik answers 500 at once when nothing listens where it asks for
//! permission. So a small process of its own, the *holder*
//! (`emcp hold-sockets`), opens the sockets and hands them to each EMCP that
//! asks, through a Unix socket. It never accepts: while no EMCP serves,
//! connections wait in the kernel's queue. Without a holder (development, one
//! process) EMCP opens them itself.
//!
//! This room knows no HTTP and no settings; only it sends sockets with rustix.

mod client;
mod holder;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket, UnixStream};

pub use holder::hold;

/// What the holder and EMCP say to each other. A holder lives on while EMCPs
/// come and go, so this changes only together with the holder's image
/// (`SOCKETS_IMAGE` in `scripts/images.sh`), and then costs one short refusal.
const GREETING: &str = "emcp-sockets 1";

/// Connections that wait while EMCP is replaced; the kernel takes the smaller
/// of this and `net.core.somaxconn`. What exceeds it is not refused but knocks
/// again after a second.
const QUEUE: u32 = 4_096;

/// The listening sockets, for as long as they are good.
pub struct Sockets {
    /// The dashboard's and the API's.
    pub public: TcpListener,
    /// The gate's and the provider's.
    pub internal: TcpListener,
    /// For how long nobody had served them: so long may the connections have
    /// waited that are in their queues now.
    pub unserved: Duration,
    /// What tells whether they are still good.
    pub lifeline: Lifeline,
}

/// The connection to the holder. Letting go of it says that EMCP no longer
/// accepts; losing it, that the holder is gone and its sockets with it.
pub struct Lifeline(Option<UnixStream>);

impl Sockets {
    /// Opens both addresses here, for an EMCP without a holder.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn bind(public: SocketAddr, internal: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            public: listen(public)?,
            internal: listen(internal)?,
            unserved: Duration::ZERO,
            lifeline: Lifeline(None),
        })
    }

    /// Asks the holder at `path` for them, and waits for a holder that is not
    /// there yet.
    ///
    /// # Errors
    /// If what answers is not a holder of this version.
    pub async fn receive(path: &Path) -> anyhow::Result<Self> {
        client::receive(path).await
    }
}

impl Lifeline {
    /// Returns when the sockets are no longer good. Never for an EMCP that
    /// opened them itself.
    pub async fn lost(&self) {
        let Some(stream) = &self.0 else {
            return std::future::pending().await;
        };
        // The holder says nothing after the greeting, so whatever comes is the
        // end of the connection.
        let mut byte = [0];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut byte) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Connections of an earlier process may still be in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(QUEUE)
    };
    open().with_context(|| format!("cannot listen on {address}; is another EMCP running?"))
}

#[cfg(test)]
mod tests;
