//! How records become bytes: JSON in an envelope that names its version.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::records::Record;
use crate::model::{Error, Result};

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    v: u32,
    data: &'a T,
}

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    v: u32,
    #[serde(borrow)]
    data: &'a RawValue,
}

pub(super) fn encode<T: Record>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(&EnvelopeOut {
        v: T::VERSION,
        data: value,
    })
    .map_err(|error| Error::internal("a record could not be encoded", error))
}

/// Reads a record; one of an earlier version is brought up to date on the way,
/// and written so the next time it changes.
pub(super) fn decode<T: Record>(bytes: &[u8]) -> Result<T> {
    let undecodable = |error| Error::internal("a record could not be decoded", error);
    let envelope: EnvelopeIn<'_> = serde_json::from_slice(bytes).map_err(undecodable)?;
    if envelope.v == T::VERSION {
        return serde_json::from_str(envelope.data.get()).map_err(undecodable);
    }
    if envelope.v > T::VERSION {
        return Err(Error::Internal(format!(
            "a record has version {}, this EMCP knows up to {}; use a newer EMCP",
            envelope.v,
            T::VERSION
        )));
    }
    let mut data: Value = serde_json::from_str(envelope.data.get()).map_err(undecodable)?;
    for from in envelope.v..T::VERSION {
        T::upgrade(from, &mut data);
    }
    serde_json::from_value(data).map_err(undecodable)
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
