//! One typed struct of settings, from flags, `EMCP_*` variables and an optional
//! TOML file, checked at start-up with all mistakes reported at once.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::model::AddressPool;

/// Settings as written by a person: every field optional, so that a flag or
/// variable can override the file, and the file the default.
#[derive(Debug, Default, Clone, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsInput {
    /// Where EMCP keeps everything.
    #[arg(long, env = "EMCP_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Docker Engine, e.g. unix:///var/run/docker.sock or tcp://host:2375.
    #[arg(long, env = "EMCP_DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// Docker network of the servers.
    #[arg(long, env = "EMCP_NETWORK")]
    pub network: Option<String>,
    /// Subnet of that network, in CIDR form.
    #[arg(long, env = "EMCP_SUBNET")]
    pub subnet: Option<String>,
    /// The URL people reach Traefik under.
    #[arg(long, env = "EMCP_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Image the servers run from.
    #[arg(long, env = "EMCP_BASE_IMAGE")]
    pub base_image: Option<String>,
    /// Value of the label `emcp.instance`; EMCP acts only on its own.
    #[arg(long, env = "EMCP_INSTANCE")]
    pub instance: Option<String>,
    /// Address of the public listener (dashboard and API).
    #[arg(long, env = "EMCP_LISTEN")]
    pub listen: Option<String>,
    /// Address of the internal listener (gate, provider, metrics, readiness).
    #[arg(long, env = "EMCP_INTERNAL_LISTEN")]
    pub internal_listen: Option<String>,
    /// How Traefik reaches the internal listener.
    #[arg(long, env = "EMCP_INTERNAL_URL")]
    pub internal_url: Option<String>,
    /// How Traefik reaches the public listener.
    #[arg(long, env = "EMCP_UPSTREAM_URL")]
    pub upstream_url: Option<String>,
    /// Template of Traefik's static configuration; a built-in one otherwise.
    #[arg(long, env = "EMCP_TRAEFIK_TEMPLATE")]
    pub traefik_template: Option<PathBuf>,
    /// What Traefik listens on for HTTPS.
    #[arg(long, env = "EMCP_HTTPS_ADDRESS")]
    pub https_address: Option<String>,
    /// What Traefik listens on for HTTP.
    #[arg(long, env = "EMCP_HTTP_ADDRESS")]
    pub http_address: Option<String>,
    /// Public HTTPS port, the target of the redirect from HTTP.
    #[arg(long, env = "EMCP_HTTPS_PORT")]
    pub https_port: Option<u16>,
    /// Own certificate chain (PEM) in place of one from the local CA.
    #[arg(long, env = "EMCP_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of that certificate (PEM).
    #[arg(long, env = "EMCP_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// Name of a certificate resolver (ACME) in Traefik's static configuration.
    #[arg(long, env = "EMCP_TLS_CERT_RESOLVER")]
    pub tls_cert_resolver: Option<String>,
    /// Origins besides the public URL's that browsers may call servers from,
    /// separated by commas.
    #[arg(long, env = "EMCP_ALLOWED_ORIGINS")]
    pub allowed_origins: Option<String>,
    /// Seconds a server may take from start to its first MCP answer.
    #[arg(long, env = "EMCP_START_TIMEOUT_SECS")]
    pub start_timeout_secs: Option<u64>,
    /// Seconds a server is given to end by itself before it is killed.
    #[arg(long, env = "EMCP_STOP_GRACE_SECS")]
    pub stop_grace_secs: Option<u64>,
    /// Largest code file taken, in bytes.
    #[arg(long, env = "EMCP_MAX_CODE_BYTES")]
    pub max_code_bytes: Option<u64>,
    /// The administrator's token. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub admin_token: Option<String>,
    /// File that holds the administrator's token.
    #[arg(long, env = "EMCP_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// The master key, 64 hexadecimal digits. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub master_key: Option<String>,
    /// File that holds the master key.
    #[arg(long, env = "EMCP_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
}

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
    /// Docker network of the servers.
    pub network: String,
    /// Its subnet and the servers' part of it.
    pub pool: AddressPool,
    /// The URL people reach Traefik under, without a trailing slash.
    pub public_url: Url,
    /// Image the servers run from.
    pub base_image: String,
    /// Value of the label `emcp.instance`.
    pub instance: String,
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the internal listener.
    pub internal_listen: SocketAddr,
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
    /// Origins browsers may call from, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// From start to the first MCP answer.
    pub start_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// Largest code file taken.
    pub max_code_bytes: u64,
    /// The administrator's token.
    pub admin_token: SecretSource,
    /// The key that seals secrets.
    pub master_key: SecretSource,
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

impl SettingsInput {
    /// Fills what neither flag nor variable gave from a TOML file.
    ///
    /// # Errors
    /// If the file cannot be read or has an unknown or ill-typed field.
    pub fn or_file(self, path: &Path) -> Result<Self, SettingsError> {
        let problem = |text: String| SettingsError(vec![text]);
        let text = std::fs::read_to_string(path)
            .map_err(|error| problem(format!("cannot read {}: {error}", path.display())))?;
        let file: Self = toml::from_str(&text)
            .map_err(|error| problem(format!("{}: {error}", path.display())))?;
        macro_rules! prefer {
            ($($field:ident),* $(,)?) => {
                Self { $($field: self.$field.or(file.$field)),* }
            };
        }
        Ok(prefer!(
            data_dir,
            docker_host,
            network,
            subnet,
            public_url,
            base_image,
            instance,
            listen,
            internal_listen,
            internal_url,
            upstream_url,
            traefik_template,
            https_address,
            http_address,
            https_port,
            tls_cert_file,
            tls_key_file,
            tls_cert_resolver,
            allowed_origins,
            start_timeout_secs,
            stop_grace_secs,
            max_code_bytes,
            admin_token,
            admin_token_file,
            master_key,
            master_key_file,
        ))
    }

    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(self) -> Result<Settings, SettingsError> {
        let mut problems = Problems::default();

        let https_port = self.https_port.unwrap_or(8443);
        let public_url = self
            .public_url
            .unwrap_or_else(|| format!("https://localhost:{https_port}"));
        let public_url = problems.take("public_url", check_public_url(&public_url));
        let pool = problems.take(
            "subnet",
            AddressPool::parse(self.subnet.as_deref().unwrap_or("10.213.0.0/20"))
                .map_err(|error| error.to_string()),
        );
        let listen = problems.take(
            "listen",
            check_socket(self.listen.as_deref().unwrap_or("0.0.0.0:8080")),
        );
        let internal_listen = problems.take(
            "internal_listen",
            check_socket(self.internal_listen.as_deref().unwrap_or("0.0.0.0:8081")),
        );
        let internal_url = problems.take(
            "internal_url",
            check_http_url(self.internal_url.as_deref().unwrap_or("http://emcp:8081")),
        );
        let upstream_url = problems.take(
            "upstream_url",
            check_http_url(self.upstream_url.as_deref().unwrap_or("http://emcp:8080")),
        );
        let tls = problems.take(
            "tls_cert_file",
            match (self.tls_cert_file, self.tls_key_file, self.tls_cert_resolver) {
                (None, None, None) => Ok(TlsSource::LocalCa),
                (Some(cert), Some(key), None) => Ok(TlsSource::Files { cert, key }),
                (None, None, Some(name)) => Ok(TlsSource::Resolver(name)),
                _ => Err(
                    "give both tls_cert_file and tls_key_file, or tls_cert_resolver alone"
                        .to_owned(),
                ),
            },
        );
        let allowed_origins = problems.take(
            "allowed_origins",
            check_origins(self.allowed_origins.as_deref().unwrap_or("")),
        );
        let instance = problems.take(
            "instance",
            check_label(self.instance.as_deref().unwrap_or("emcp")),
        );
        let data_dir = self
            .data_dir
            .unwrap_or_else(|| PathBuf::from("/opt/mcp-platform/data"));
        if !data_dir.is_absolute() {
            problems.add("data_dir", "must be an absolute path: Docker mounts from it");
        }
        let admin_token = problems.take(
            "admin_token",
            secret_source(self.admin_token, self.admin_token_file),
        );
        let master_key = problems.take(
            "master_key",
            secret_source(self.master_key, self.master_key_file),
        );
        let start_timeout = problems.take(
            "start_timeout_secs",
            seconds_between(self.start_timeout_secs.unwrap_or(60), 1, 3600),
        );
        let stop_grace = problems.take(
            "stop_grace_secs",
            seconds_between(self.stop_grace_secs.unwrap_or(10), 1, 600),
        );

        let complete = (
            public_url,
            pool,
            listen,
            internal_listen,
            internal_url,
            upstream_url,
            tls,
            allowed_origins,
            instance,
            admin_token,
            master_key,
            start_timeout,
            stop_grace,
        );
        let (
            Some(public_url),
            Some(pool),
            Some(listen),
            Some(internal_listen),
            Some(internal_url),
            Some(upstream_url),
            Some(tls),
            Some(mut allowed_origins),
            Some(instance),
            Some(admin_token),
            Some(master_key),
            Some(start_timeout),
            Some(stop_grace),
        ) = complete
        else {
            return Err(SettingsError(problems.0));
        };
        if !problems.0.is_empty() {
            return Err(SettingsError(problems.0));
        }
        allowed_origins.push(public_url.origin().ascii_serialization());

        Ok(Settings {
            data_dir,
            docker_host: self
                .docker_host
                .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
            network: self.network.unwrap_or_else(|| "mcp-net".to_owned()),
            pool,
            public_url,
            base_image: self
                .base_image
                .unwrap_or_else(|| "corp/mcp-base:latest".to_owned()),
            instance,
            listen,
            internal_listen,
            internal_url,
            upstream_url,
            traefik_template: self.traefik_template,
            https_address: self.https_address.unwrap_or_else(|| ":443".to_owned()),
            http_address: self.http_address.unwrap_or_else(|| ":80".to_owned()),
            https_port,
            tls,
            allowed_origins,
            start_timeout,
            stop_grace,
            max_code_bytes: self.max_code_bytes.unwrap_or(1024 * 1024),
            admin_token,
            master_key,
        })
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, field: &str, problem: &str) {
        self.0.push(format!("{field}: {problem}"));
    }

    fn take<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.add(field, &problem);
                None
            }
        }
    }
}

fn check_public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| format!("\"{text}\" is not a URL; write it like https://mcp.example.com"))?;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err("must be an https:// URL with a host".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must have no path, query or fragment".to_owned());
    }
    Ok(url)
}

fn check_http_url(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("\"{text}\" is not an http:// or https:// URL")),
    }
}

fn check_socket(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is not an address and port like 0.0.0.0:8080"))
}

fn check_origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| match Url::parse(origin) {
            Ok(url) if url.origin().is_tuple() => Ok(url.origin().ascii_serialization()),
            _ => Err(format!("\"{origin}\" is not an origin like https://host:port")),
        })
        .collect()
}

fn check_label(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 40 letters, digits, '-', '_' or '.', beginning with a letter or digit".to_owned())
    }
}

fn secret_source(given: Option<String>, file: Option<PathBuf>) -> Result<SecretSource, String> {
    match (given, file) {
        (Some(_), Some(_)) => Err("give the value or the file, not both".to_owned()),
        (Some(text), None) => Ok(SecretSource::Given(SecretString::from(text))),
        (None, Some(path)) => Ok(SecretSource::File(path)),
        (None, None) => Ok(SecretSource::DataDir),
    }
}

fn seconds_between(value: u64, least: u64, most: u64) -> Result<Duration, String> {
    if (least..=most).contains(&value) {
        Ok(Duration::from_secs(value))
    } else {
        Err(format!("must be from {least} to {most} seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let settings = SettingsInput::default().check().unwrap();
        assert_eq!(settings.data_dir, Path::new("/opt/mcp-platform/data"));
        assert_eq!(settings.network, "mcp-net");
        assert_eq!(settings.base_image, "corp/mcp-base:latest");
        assert_eq!(settings.public_url.as_str(), "https://localhost:8443/");
        assert_eq!(settings.allowed_origins, ["https://localhost:8443"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let input = SettingsInput {
            data_dir: Some("relative".into()),
            subnet: Some("nonsense".into()),
            public_url: Some("http://plain.example".into()),
            listen: Some("nowhere".into()),
            tls_cert_file: Some("/only/cert.pem".into()),
            ..SettingsInput::default()
        };
        let text = input.check().err().unwrap().to_string();
        for field in ["data_dir", "subnet", "public_url", "listen", "tls_cert_file"] {
            assert!(text.contains(field), "{field} is missing in: {text}");
        }
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
        let merged = input.or_file(&path).unwrap();
        assert_eq!(merged.network.as_deref(), Some("from-flag"));
        assert_eq!(merged.instance.as_deref(), Some("from-file"));
    }

    #[test]
    fn an_unknown_field_in_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("emcp.toml");
        std::fs::write(&path, "netwrok = \"x\"\n").unwrap();
        let error = SettingsInput::default().or_file(&path).unwrap_err();
        assert!(error.to_string().contains("netwrok"));
    }
}
