//! What of a server's code was uploaded once, and never changes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BundleDigest, BundlePath, Principal};

/// One immutable release of a server: what the API calls a version is its
/// number. Its files lie beside the records, found by their content
/// (`crate::bundles`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// 1 for the first.
    pub number: u32,
    /// Its files.
    pub bundle: BundleDigest,
    /// The one of them that is served.
    pub entry_file: BundlePath,
    /// SHA-256 of that one, hexadecimal.
    pub sha256: String,
    /// What all of them have together, in bytes.
    pub size_bytes: u64,
    /// Who made it.
    pub uploaded_by: Principal,
    /// When.
    pub uploaded_at: Timestamp,
    /// Until when it was in use, the last time; absent for the one in use, and
    /// where an earlier EMCP did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_in_use_at: Option<Timestamp>,
}

impl Release {
    /// The release of one file.
    pub fn of_file(number: u32, content: &[u8], by: Principal, at: Timestamp) -> Self {
        let sha256 = Sha256::digest(content).into();
        let size_bytes = content.len() as u64;
        Self {
            number,
            bundle: BundleDigest::of_file(sha256, size_bytes),
            entry_file: BundlePath::only_file(),
            sha256: hex::encode(sha256),
            size_bytes,
            uploaded_by: by,
            uploaded_at: at,
            last_in_use_at: None,
        }
    }
}
