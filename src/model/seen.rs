//! What a caller has seen of a server before changing it, so that nobody
//! overwrites what somebody else has done meanwhile (RFC 9110 §8.8.3, §13.1.1).
//!
//! Settings, code and environment have a tag each: a form of one is not outdated
//! by a change of another, nor by a start or stop.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Result, Server};

/// An entity tag, with its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Tag(String);

impl Tag {
    /// As a header has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tags of a server's parts, each to be sent as `If-Match` with a change of
/// that part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Etags {
    /// Of what `PATCH` changes.
    pub settings: Tag,
    /// Of the code in use.
    pub code: Tag,
    /// Of the environment.
    pub env: Tag,
}

impl Server {
    /// The tags of its parts as they are now.
    pub fn etags(&self) -> Etags {
        // A name may be another server's later; an id never is.
        let tag = |part: &str, revision: u64| Tag(format!("\"{}/{part}/{revision}\"", self.id));
        Etags {
            settings: tag("settings", self.settings_revision),
            code: tag("code", self.version.into()),
            env: tag("env", self.env_revision),
        }
    }
}

/// What a change is conditional on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(Option<Vec<String>>);

impl Seen {
    /// From the lines of `If-Match`; none asks for nothing. A weak tag, or a
    /// word without quotes, is never that of anything here.
    pub fn from_if_match<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let tags = lines.into_iter().flat_map(|line| line.split(','));
        let tags: Vec<String> = tags.map(|tag| tag.trim().to_owned()).collect();
        Self((!tags.is_empty()).then_some(tags))
    }

    /// Goes on where the part is what the caller has seen, or where they did not
    /// say what they have.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn require(&self, now: &Tag) -> Result<()> {
        let Some(tags) = &self.0 else { return Ok(()) };
        if tags.iter().any(|tag| tag == "*" || tag == now.as_str()) {
            return Ok(());
        }
        Err(Error::Changed {
            message: format!(
                "this has been changed since you read it (its ETag is {} now); read it again, put your change on top, and send that ETag as If-Match",
                now.as_str()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Principal, ServerId};

    fn server() -> Server {
        let name = "demo".parse().unwrap();
        let creator = Principal::by_name("ada");
        Server::new(ServerId::new(), name, creator, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_change_goes_on_where_one_of_the_tags_is_that_of_now() {
        let tag = server().etags().settings;
        let passes = |lines: &[&str]| {
            let seen = Seen::from_if_match(lines.iter().copied());
            seen.require(&tag).is_ok()
        };
        let now = tag.as_str();
        assert!(passes(&[]));
        assert!(passes(&["*"]));
        assert!(passes(&[now]));
        assert!(passes(&[&format!("\"old\", {now}")]));
        assert!(passes(&["\"old\"", now]));
        for other in ["", "\"old\"", now.trim_matches('"'), &format!("W/{now}")] {
            assert!(!passes(&[other]), "{other}");
        }
        let refused = Seen::from_if_match(["\"old\""]).require(&tag).unwrap_err();
        assert_eq!(refused.code(), "precondition_failed");
        assert!(refused.to_string().contains(now), "{refused}");
    }

    #[test]
    fn each_part_of_each_server_has_a_tag_of_its_own() {
        let (one, other) = (server(), server());
        let tags = |server: &Server| {
            let Etags {
                settings,
                code,
                env,
            } = server.etags();
            [settings, code, env]
        };
        let all = [tags(&one), tags(&other)].concat();
        for (place, tag) in all.iter().enumerate() {
            assert!(!all[..place].contains(tag), "{tag:?}");
        }
        let changed = Server {
            generation: 7,
            revision: 7,
            env_revision: 7,
            ..one.clone()
        };
        assert_eq!(changed.etags().settings, one.etags().settings);
        assert_eq!(changed.etags().code, one.etags().code);
        assert_ne!(changed.etags().env, one.etags().env);
    }
}
