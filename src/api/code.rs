//! `/api/servers/{id}/code` and `…/versions`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::CodeVersion;

/// The versions of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// Oldest first.
    pub versions: Vec<CodeVersion>,
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
