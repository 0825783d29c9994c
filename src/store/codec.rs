//! How records become bytes: JSON in an envelope that names its version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Error, Result};

/// The version every record is written with now.
const ENVELOPE_VERSION: u32 = 1;

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    v: u32,
    data: &'a T,
}

#[derive(Deserialize)]
struct EnvelopeIn<T> {
    v: u32,
    data: T,
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(&EnvelopeOut {
        v: ENVELOPE_VERSION,
        data: value,
    })
    .map_err(|error| Error::internal("a record could not be encoded", error))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let envelope: EnvelopeIn<T> = serde_json::from_slice(bytes)
        .map_err(|error| Error::internal("a record could not be decoded", error))?;
    if envelope.v != ENVELOPE_VERSION {
        return Err(Error::Internal(format!(
            "a record has version {}, this EMCP knows {ENVELOPE_VERSION}",
            envelope.v
        )));
    }
    Ok(envelope.data)
}

/// Any error of the database engine, as a domain error. A full disk is told
/// apart, since the operator can do something about it.
pub(super) fn db(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => Error::disk_full(),
        // After an I/O error the engine refuses all work until it is opened
        // anew, which the next call does (`Store::database`).
        redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => Error::Unavailable {
            code: "database_unavailable",
            message: "the database recovers from a failed write; try again in a moment".to_owned(),
        },
        other => Error::internal("the database failed", other),
    }
}
