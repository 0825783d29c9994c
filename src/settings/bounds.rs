//! Settings that bound servers and people, and how long old versions stay.

use std::fmt;

use url::Url;

use super::SettingsInput;
use crate::model::{Limits, Maxima, Quota, Retention};

/// What the operator has said of the bounds; `None` is a share of the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundSettings {
    /// Most memory of one server, in bytes.
    pub max_memory_bytes: Option<u64>,
    /// Most CPUs of one server.
    pub max_cpus: Option<f64>,
    /// Most processes of one server.
    pub max_pids: Option<u32>,
    /// Most storage of one server, in bytes.
    pub max_storage_bytes: Option<u64>,
    /// Most memory of one person's running servers, in bytes.
    pub quota_memory_bytes: Option<u64>,
    /// The rest of a person's quota.
    pub quota: Quota,
}

impl BoundSettings {
    /// The bounds on a host with so much memory and so many CPUs.
    pub fn on_host(&self, memory_bytes: u64, cpus: u64) -> (Maxima, Quota) {
        let shares = Maxima::of_host(memory_bytes, cpus);
        let maxima = Maxima {
            memory_bytes: self.max_memory_bytes.unwrap_or(shares.memory_bytes),
            cpus: self.max_cpus.unwrap_or(shares.cpus),
            pids: self.max_pids.unwrap_or(shares.pids),
            storage_bytes: self.max_storage_bytes.unwrap_or(shares.storage_bytes),
        };
        let quota = Quota {
            memory_bytes: self.quota_memory_bytes.unwrap_or(shares.memory_bytes),
            ..self.quota
        };
        (maxima, quota)
    }
}

/// Where the audit log is sent besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// `host:port`, a datagram each (RFC 5426).
    Udp(String),
    /// `host:port`, counted in octets (RFC 6587 §3.4.1).
    Tcp(String),
    /// A datagram socket such as `/dev/log`.
    Unix(std::path::PathBuf),
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl SettingsInput {
    /// # Errors
    /// Every mistake, with its field.
    pub(super) fn check_bounds(&self) -> Result<BoundSettings, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let (least, most) = (Limits::LOWEST, Limits::HIGHEST);
        let mut bytes = |field, text: &Option<String>, least: u64| {
            let value = text.as_deref().map(|text| parse_bytes(text, least));
            value.transpose().unwrap_or_else(|problem| {
                problems.push((field, problem));
                None
            })
        };
        let max_memory_bytes = bytes("max_memory", &self.max_memory, least.memory_bytes);
        // 0 is for nobody to have any.
        let max_storage_bytes = bytes("max_storage", &self.max_storage, 0);
        let quota_memory_bytes = bytes("quota_memory", &self.quota_memory, 0);
        let stored_bytes = bytes("quota_storage", &self.quota_storage, 0);
        if max_memory_bytes.is_some_and(|bytes| bytes > most.memory_bytes) {
            problems.push(("max_memory", "must be at most 1t".to_owned()));
        }
        if self
            .max_cpus
            .is_some_and(|cpus| !(least.cpus..=most.cpus).contains(&cpus))
        {
            problems.push(("max_cpus", "must be from 0.05 to 256".to_owned()));
        }
        if self
            .max_pids
            .is_some_and(|pids| !(least.pids..=most.pids).contains(&pids))
        {
            problems.push(("max_pids", "must be from 16 to 32768".to_owned()));
        }
        if self.quota_writes_per_minute == Some(0) {
            let problem = "must be 1 or more".to_owned();
            problems.push(("quota_writes_per_minute", problem));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(BoundSettings {
            max_memory_bytes,
            max_cpus: self.max_cpus,
            max_pids: self.max_pids,
            max_storage_bytes,
            quota_memory_bytes,
            quota: Quota {
                servers: self.quota_servers.unwrap_or(50).into(),
                memory_bytes: 0,
                stored_bytes: stored_bytes.unwrap_or(512 << 20),
                tokens: self.quota_tokens.unwrap_or(100).into(),
                writes_per_minute: self.quota_writes_per_minute.unwrap_or(120).into(),
            },
        })
    }

    pub(super) fn check_retention(&self) -> Result<Retention, String> {
        let newest = self.versions_kept.unwrap_or(20);
        let days = self.versions_kept_days.unwrap_or(30);
        if newest == 0 || days > 3_650 {
            return Err(
                "keep at least 1 version, and for at most 3650 days after its last use".to_owned(),
            );
        }
        Ok(Retention {
            newest: usize::try_from(newest).unwrap_or(usize::MAX),
            days,
        })
    }

    pub(super) fn check_audit_syslog(&self) -> Result<Option<SyslogTarget>, String> {
        let Some(text) = &self.audit_syslog else {
            return Ok(None);
        };
        let wrong =
            || format!("\"{text}\" is not like udp://HOST:514, tcp://HOST:601 or unix:///dev/log");
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_bare =
            url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let address = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) if is_bare && matches!(url.path(), "" | "/") => {
                Some(format!("{host}:{port}"))
            }
            _ => None,
        };
        let target = match url.scheme() {
            "udp" => address.map(SyslogTarget::Udp),
            "tcp" => address.map(SyslogTarget::Tcp),
            "unix" if is_bare && url.host_str().is_none_or(str::is_empty) => {
                let path = std::path::PathBuf::from(url.path());
                path.file_name()
                    .is_some()
                    .then_some(SyslogTarget::Unix(path))
            }
            _ => None,
        };
        target.map(Some).ok_or_else(wrong)
    }
}

/// A number of bytes, or one of KiB, MiB, GiB or TiB: `512m`, `16g`.
fn parse_bytes(text: &str, least: u64) -> Result<u64, String> {
    let text = text.trim().to_ascii_lowercase();
    let (number, shift) = match text.strip_suffix(['k', 'm', 'g', 't']) {
        Some(number) if text.ends_with('k') => (number, 10),
        Some(number) if text.ends_with('m') => (number, 20),
        Some(number) if text.ends_with('g') => (number, 30),
        Some(number) => (number, 40),
        None => (text.as_str(), 0),
    };
    number
        .trim()
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| *bytes >= least)
        .ok_or_else(|| {
            format!("\"{text}\" must be a number of bytes like 512m or 16g, and at least {least}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_docker_takes_them() {
        assert_eq!(parse_bytes("512m", 0), Ok(512 << 20));
        assert_eq!(parse_bytes(" 16G ", 0), Ok(16 << 30));
        assert_eq!(parse_bytes("1024", 0), Ok(1024));
        for wrong in ["", "g", "1.5g", "-1", "99999999999t", "12 parsecs"] {
            assert!(parse_bytes(wrong, 0).is_err(), "{wrong}");
        }
        assert!(parse_bytes("1k", 64 << 20).is_err());
    }

    #[test]
    fn what_is_not_set_is_a_share_of_the_host() {
        let set = SettingsInput {
            max_cpus: Some(2.0),
            ..SettingsInput::default()
        };
        let (maxima, quota) = set.check_bounds().unwrap().on_host(8 << 30, 4);
        assert_eq!((maxima.memory_bytes, maxima.cpus), (4 << 30, 2.0));
        assert_eq!(maxima.storage_bytes, 10 << 30);
        assert_eq!((quota.memory_bytes, quota.servers), (4 << 30, 50));
        let all_wrong = SettingsInput {
            max_memory: Some("1k".into()),
            max_cpus: Some(f64::NAN),
            max_pids: Some(1),
            max_storage: Some("much".into()),
            quota_writes_per_minute: Some(0),
            ..SettingsInput::default()
        };
        assert_eq!(all_wrong.check_bounds().unwrap_err().len(), 5);
    }

    #[test]
    fn a_syslog_target_is_an_address_or_a_socket() {
        let target = |text: &str| {
            let input = SettingsInput {
                audit_syslog: Some(text.into()),
                ..SettingsInput::default()
            };
            input.check_audit_syslog()
        };
        let udp = SyslogTarget::Udp("log.example:514".into());
        assert_eq!(target("udp://log.example:514"), Ok(Some(udp)));
        let tcp = SyslogTarget::Tcp("[::1]:601".into());
        assert_eq!(target("tcp://[::1]:601"), Ok(Some(tcp)));
        let unix = SyslogTarget::Unix("/dev/log".into());
        assert_eq!(target("unix:///dev/log"), Ok(Some(unix)));
        for wrong in [
            "log.example",
            "udp://log.example",
            "tls://a:1",
            "unix://",
            "udp://a:1/x",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
