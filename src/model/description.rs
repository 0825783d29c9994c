//! What a server is for, in its owner's words.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Result};

/// The longest one taken, in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// Free text for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Description(String);

impl Description {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::invalid(
                "description_too_long",
                "description",
                "the description is longer than 4 KiB",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}
