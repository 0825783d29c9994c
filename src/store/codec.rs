//! How records become bytes: JSON in an envelope that names its version and
//! carries a checksum. A record of an EMCP without checksums is read as well.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::records::Record;
use crate::model::{Error, Result};

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    v: u32,
    crc: u32,
    data: &'a RawValue,
}

/// Strict: a field whose name lost a bit must not pass for one that is absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeIn<'a> {
    v: u32,
    crc: Option<u32>,
    #[serde(borrow)]
    data: &'a RawValue,
}

pub(super) fn encode<T: Record>(value: &T) -> Result<Vec<u8>> {
    let unencodable = |error| Error::internal("a record could not be encoded", error);
    seal(T::VERSION, &to_raw_value(value).map_err(unencodable)?)
}

/// Reads a record; one of an earlier version is brought up to date on the way,
/// and written so the next time it changes.
pub(super) fn decode<T: Record>(bytes: &[u8]) -> Result<T> {
    let envelope = open(bytes)?;
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

/// A field of a record as it was written, if it is a text.
///
/// # Errors
/// If the record is not what was written.
pub(super) fn text_in(bytes: &[u8], field: &str) -> Result<Option<String>> {
    let data: Value = serde_json::from_str(open(bytes)?.data.get()).map_err(undecodable)?;
    Ok(data[field].as_str().map(str::to_owned))
}

/// Whether a record, of whatever kind, is what was written.
///
/// # Errors
/// If it is not.
pub(super) fn verify(bytes: &[u8]) -> Result<()> {
    open(bytes).map(drop)
}

/// The record with a checksum, if it has none yet.
pub(super) fn with_checksum(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    let envelope = open(bytes)?;
    match envelope.crc {
        Some(_) => Ok(None),
        None => seal(envelope.v, envelope.data).map(Some),
    }
}

fn seal(v: u32, data: &RawValue) -> Result<Vec<u8>> {
    let crc = checksum(v, data);
    serde_json::to_vec(&EnvelopeOut { v, crc, data })
        .map_err(|error| Error::internal("a record could not be encoded", error))
}

fn open(bytes: &[u8]) -> Result<EnvelopeIn<'_>> {
    let envelope: EnvelopeIn<'_> = serde_json::from_slice(bytes).map_err(undecodable)?;
    match envelope.crc {
        Some(crc) if crc != checksum(envelope.v, envelope.data) => Err(Error::Internal(
            "a record is damaged: its content is not what was written (its checksum differs); stop EMCP and run `emcp check`"
                .to_owned(),
        )),
        _ => Ok(envelope),
    }
}

fn undecodable(error: serde_json::Error) -> Error {
    Error::internal("a record could not be decoded", error)
}

/// CRC-32 finds every change of up to three bits in a record of this size, and
/// costs a fraction of what the JSON does. Against somebody who alters records
/// on purpose it is no help, nor meant to be: secrets are sealed.
fn checksum(v: u32, data: &RawValue) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&v.to_le_bytes());
    hasher.update(data.get().as_bytes());
    hasher.finalize()
}

/// Any error of the database engine, as a domain error. A full disk is told
/// apart, since the operator can do something about it, and so is a damaged file.
pub(super) fn db(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => Error::disk_full(),
        // After an I/O error the engine refuses all work until it is opened
        // anew, which the next call does (`Store::database`).
        redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => Error::Unavailable {
            code: "database_unavailable",
            message: "the database recovers from a failed write; try again in a moment".to_owned(),
        },
        redb::Error::Corrupted(detail) => damaged(&detail),
        other => Error::internal("the database failed", other),
    }
}

/// The file does not hold what was written.
pub(super) fn damaged(detail: &str) -> Error {
    Error::Internal(format!(
        "the database file is damaged ({detail}); stop EMCP, run `emcp check`, and restore the last backup"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_record_is_noticed() {
        let whole = encode(&0x0123_4567_89ab_u64).unwrap();
        assert_eq!(decode::<u64>(&whole).unwrap(), 0x0123_4567_89ab);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A space for a space's neighbour would change nothing; there is none.
            assert!(decode::<u64>(&flipped).is_err(), "bit {bit}: {flipped:?}");
        }
    }

    #[test]
    fn a_record_of_before_is_read_and_gets_its_checksum() {
        let old = br#"{"v":1,"data":7}"#;
        assert_eq!(decode::<u64>(old).unwrap(), 7);
        let new = with_checksum(old).unwrap().unwrap();
        assert_eq!(new, encode(&7_u64).unwrap());
        assert_eq!(with_checksum(&new).unwrap(), None);
    }
}
