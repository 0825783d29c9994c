//! What a server's file finds in `sys.argv[1:]`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Error, Result};

/// Far more than any command line that somebody wrote by hand.
const ARGS_MAX: usize = 100;
/// All of them together. Written as JSON they have at most six times as many,
/// which is under the kernel's 128 KiB for one string (`MAX_ARG_STRLEN`,
/// execve(2)) with room for quotes and commas.
const ARGS_MAX_BYTES: usize = 16 * 1024;

/// How one of them is described.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[^\\u0000]*$")]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct Arg(String);

/// The arguments of a server's file, in order; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schema(value_type = Vec<Arg>, max_items = 100)]
pub struct Args(Vec<String>);

impl Args {
    /// Reads what a caller sent: a list of strings, or null for none.
    ///
    /// # Errors
    /// `invalid_args`, saying which of them is wrong.
    pub fn from_json(value: Value) -> Result<Self> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Array(items) => {
                let texts = items.into_iter().map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(refuse(
                        "args must be a JSON array of strings, such as [\"--rows\", \"2\"]",
                    )),
                });
                Self::try_from(texts.collect::<Result<Vec<String>>>()?)
            }
            _ => Err(refuse(
                "args must be a JSON array of strings, such as [\"--rows\", \"2\"]",
            )),
        }
    }

    /// One after the other.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// As the container contract has them (`EMCP_ARGS`, `base-image/README.md`).
    pub fn to_json(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }
}

impl TryFrom<Vec<String>> for Args {
    type Error = Error;

    fn try_from(texts: Vec<String>) -> Result<Self> {
        if texts.len() > ARGS_MAX {
            return Err(refuse(format!(
                "there are {} arguments, at most {ARGS_MAX} are taken",
                texts.len()
            )));
        }
        if let Some(index) = texts.iter().position(|text| text.contains('\0')) {
            return Err(refuse(format!(
                "argument {} contains a NUL character",
                index + 1
            )));
        }
        if texts.iter().map(String::len).sum::<usize>() > ARGS_MAX_BYTES {
            return Err(refuse(
                "the arguments are longer than 16 KiB together; put long texts into environment variables",
            ));
        }
        Ok(Self(texts))
    }
}

impl From<Args> for Vec<String> {
    fn from(args: Args) -> Self {
        args.0
    }
}

fn refuse(message: impl Into<String>) -> Error {
    Error::invalid("invalid_args", "args", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_strings_is_taken_in_order_and_nothing_else() {
        let args = Args::from_json(json!(["--rows", "2", "", "ä b"])).unwrap();
        assert_eq!(args.as_slice(), ["--rows", "2", "", "ä b"]);
        assert_eq!(args.to_json(), r#"["--rows","2","","ä b"]"#);
        assert_eq!(Args::from_json(Value::Null).unwrap(), Args::default());
        let too_many = json!(vec!["x"; ARGS_MAX + 1]);
        let too_long = json!(["x".repeat(ARGS_MAX_BYTES), "x"]);
        for wrong in [
            json!("--rows 2"),
            json!({"0": "--rows"}),
            json!(["--rows", 2]),
            json!([["--rows"]]),
            json!([null]),
            json!(["a\0b"]),
            too_many,
            too_long,
        ] {
            let refused = Args::from_json(wrong.clone()).unwrap_err();
            assert_eq!(refused.code(), "invalid_args", "{wrong}");
        }
    }

    #[test]
    fn the_longest_fit_into_one_variable() {
        // Characters that JSON writes with six bytes.
        let each = "\u{1}".repeat(ARGS_MAX_BYTES / ARGS_MAX);
        let args = Args::try_from(vec![each; ARGS_MAX]).unwrap();
        assert!("EMCP_ARGS=".len() + args.to_json().len() < 128 * 1024);
    }
}
