//! One typed struct of settings, from flags, `EMCP_*` variables and an optional
//! TOML file, checked at start-up with all mistakes reported at once.

mod bounds;
mod check;
mod input;
mod origins;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::model::{Retention, ServerNetworks, SleepAfter};

pub use bounds::{BoundSettings, SyslogTarget};
pub use input::SettingsInput;

/// Where a start-up secret comes from.
#[derive(Clone)]
pub enum SecretSource {
    /// Given in the environment.
    Given(SecretString),
    /// In a file the operator keeps.
    File(PathBuf),
    /// In the data directory; made at the first start.
    DataDir,
}

/// Proxies for servers in place of EMCP's own; "off" for none. Addresses may
/// have credentials in them: no `Debug`.
#[derive(Clone, Default)]
pub struct ProxyChoice {
    /// For HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// What is reached without one.
    pub no_proxy: Option<String>,
}

/// Which certificate Traefik serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// From EMCP's local CA.
    LocalCa,
    /// The operator's own files.
    Files {
        /// Certificate chain, PEM.
        cert: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
    /// A certificate resolver of Traefik's, by name.
    Resolver(String),
}

/// Checked settings.
#[derive(Clone)]
pub struct Settings {
    /// Where EMCP keeps everything.
    pub data_dir: PathBuf,
    /// Docker Engine's address.
    pub docker_host: String,
    /// Where the broker is asked, which then alone uses the engine; none: EMCP
    /// uses it itself.
    pub broker: Option<PathBuf>,
    /// Docker network of the servers; the one without a way out has the same
    /// name with `-internal`.
    pub network: String,
    /// The subnets of both, and the servers' part of them.
    pub networks: ServerNetworks,
    /// Whether servers are to be cut off from the host's ports and from cloud
    /// metadata, so that EMCP tries whether they are.
    pub firewall: bool,
    /// The URL people reach Traefik under, without a trailing slash.
    pub public_url: Url,
    /// The URL of the servers' own host, if they have one: then the dashboard
    /// and the servers' answers are of different origins to every browser.
    pub servers_url: Option<Url>,
    /// Image the servers run from.
    pub base_image: String,
    /// Value of the label `emcp.instance`.
    pub instance: String,
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the internal listener.
    pub internal_listen: SocketAddr,
    /// Where the holder of the listening sockets is asked for them; none:
    /// EMCP opens them itself.
    pub sockets: Option<PathBuf>,
    /// How Traefik reaches the internal listener.
    pub internal_url: String,
    /// How Traefik reaches the public listener.
    pub upstream_url: String,
    /// Template of Traefik's static configuration.
    pub traefik_template: Option<PathBuf>,
    /// What Traefik listens on for HTTPS.
    pub https_address: String,
    /// What Traefik listens on for HTTP.
    pub http_address: String,
    /// Public HTTPS port.
    pub https_port: u16,
    /// Which certificate Traefik serves.
    pub tls: TlsSource,
    /// Origins browsers and desktop apps may call from: `scheme://host[:port]`,
    /// `scheme://*`, `file://` or `null` (`gate::origin_fits`).
    pub allowed_origins: Vec<String>,
    /// From start to the first MCP answer.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// How often a running server is asked whether it answers.
    pub liveness_interval: Duration,
    /// After how long without an answer it is replaced; never if not set.
    pub unresponsive_restart: Option<Duration>,
    /// When idle servers are put to sleep that don't say it themselves.
    pub sleep: Option<SleepAfter>,
    /// Largest code file taken.
    pub max_code_bytes: u64,
    /// Wrong tokens within a minute that lock an address out.
    pub wrong_tokens_per_minute: u32,
    /// Requests of one address that may be under way at once.
    pub requests_per_address: usize,
    /// Lines the audit log keeps.
    pub audit_max_entries: u64,
    /// Room on the data directory's disk below which the operator is told; 0 for
    /// never before it is full.
    pub min_free_bytes: u64,
    /// Where the audit log is sent besides.
    pub audit_syslog: Option<SyslogTarget>,
    /// Whether metrics may be read through Traefik, with the metrics token.
    pub metrics_public: bool,
    /// What bounds servers and people.
    pub bounds: BoundSettings,
    /// Which old versions of code are kept.
    pub retention: Retention,
    /// The proxies servers are told of.
    pub servers_proxy: ProxyChoice,
    /// The administrator's token.
    pub admin_token: SecretSource,
    /// What monitoring shows for them.
    pub metrics_token: SecretSource,
    /// The key that seals secrets.
    pub master_key: SecretSource,
}

impl Settings {
    /// The URL that servers' addresses begin with.
    #[must_use]
    pub fn base_of_servers(&self) -> &Url {
        self.servers_url.as_ref().unwrap_or(&self.public_url)
    }

    /// The hosts that the served certificate is for.
    pub fn hosts(&self) -> impl Iterator<Item = Host<&str>> {
        let urls = std::iter::once(&self.public_url).chain(&self.servers_url);
        urls.filter_map(Url::host)
    }

    /// The same, to be kept.
    #[must_use]
    pub fn public_hosts(&self) -> Vec<Host<String>> {
        self.hosts().map(|host| host.to_owned()).collect()
    }

    /// Where a command on this machine, or in this container, reaches the
    /// public listener of the running EMCP.
    #[must_use]
    pub fn local_url(&self) -> String {
        match &self.sockets {
            // They are the holder's, which Traefik knows by name.
            Some(_) => self.upstream_url.clone(),
            None => format!("http://127.0.0.1:{}", self.listen.port()),
        }
    }
}

/// Every mistake found in the settings, one a line.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have {} mistake(s):", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let settings = SettingsInput::default().check().unwrap();
        assert_eq!(settings.data_dir, Path::new("/opt/mcp-platform/data"));
        assert_eq!(settings.network, "mcp-net");
        assert_eq!(settings.networks.internal().subnet(), "10.213.128.0/20");
        assert!(settings.firewall);
        assert_eq!(settings.base_image, "corp/mcp-base:latest");
        assert_eq!(settings.public_url.as_str(), "https://localhost:8443/");
        assert_eq!(settings.allowed_origins, ["https://localhost:8443"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let input = SettingsInput {
            data_dir: Some("relative".into()),
            subnet: Some("nonsense".into()),
            firewall: Some("maybe".into()),
            public_url: Some("http://plain.example".into()),
            listen: Some("nowhere".into()),
            tls_cert_file: Some("/only/cert.pem".into()),
            ..SettingsInput::default()
        };
        let text = input.check().err().unwrap().to_string();
        for field in [
            "data_dir",
            "subnet",
            "firewall",
            "public_url",
            "listen",
            "tls_cert_file",
        ] {
            assert!(text.contains(field), "{field} is missing in: {text}");
        }
    }

    #[test]
    fn servers_may_have_a_host_of_their_own() {
        let checked = |public: &str, servers: &str| {
            let input = SettingsInput {
                public_url: Some(public.into()),
                servers_url: Some(servers.into()),
                ..SettingsInput::default()
            };
            input.check()
        };
        let public = "https://mcp.example.com:8443";
        let settings = checked(public, "https://Servers.example.com:8443").unwrap();
        assert_eq!(
            settings.base_of_servers().as_str(),
            "https://servers.example.com:8443/"
        );
        let hosts: Vec<String> = settings.hosts().map(|host| host.to_string()).collect();
        assert_eq!(hosts, ["mcp.example.com", "servers.example.com"]);
        assert_eq!(
            settings.allowed_origins,
            [public, "https://servers.example.com:8443"]
        );
        for (servers, why) in [
            ("https://mcp.example.com", "no ports"),
            ("https://MCP.example.com.:9443", "no ports"),
            ("http://servers.example.com", "https"),
            ("https://servers.example.com/mcp", "no path"),
            ("https://[2001:db8::1]", "IPv4"),
            ("servers.example.com", "not a URL"),
        ] {
            let refused = checked(public, servers).err().unwrap().to_string();
            assert!(
                refused.contains("servers_url (EMCP_SERVERS_URL): "),
                "{servers}: {refused}"
            );
            assert!(refused.contains(why), "{servers}: {refused}");
        }
    }

    #[test]
    fn sleep_is_off_unless_it_is_set_and_then_must_make_sense() {
        let checked = |pause, stop| {
            let input = SettingsInput {
                sleep_pause_after_secs: pause,
                sleep_stop_after_secs: stop,
                ..SettingsInput::default()
            };
            input.check().map(|settings| settings.sleep)
        };
        assert_eq!(checked(None, None).unwrap(), None);
        let sleep = checked(Some(600), None).unwrap().unwrap();
        assert_eq!(sleep.pause_after_secs, Some(600));
        let refused = checked(Some(600), Some(60)).unwrap_err().to_string();
        assert!(refused.contains("stop_after_secs"), "{refused}");
    }

    #[test]
    fn a_file_fills_gaps_and_never_overrides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.toml");
        std::fs::write(&path, "network = \"from-file\"\ninstance = \"from-file\"\n").unwrap();
        let input = SettingsInput {
            network: Some("from-flag".into()),
            ..SettingsInput::default()
        };
        let merged = input.or_file(Some(&path)).unwrap();
        assert_eq!(merged.network.as_deref(), Some("from-flag"));
        assert_eq!(merged.instance.as_deref(), Some("from-file"));
    }

    #[test]
    fn what_is_empty_counts_as_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.toml");
        std::fs::write(&path, "network = \"from-file\"\nhttps_port = 9443\n").unwrap();
        let input = SettingsInput {
            network: Some(" ".into()),
            instance: Some(String::new()),
            tls_cert_file: Some("".into()),
            audit_syslog: Some(String::new()),
            max_cpus: Some(1.5),
            sleep_stop_after_secs: Some(7),
            admin_token: Some("from-environment".into()),
            ..SettingsInput::default()
        };
        let merged = input.clone().or_file(Some(&path)).unwrap();
        assert_eq!(merged.network.as_deref(), Some("from-file"));
        assert_eq!(merged.https_port, Some(9443));
        assert_eq!((merged.instance, merged.tls_cert_file), (None, None));
        assert_eq!((merged.audit_syslog, merged.max_cpus), (None, Some(1.5)));
        assert_eq!(merged.sleep_stop_after_secs, Some(7));
        assert_eq!(merged.admin_token.as_deref(), Some("from-environment"));
        assert_eq!(input.or_file(None).unwrap().network, None);
    }

    #[test]
    fn a_secret_in_the_file_is_refused_since_others_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.toml");
        std::fs::write(&path, "admin_token = \"x\"\n").unwrap();
        let error = SettingsInput::default().or_file(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("admin_token"), "{error}");
    }

    #[test]
    fn metrics_are_for_the_inside_alone_unless_they_are_wanted_outside() {
        let checked = |text: Option<&str>| {
            let input = SettingsInput {
                metrics_public: text.map(str::to_owned),
                ..SettingsInput::default()
            };
            input.check().map(|settings| settings.metrics_public)
        };
        assert!(!checked(None).unwrap());
        assert!(checked(Some("on")).unwrap());
        let refused = checked(Some("yes")).unwrap_err().to_string();
        assert!(refused.contains("EMCP_METRICS_PUBLIC"), "{refused}");
    }

    #[test]
    fn an_unknown_field_in_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.toml");
        std::fs::write(&path, "netwrok = \"x\"\n").unwrap();
        let error = SettingsInput::default().or_file(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("netwrok"));
    }
}
