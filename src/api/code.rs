//! `/api/servers/{id}/code` and `…/versions`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::CodeVersion;

/// The versions of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Oldest first.
    pub versions: Vec<VersionView>,
}

/// One immutable upload of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CodeVersion)]
pub struct VersionView {
    /// 1 for the first upload.
    pub number: u32,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub uploaded_at: Timestamp,
    /// Until when it was in use, the last time; absent for the one in use, and
    /// where an earlier EMCP did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    pub last_in_use_at: Option<Timestamp>,
}

impl From<CodeVersion> for VersionView {
    fn from(version: CodeVersion) -> Self {
        Self {
            number: version.number,
            sha256: version.sha256,
            size_bytes: version.size_bytes,
            uploaded_by: version.uploaded_by.name,
            uploaded_at: version.uploaded_at,
            last_in_use_at: version.last_in_use_at,
        }
    }
}

/// The next version of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    /// One Python file.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub code: String,
}
