//! What EMCP and the broker say to each other.
//!
//! One connection a wish. Each side begins with [`GREETING`]; then EMCP sends
//! one frame with its wish, and the broker one with the answer, or many for
//! what goes on. A frame is its length in four bytes, the highest first, and so
//! many bytes of JSON. EMCP hanging up ends what it wished for.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::{
    BundleDigest, ContainerId, Egress, EntryObject, InstanceId, Limits, RuntimeChoice, ServerId,
    ServerName,
};
use crate::runtime::Endpoint;

/// Broker and EMCP are replaced one after the other, so each tells the other
/// which version it speaks. A change of any type here takes a new number.
pub(super) const GREETING: &[u8; 14] = b"emcp-broker 2\n";
/// The longest wish, in bytes: the variables of a server, escaped.
pub(super) const WISH_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The longest answer, in bytes: the containers of the largest platform.
pub(super) const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What EMCP wishes. Holds secrets: no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Wish {
    /// Make the networks, and remove what was left behind.
    Connect(Agreed),
    Ping,
    Info,
    BeganAt,
    List {
        server: Option<ServerId>,
    },
    Mounted,
    Inspect {
        id: ContainerId,
    },
    Run(Box<RunWish>),
    Start {
        id: ContainerId,
    },
    Stop {
        id: ContainerId,
        grace_secs: u64,
    },
    Pause {
        id: ContainerId,
    },
    Unpause {
        id: ContainerId,
    },
    Remove {
        id: ContainerId,
    },
    Attach {
        id: ContainerId,
        egress: Egress,
        endpoint: Endpoint,
    },
    RunOnce(Shot),
    Usage {
        id: ContainerId,
    },
    GivenSecrets {
        id: ContainerId,
    },
    Tail {
        id: ContainerId,
        lines: usize,
    },
    /// Answered by `Result<Vec<OutputLine>>` again and again; an empty list is
    /// the end.
    Follow {
        id: ContainerId,
        since_secs: i64,
    },
    /// Answered by `Result<Vec<Change>>` until the engine's connection ends.
    Changes,
}

/// What both must have been told alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreed {
    pub(super) instance: String,
    pub(super) data_dir: String,
    pub(super) network: String,
    pub(super) subnet: String,
    pub(super) internal_subnet: String,
    pub(super) base_image: String,
    pub(super) max_memory: Option<u64>,
    pub(super) max_cpus: Option<f64>,
    pub(super) max_pids: Option<u32>,
    pub(super) max_storage: Option<u64>,
}

/// The part of a container that is EMCP's to say.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunWish {
    pub(super) server: ServerId,
    pub(super) instance: InstanceId,
    pub(super) name: String,
    pub(super) server_name: ServerName,
    pub(super) generation: u64,
    pub(super) revision: u64,
    pub(super) egress: Egress,
    pub(super) endpoint: Endpoint,
    /// One of the data directory's bundles.
    pub(super) code: BundleDigest,
    /// The size of its disk, if it has one.
    pub(super) disk_bytes: Option<u64>,
    pub(super) env: Vec<(String, String)>,
    pub(super) secret_keys: Vec<String>,
    pub(super) limits: Limits,
    pub(super) stop_grace_secs: u64,
}

/// What can be run to its end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shot {
    pub(super) what: ShotKind,
    pub(super) patience_secs: u64,
}

/// The programs themselves are the broker's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum ShotKind {
    /// A look at code that is not started.
    Check {
        /// One of the data directory's bundles.
        code: BundleDigest,
        entry_object: EntryObject,
        runtime: RuntimeChoice,
    },
    /// What a server in this place reaches.
    Reach { endpoint: Endpoint },
}

/// Sends one frame.
///
/// # Errors
/// If it is too long, or the other side is gone.
pub(super) async fn send<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    what: &T,
    max_bytes: usize,
) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, what)?;
    let length = frame.len() - 4;
    if length > max_bytes {
        return Err(too_long(length));
    }
    let head = u32::try_from(length).map_err(|_| too_long(length))?;
    frame[..4].copy_from_slice(&head.to_be_bytes());
    to.write_all(&frame).await
}

/// The length of the next frame; `None` at the end.
///
/// # Errors
/// If it is too long, or breaks off.
pub(super) async fn length_of_next(
    from: &mut (impl AsyncRead + Unpin),
    max_bytes: usize,
) -> io::Result<Option<usize>> {
    let mut head = [0; 4];
    if from.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..]).await?;
    let length = u32::from_be_bytes(head) as usize;
    if length > max_bytes {
        return Err(too_long(length));
    }
    Ok(Some(length))
}

/// The content of a frame of this length.
///
/// # Errors
/// If it breaks off, or is not of this type. What it holds is not told: it may
/// be a secret.
pub(super) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    length: usize,
) -> io::Result<T> {
    // Grows with what comes rather than with what was announced.
    let mut content = Vec::new();
    let read = from.take(length as u64).read_to_end(&mut content).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&content).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame is not of the right shape",
        )
    })
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of {length} bytes is too long"),
    )
}
