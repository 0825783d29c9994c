//! The one domain error. It knows nothing of HTTP; `http::error` maps it to a
//! status with one exhaustive match.

/// Shorthand for results of the domain.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in a call, in the caller's words.
///
/// `code` values are stable: clients match on them, and `docs/api.md` lists
/// them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule; the message says which and what to do.
    #[error("{message}")]
    Invalid {
        /// Stable code.
        code: &'static str,
        /// The field of the input that is wrong, if it is one field.
        field: Option<&'static str>,
        /// What is wrong and what to do.
        message: String,
    },
    /// The request carries more bytes than allowed.
    #[error("{message}")]
    TooLarge {
        /// The field of the input that is too large.
        field: Option<&'static str>,
        /// The limit, in words.
        message: String,
    },
    /// No or no valid credential.
    #[error("{message}")]
    Unauthenticated {
        /// Whether a token was shown, and is none that is good here.
        is_wrong: bool,
        /// What to send.
        message: String,
    },
    /// The caller is known and may not do this.
    #[error("{message}")]
    Forbidden {
        /// Stable code.
        code: &'static str,
        /// What is missing.
        message: String,
    },
    /// Too many wrong tokens came from the caller's address.
    #[error(
        "too many wrong tokens came from your address; try again in {retry_after_secs} s, with the right one"
    )]
    TooManyAttempts {
        /// When the address is listened to again.
        retry_after_secs: u64,
    },
    /// More at once than the caller, a server or EMCP itself may have.
    #[error("{message}")]
    TooMany {
        /// Stable code.
        code: &'static str,
        /// The limit, and what to do.
        message: String,
        /// When to try again.
        retry_after_secs: u64,
    },
    /// There is no such thing.
    #[error("{message}")]
    NotFound {
        /// Stable code.
        code: &'static str,
        /// What was looked for.
        message: String,
    },
    /// The thing exists in a state that does not allow this.
    #[error("{message}")]
    Conflict {
        /// Stable code.
        code: &'static str,
        /// The field that clashes, if it is one field.
        field: Option<&'static str>,
        /// What clashes and what to do.
        message: String,
    },
    /// The thing is not what it was when the caller looked at it.
    #[error("{message}")]
    Changed {
        /// What has changed, and what to do.
        message: String,
    },
    /// Another error, with the names and numbers in its sentence for programs.
    #[error("{error}")]
    Explained {
        /// The error.
        error: Box<Error>,
        /// By name.
        args: Vec<(&'static str, String)>,
    },
    /// A part EMCP depends on does not answer now.
    #[error("{message}")]
    Unavailable {
        /// Stable code.
        code: &'static str,
        /// What does not answer, and when to try again.
        message: String,
    },
    /// A user's server gave no good answer to EMCP itself.
    #[error("{message}")]
    Upstream {
        /// Stable code.
        code: &'static str,
        /// What it answered, or that it did not.
        message: String,
    },
    /// A fault of EMCP or its machine. The text is for the log only.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An input that breaks a rule of one field.
    pub fn invalid(code: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            code,
            field: Some(field),
            message: message.into(),
        }
    }

    /// An input that is wrong as a whole.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            code,
            field: None,
            message: message.into(),
        }
    }

    /// No server of this id or name.
    pub fn no_server(wanted: &str) -> Self {
        Self::NotFound {
            code: "server_not_found",
            message: format!(
                "there is no server with the id or name \"{}\"",
                shorten(wanted)
            ),
        }
    }

    /// A name that another server has.
    pub fn name_taken(name: &super::ServerName) -> Self {
        Self::Conflict {
            code: "name_taken",
            field: Some("name"),
            message: format!(
                "a server named \"{name}\" exists already; choose another name or update that one"
            ),
        }
    }

    /// A name that another token has, and one that none has.
    pub fn token_name_taken(name: &str, free: &str) -> Self {
        let taken = Self::Conflict {
            code: "token_name_taken",
            field: Some("name"),
            message: format!(
                "a token named \"{name}\" exists already; choose another name, such as \"{free}\", or revoke that one first"
            ),
        };
        taken.with("name", name).with("free", free)
    }

    /// The same, with an argument of its sentence for programs.
    #[must_use]
    pub fn with(self, name: &'static str, value: &str) -> Self {
        let (error, mut args) = match self {
            Self::Explained { error, args } => (error, args),
            other => (Box::new(other), Vec::new()),
        };
        args.push((name, value.to_owned()));
        Self::Explained { error, args }
    }

    /// The error without its arguments, and those.
    pub fn parts(&self) -> (&Self, &[(&'static str, String)]) {
        match self {
            Self::Explained { error, args } => (error, args),
            other => (other, &[]),
        }
    }

    /// A version that EMCP has removed for its age.
    pub fn version_pruned(number: u32) -> Self {
        Self::NotFound {
            code: "version_pruned",
            message: format!(
                "version {number} was removed, since it is old and was not in use lately (EMCP_VERSIONS_KEPT, EMCP_VERSIONS_KEPT_DAYS); upload that code again if it is needed"
            ),
        }
    }

    /// The disk of the data directory has no room left.
    pub fn disk_full() -> Self {
        Self::Unavailable {
            code: "disk_full",
            message: "the data directory's disk is full; free some space and try again".to_owned(),
        }
    }

    /// The stable code that clients match on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. }
            | Self::Forbidden { code, .. }
            | Self::TooMany { code, .. }
            | Self::NotFound { code, .. }
            | Self::Conflict { code, .. }
            | Self::Unavailable { code, .. }
            | Self::Upstream { code, .. } => code,
            Self::TooLarge { .. } => "too_large",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Changed { .. } => "precondition_failed",
            Self::Explained { error, .. } => error.code(),
            Self::Internal(_) => "internal",
        }
    }

    /// A fault inside EMCP; `context` says what was being done.
    pub fn internal(context: &str, source: impl std::fmt::Display) -> Self {
        Self::Internal(format!("{context}: {source}"))
    }
}

/// Bounds text that came from a caller before it goes into a message.
fn shorten(text: &str) -> String {
    const LIMIT_CHARS: usize = 64;
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(LIMIT_CHARS)
        .collect();
    if text.chars().count() > LIMIT_CHARS {
        format!("{clean}…")
    } else {
        clean
    }
}
