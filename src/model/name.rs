//! Server names and entry objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;

/// Words a server may not be called, since public URLs share `/api/` with the
/// API's own resources.
pub const RESERVED_NAMES: &[&str] = &[
    "admin",
    "api",
    "audit",
    "backup",
    "ca",
    "check",
    "docs",
    "emcp",
    "events",
    "gate",
    "health",
    "healthz",
    "logs",
    "metrics",
    "names",
    "openapi",
    "overview",
    "ping",
    "readyz",
    "servers",
    "session",
    "settings",
    "templates",
    "tokens",
    "traefik",
    "usage",
    "version",
];

/// Words that can never name an object (Python Language Reference §2.3.1).
const PYTHON_KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

const NAME_MAX_CHARS: usize = 40;
const ENTRY_MAX_CHARS: usize = 64;

/// The unique name of a server: `^[a-z0-9](-?[a-z0-9])*$`, at most 40
/// characters, not a reserved word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a new server may have it. A name that reads as an id would stand
    /// for another server in every address that takes either; older servers
    /// keep theirs.
    ///
    /// # Errors
    /// `name_like_id`.
    pub fn check_new(&self) -> Result<(), Error> {
        if self.0.parse::<super::ServerId>().is_ok() {
            return Err(Error::invalid(
                "name_like_id",
                "name",
                "a name of this form would be taken for a server's id; choose another name",
            ));
        }
        Ok(())
    }
}

impl FromStr for ServerName {
    type Err = Error;

    /// What a new server may be called.
    fn from_str(text: &str) -> Result<Self, Error> {
        if RESERVED_NAMES.contains(&text) {
            return Err(Error::invalid(
                "reserved_name",
                "name",
                format!("\"{text}\" is a word EMCP uses itself; choose another name"),
            ));
        }
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ServerName {
    type Error = Error;

    /// What a server is called already: a word that has become EMCP's own since
    /// must not keep its record from being read.
    fn try_from(text: String) -> Result<Self, Error> {
        const RULE: &str = "use 1 to 40 lower-case letters, digits and single hyphens between them, for example \"weather-tools\"";
        let invalid = |message: String| Error::invalid("invalid_name", "name", message);
        if text.is_empty() {
            return Err(invalid(format!("the name is empty; {RULE}")));
        }
        if text.chars().count() > NAME_MAX_CHARS {
            return Err(invalid(format!(
                "the name is longer than {NAME_MAX_CHARS} characters; {RULE}"
            )));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.chars().all(allowed)
            || text.starts_with('-')
            || text.ends_with('-')
            || text.contains("--")
        {
            return Err(invalid(format!(
                "the name has characters that are not allowed; {RULE}"
            )));
        }
        Ok(Self(text))
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The Python name of the object to serve; a plain identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, max_length = 64)]
#[serde(try_from = "String", into = "String")]
pub struct EntryObject(String);

impl EntryObject {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EntryObject {
    fn default() -> Self {
        Self("mcp".to_owned())
    }
}

impl FromStr for EntryObject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut chars = text.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        if !starts_well
            || !chars.all(|c| c.is_alphanumeric() || c == '_')
            || text.chars().count() > ENTRY_MAX_CHARS
            || PYTHON_KEYWORDS.contains(&text)
        {
            return Err(Error::invalid(
                "invalid_entry_object",
                "entry_object",
                "the entry object must be one Python identifier of at most 64 characters, for example \"mcp\"",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EntryObject {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<EntryObject> for String {
    fn from(entry: EntryObject) -> Self {
        entry.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names_are_taken_as_they_are() {
        for good in ["a", "7", "demo", "my-server-2", &"x".repeat(40)] {
            assert_eq!(good.parse::<ServerName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_field() {
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a_b",
            "a.b",
            "a b",
            "é",
            "../x",
            "a\0b",
            "a/b",
            &"x".repeat(41),
        ] {
            let error = bad.parse::<ServerName>().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Invalid {
                        code: "invalid_name",
                        field: Some("name"),
                        ..
                    }
                ),
                "{bad:?} gave {error:?}"
            );
        }
    }

    #[test]
    fn a_server_that_has_a_word_of_today_from_before_is_still_read() {
        let name: ServerName = serde_json::from_str("\"usage\"").unwrap();
        assert_eq!(name.as_str(), "usage");
        assert!(serde_json::from_str::<ServerName>("\"Bad name\"").is_err());
    }

    #[test]
    fn a_new_name_does_not_read_as_an_id() {
        let id = super::super::ServerId::new().to_string();
        for like_id in [id.clone(), id.replace('-', "")] {
            let name: ServerName = like_id.parse().unwrap();
            assert_eq!(name.check_new().unwrap_err().code(), "name_like_id");
        }
        for good in ["demo", "0123456789abcdef", &id[1..]] {
            let name: ServerName = good.trim_matches('-').parse().unwrap();
            assert!(name.check_new().is_ok(), "{good}");
        }
    }

    #[test]
    fn reserved_names_are_refused_by_their_own_code() {
        for word in RESERVED_NAMES {
            let error = word.parse::<ServerName>().unwrap_err();
            assert!(matches!(
                error,
                Error::Invalid {
                    code: "reserved_name",
                    ..
                }
            ));
        }
    }

    #[test]
    fn entry_objects_are_identifiers() {
        assert!("mcp".parse::<EntryObject>().is_ok());
        assert!("_app2".parse::<EntryObject>().is_ok());
        for bad in ["", "class", "2a", "a.b", "a b", "a;b", &"x".repeat(65)] {
            assert!(bad.parse::<EntryObject>().is_err(), "{bad:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_never_needs_escaping(text in ".{0,60}") {
            if let Ok(name) = text.parse::<ServerName>() {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
                prop_assert!(!name.as_str().is_empty() && name.as_str().len() <= 40);
            }
        }
    }
}
