//! The directory of a server that outlives its containers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Error, Maxima, Result};

/// Room that a server keeps in `/data` ([ADR 19](../../docs/adr/0019-storage-is-a-disk-of-its-own.md)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Bytes that are set aside for it, with what the file system itself takes.
    #[schema(minimum = 16_777_216, maximum = 1_099_511_627_776_u64)]
    pub size_bytes: u64,
}

impl Storage {
    /// Below this there is hardly room beside the file system's journal.
    pub const LOWEST_BYTES: u64 = 16 * 1024 * 1024;
    /// The most on whatever host.
    pub const HIGHEST_BYTES: u64 = 1024 * 1024 * 1024 * 1024;

    /// Reads what a caller sent: `{"size_bytes":N}`, or null for none.
    ///
    /// # Errors
    /// `invalid_storage`.
    pub fn from_json(value: Value) -> Result<Option<Self>> {
        let refuse = || {
            Error::invalid(
                "invalid_storage",
                "storage",
                "storage must be null or {\"size_bytes\":N} with N from 16777216 (16 MiB) to 1099511627776 (1 TiB)",
            )
        };
        // serde would take an array for the object, too.
        if !value.is_null() && !value.is_object() {
            return Err(refuse());
        }
        let storage: Option<Self> = serde_json::from_value(value).map_err(|_| refuse())?;
        let is_good = storage.is_none_or(|storage| {
            (Self::LOWEST_BYTES..=Self::HIGHEST_BYTES).contains(&storage.size_bytes)
        });
        if is_good { Ok(storage) } else { Err(refuse()) }
    }

    /// Checks a change: storage may come and grow. What is stored goes with the
    /// server alone, so no slip of a finger takes it.
    ///
    /// # Errors
    /// `storage_shrinks`, or `limit_above_maximum` for what is more than before.
    pub fn check_change(wanted: Option<Self>, before: Option<Self>, maxima: &Maxima) -> Result<()> {
        let bytes = |storage: Option<Self>| storage.map_or(0, |storage| storage.size_bytes);
        if bytes(wanted) < bytes(before) {
            return Err(Error::Conflict {
                code: "storage_shrinks",
                field: Some("storage"),
                message: format!(
                    "the storage of a server can only grow: it has {} bytes, and keeps them until the server is deleted",
                    bytes(before)
                ),
            });
        }
        if bytes(wanted) > bytes(before) {
            maxima.check_storage(bytes(wanted))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn of(mib: u64) -> Option<Storage> {
        Some(Storage {
            size_bytes: mib * MIB,
        })
    }

    #[test]
    fn a_size_is_read_and_nothing_else() {
        let read = Storage::from_json(json!({"size_bytes": 64 * MIB}));
        assert_eq!(read.unwrap(), of(64));
        assert_eq!(Storage::from_json(Value::Null).unwrap(), None);
        for wrong in [
            json!({}),
            json!([64 * MIB]),
            json!(64 * MIB),
            json!("64m"),
            json!({"size_bytes": 0}),
            json!({"size_bytes": 16 * MIB - 1}),
            json!({"size_bytes": -1}),
            json!({"size_bytes": 1.5e8}),
            json!({"size_bytes": "64m"}),
            json!({"size_bytes": Storage::HIGHEST_BYTES + 1}),
            json!({"size_bytes": 64 * MIB, "path": "/etc"}),
        ] {
            let refused = Storage::from_json(wrong.clone()).unwrap_err();
            assert_eq!(refused.code(), "invalid_storage", "{wrong}");
        }
    }

    #[test]
    fn storage_comes_and_grows_within_the_maximum_and_never_shrinks() {
        let maxima = Maxima {
            storage_bytes: 100 * MIB,
            ..Maxima::of_host(0, 0)
        };
        let code = |wanted, before| {
            Storage::check_change(wanted, before, &maxima)
                .err()
                .map(|error| error.code())
        };
        assert_eq!(code(of(64), None), None);
        assert_eq!(code(of(100), of(64)), None);
        assert_eq!(code(None, None), None);
        assert_eq!(code(of(32), of(64)), Some("storage_shrinks"));
        assert_eq!(code(None, of(64)), Some("storage_shrinks"));
        assert_eq!(code(of(101), of(64)), Some("limit_above_maximum"));
        // What it had before the maximum was lowered stays.
        assert_eq!(code(of(200), of(200)), None);
    }
}
