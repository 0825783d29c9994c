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

/// The next version of a server's code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    /// One Python file.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub code: String,
}
