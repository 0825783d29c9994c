//! `/api/servers/{id}/env`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{EnvVarView, RawEnvVar};

/// A server's variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvList {
    /// Secrets' values are masked.
    pub env: Vec<EnvVarView>,
}

/// A whole set of variables: the list, or what `GET` answered.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EnvUpdate {
    /// The list alone.
    List(Vec<RawEnvVar>),
    /// The list in an object.
    Object {
        /// The list.
        env: Vec<RawEnvVar>,
    },
}
