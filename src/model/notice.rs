//! What the operator should know of the platform while it goes on serving: codes
//! with arguments, and the one place that has the sentences for them.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Something the operator should look after. `code` is stable; `args` is there
/// where the code has any, with units in their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum KnownNotice {
    /// The operator's certificate or key cannot be read, or is none.
    CertificateUnreadable {
        /// What is wrong with which file.
        detail: String,
    },
    /// The operator's key is not that of the certificate.
    CertificateKeyMismatch,
    /// The operator's certificate is not valid yet.
    CertificateNotYetValid {
        /// From when on it is.
        #[schema(value_type = String, format = DateTime)]
        valid_from: Timestamp,
    },
    /// The operator's certificate is no longer valid.
    CertificateExpired {
        /// Since when.
        #[schema(value_type = String, format = DateTime)]
        expired_at: Timestamp,
    },
    /// The operator's certificate is for other hosts.
    CertificateWrongHost {
        /// The host that it should be for too.
        host: String,
    },
    /// The data directory's disk has less room than `EMCP_MIN_FREE_BYTES`.
    DiskLow {
        /// What is left.
        free_bytes: u64,
        /// The setting.
        min_free_bytes: u64,
    },
    /// The data directory's disk has no room left.
    DiskFull {
        /// What is left.
        free_bytes: u64,
    },
}

impl KnownNotice {
    /// The code, and the arguments where it has any.
    pub fn code_and_args(&self) -> (String, Option<Map<String, Value>>) {
        super::reason::code_and_args(self)
    }

    /// Whether a certificate with this fault can be served at all: clients that
    /// look at it refuse it, and others go on.
    pub fn is_servable(&self) -> bool {
        matches!(
            self,
            Self::CertificateNotYetValid { .. }
                | Self::CertificateExpired { .. }
                | Self::CertificateWrongHost { .. }
        )
    }
}

/// What happens until it is right.
const KEPT: &str = "the last good certificate stays in use until this one is right";

impl fmt::Display for KnownNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes / (1024 * 1024);
        match self {
            Self::CertificateUnreadable { detail } => {
                write!(f, "your own certificate cannot be used: {detail}; {KEPT}")
            }
            Self::CertificateKeyMismatch => write!(
                f,
                "the key in EMCP_TLS_KEY_FILE is not that of the certificate in EMCP_TLS_CERT_FILE (is a renewal half done?); {KEPT}"
            ),
            Self::CertificateNotYetValid { valid_from } => write!(
                f,
                "the certificate in EMCP_TLS_CERT_FILE is valid only from {valid_from} on; {KEPT}"
            ),
            Self::CertificateExpired { expired_at } => write!(
                f,
                "the certificate in EMCP_TLS_CERT_FILE has expired ({expired_at}): renew it; {KEPT}"
            ),
            Self::CertificateWrongHost { host } => write!(
                f,
                "the certificate in EMCP_TLS_CERT_FILE is not for {host}; get one that names it; {KEPT}"
            ),
            Self::DiskLow {
                free_bytes,
                min_free_bytes,
            } => write!(
                f,
                "the data directory's disk has {} MiB left, less than the {} MiB of EMCP_MIN_FREE_BYTES; make room before it is full",
                mib(free_bytes),
                mib(min_free_bytes)
            ),
            Self::DiskFull { free_bytes } => write!(
                f,
                "the data directory's disk is full ({free_bytes} bytes left): servers run on, nothing can be changed and no output is kept; make room"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notice_has_its_code_and_arguments() {
        let low = KnownNotice::DiskLow {
            free_bytes: 5 << 20,
            min_free_bytes: 9 << 20,
        };
        let (code, args) = low.code_and_args();
        assert_eq!(code, "disk_low");
        let expected = json!({"free_bytes": 5_242_880, "min_free_bytes": 9_437_184});
        assert_eq!(Value::from(args.unwrap()), expected);
        assert!(low.to_string().contains("5 MiB left, less than the 9 MiB"));
    }
}
