//! Environment variables: keys that cannot clash with the container contract,
//! values that cannot break it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;

/// What stands in place of a secret value wherever EMCP shows it.
pub const SECRET_MASK: &str = "******";

/// The longest value taken, in bytes: well under the kernel's limit of 128 KiB
/// for one string (`MAX_ARG_STRLEN`, execve(2)).
pub const ENV_VALUE_MAX_BYTES: usize = 32 * 1024;

const KEY_MAX_CHARS: usize = 128;
const VARS_MAX: usize = 200;
const RESERVED_PREFIX: &str = "EMCP_";

/// Variables that decide how the bootstrap itself runs; a user's value would
/// break the container, not configure the server.
const RESERVED_KEYS: &[&str] = &["PYTHONHOME", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// The name of an environment variable: POSIX letters, digits, underscore.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvKey(String);

impl EnvKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EnvKey {
    type Err = Error;

    /// The rule is IEEE Std 1003.1 §8.1 with lower-case letters allowed too.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut chars = text.chars();
        let starts_well = chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts_well
            || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            || text.len() > KEY_MAX_CHARS
        {
            return Err(Error::invalid(
                "invalid_env_key",
                "env",
                "an environment key must be 1 to 128 letters, digits and underscores and not begin with a digit",
            ));
        }
        let upper = text.to_ascii_uppercase();
        if upper.starts_with(RESERVED_PREFIX) || RESERVED_KEYS.contains(&upper.as_str()) {
            return Err(Error::invalid(
                "reserved_env_key",
                "env",
                format!("\"{text}\" is reserved for EMCP; choose another key"),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EnvKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<EnvKey> for String {
    fn from(key: EnvKey) -> Self {
        key.0
    }
}

/// One variable as a caller sends it. `Debug` never shows the value: it may be
/// a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEnvVar {
    /// The name; `EMCP_*` and some others are reserved.
    #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
    pub key: String,
    /// The value; a secret sent without one keeps what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it is sealed at rest and masked in every answer.
    #[serde(default)]
    pub is_secret: bool,
}

/// One checked variable of a whole-set update.
#[derive(Clone)]
pub struct EnvVarInput {
    /// The name.
    pub key: EnvKey,
    /// The value; `None` keeps the stored one of a secret.
    pub value: Option<String>,
    /// Whether it is sealed at rest and masked in every answer.
    pub is_secret: bool,
}

impl fmt::Debug for EnvVarInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvVarInput")
            .field("key", &self.key)
            .field("is_secret", &self.is_secret)
            .finish_non_exhaustive()
    }
}

/// One variable as shown: a secret's value is the mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvVarView {
    /// The name.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// The value, or [`SECRET_MASK`].
    pub value: String,
    /// Whether it is a secret.
    pub is_secret: bool,
}

/// Reads a whole set of variables from JSON: an array, or an object with an
/// `env` array.
///
/// A secret whose value is missing or the mask keeps its stored value, so that
/// what `GET` answered can be sent back unchanged.
///
/// # Errors
/// `invalid_env`, `invalid_env_key`, `reserved_env_key`, `duplicate_env_key`
/// or `invalid_env_value`, naming the key. Values are never repeated.
pub fn parse_env_json(bytes: &[u8]) -> Result<Vec<EnvVarInput>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        List(Vec<serde_json::Value>),
        Object { env: Vec<serde_json::Value> },
    }
    const SHAPE: &str = "env must be a JSON array of {\"key\":…,\"value\":…,\"is_secret\":…}";
    let refuse = |message: String| Error::invalid("invalid_env", "env", message);
    let body: Body = serde_json::from_slice(bytes).map_err(|_| refuse(SHAPE.to_owned()))?;
    let (Body::List(items) | Body::Object { env: items }) = body;
    if items.len() > VARS_MAX {
        return Err(refuse(format!("at most {VARS_MAX} variables are taken")));
    }
    let mut seen = BTreeSet::new();
    let mut vars = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        // Only an object: serde would take an array's items by their order. Its
        // error is not passed on: it may quote the value.
        let item = if item.is_object() {
            item
        } else {
            serde_json::Value::Null
        };
        let raw: RawEnvVar = serde_json::from_value(item).map_err(|_| {
            refuse(format!(
                "entry {} is not of the right shape; {SHAPE}",
                index + 1
            ))
        })?;
        let var = check_var(raw)?;
        if !seen.insert(var.key.clone()) {
            return Err(Error::invalid(
                "duplicate_env_key",
                "env",
                format!("\"{}\" stands more than once", var.key),
            ));
        }
        vars.push(var);
    }
    Ok(vars)
}

fn check_var(raw: RawEnvVar) -> Result<EnvVarInput, Error> {
    let key: EnvKey = raw.key.parse()?;
    let refuse = |problem: &str| {
        Error::invalid(
            "invalid_env_value",
            "env",
            format!("the value of \"{key}\" {problem}"),
        )
    };
    let value = match raw.value {
        Some(mask) if raw.is_secret && mask == SECRET_MASK => None,
        None if !raw.is_secret => return Err(refuse("is missing")),
        other => other,
    };
    if let Some(text) = &value {
        if text.contains('\0') {
            return Err(refuse("contains a NUL character"));
        }
        if text.len() > ENV_VALUE_MAX_BYTES {
            return Err(refuse("is longer than 32 KiB"));
        }
    }
    Ok(EnvVarInput {
        key,
        value,
        is_secret: raw.is_secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str) -> &'static str {
        match parse_env_json(json.as_bytes()) {
            Err(Error::Invalid { code, .. }) => code,
            other => panic!("{json} gave {other:?}"),
        }
    }

    #[test]
    fn a_set_is_read_whole_from_both_shapes() {
        let list = r#"[{"key":"A","value":"1"},{"key":"B","value":"x","is_secret":true}]"#;
        let vars = parse_env_json(list.as_bytes()).unwrap();
        assert_eq!(vars.len(), 2);
        assert!(vars[1].is_secret);
        let object = format!("{{\"env\":{list}}}");
        assert_eq!(parse_env_json(object.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn a_secret_without_value_or_with_the_mask_keeps_the_stored_one() {
        let json =
            r#"[{"key":"A","is_secret":true},{"key":"B","value":"******","is_secret":true}]"#;
        let vars = parse_env_json(json.as_bytes()).unwrap();
        assert!(vars.iter().all(|var| var.value.is_none()));
    }

    #[test]
    fn bad_sets_are_refused_by_code() {
        assert_eq!(code("{}"), "invalid_env");
        assert_eq!(code("[1]"), "invalid_env");
        assert_eq!(code(r#"[["A", "1", false]]"#), "invalid_env");
        assert_eq!(
            code(r#"[{"key":"A","value":"1","extra":1}]"#),
            "invalid_env"
        );
        assert_eq!(code(r#"[{"key":"A=B","value":"1"}]"#), "invalid_env_key");
        assert_eq!(code(r#"[{"key":"","value":"1"}]"#), "invalid_env_key");
        assert_eq!(
            code(r#"[{"key":"EMCP_X","value":"1"}]"#),
            "reserved_env_key"
        );
        assert_eq!(
            code(r#"[{"key":"emcp_x","value":"1"}]"#),
            "reserved_env_key"
        );
        assert_eq!(
            code(r#"[{"key":"A","value":"a\u0000b"}]"#),
            "invalid_env_value"
        );
        assert_eq!(code(r#"[{"key":"A"}]"#), "invalid_env_value");
        assert_eq!(
            code(r#"[{"key":"A","value":"1"},{"key":"A","value":"2"}]"#),
            "duplicate_env_key"
        );
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let vars = parse_env_json(br#"[{"key":"A","value":"hunter2","is_secret":true}]"#).unwrap();
        assert!(!format!("{vars:?}").contains("hunter2"));
    }
}
