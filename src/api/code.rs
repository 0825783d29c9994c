//! `/api/servers/{id}/code` and `…/versions`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Release;

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

impl From<Release> for VersionView {
    fn from(release: Release) -> Self {
        Self {
            number: release.number,
            sha256: release.sha256,
            size_bytes: release.size_bytes,
            uploaded_by: release.uploaded_by.name,
            uploaded_at: release.uploaded_at,
            last_in_use_at: release.last_in_use_at,
        }
    }
}

/// A file as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Binary)]
pub struct FileBytes(pub Vec<u8>);

/// The next version of a server's code, as a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeForm {
    /// One Python file, in UTF-8 or the encoding that it declares.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub file: String,
}

/// The next version of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    /// One Python file.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub code: String,
}
