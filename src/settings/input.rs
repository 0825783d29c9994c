//! Settings as written by a person.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Table;

use super::SettingsError;

/// Settings as written by a person: every field optional, so that a flag or
/// variable can override the file, and the file the default.
#[derive(Debug, Default, Clone, clap::Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsInput {
    /// Where EMCP keeps everything.
    #[arg(long, env = "EMCP_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Docker Engine, e.g. unix:///var/run/docker.sock or tcp://host:2375.
    #[arg(long, env = "EMCP_DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// Unix socket of the process that alone uses Docker Engine
    /// (`emcp broker`); without it EMCP uses the engine itself.
    #[arg(long, env = "EMCP_BROKER")]
    pub broker: Option<PathBuf>,
    /// Docker network of the servers.
    #[arg(long, env = "EMCP_NETWORK")]
    pub network: Option<String>,
    /// Subnet of that network, in CIDR form.
    #[arg(long, env = "EMCP_SUBNET")]
    pub subnet: Option<String>,
    /// Subnet of the network without a way out; as large as the other.
    #[arg(long, env = "EMCP_INTERNAL_SUBNET")]
    pub internal_subnet: Option<String>,
    /// "on" if the firewall of `scripts/firewall.sh` is wanted, so that EMCP
    /// tries whether it holds; "off" if not.
    #[arg(long, env = "EMCP_FIREWALL")]
    pub firewall: Option<String>,
    /// The URL people reach Traefik under.
    #[arg(long, env = "EMCP_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The URL of a second host, for the servers alone; it leads to the same
    /// Traefik. Best for security: see docs/security.md.
    #[arg(long, env = "EMCP_SERVERS_URL")]
    pub servers_url: Option<String>,
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
    /// Unix socket of the process that holds both listening sockets
    /// (`emcp hold-sockets`), so that they outlive EMCP.
    #[arg(long, env = "EMCP_SOCKETS")]
    pub sockets: Option<PathBuf>,
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
    /// Seconds between two looks whether a running server still answers.
    #[arg(long, env = "EMCP_LIVENESS_INTERVAL_SECS")]
    pub liveness_interval_secs: Option<u64>,
    /// Seconds without an answer after which a running server is started anew;
    /// 0 for never.
    #[arg(long, env = "EMCP_UNRESPONSIVE_RESTART_SECS")]
    pub unresponsive_restart_secs: Option<u64>,
    /// Seconds without use after which servers are paused that don't say
    /// otherwise; never if not set.
    #[arg(long, env = "EMCP_SLEEP_PAUSE_AFTER_SECS")]
    pub sleep_pause_after_secs: Option<u32>,
    /// Seconds without use after which such servers are stopped; never if not
    /// set.
    #[arg(long, env = "EMCP_SLEEP_STOP_AFTER_SECS")]
    pub sleep_stop_after_secs: Option<u32>,
    /// Largest code file taken, in bytes.
    #[arg(long, env = "EMCP_MAX_CODE_BYTES")]
    pub max_code_bytes: Option<u64>,
    /// Wrong tokens from one address within a minute that lock it out.
    #[arg(long, env = "EMCP_WRONG_TOKENS_PER_MINUTE")]
    pub wrong_tokens_per_minute: Option<u32>,
    /// Requests of one address that may be under way at once, streams among
    /// them.
    #[arg(long, env = "EMCP_REQUESTS_PER_ADDRESS")]
    pub requests_per_address: Option<u32>,
    /// Lines the audit log keeps; the oldest go first.
    #[arg(long, env = "EMCP_AUDIT_MAX_ENTRIES")]
    pub audit_max_entries: Option<u64>,
    /// Bytes free on the data directory's disk below which the dashboard and
    /// readiness warn; 0 for never before it is full.
    #[arg(long, env = "EMCP_MIN_FREE_BYTES")]
    pub min_free_bytes: Option<u64>,
    /// Where the audit log is sent besides, as syslog (RFC 5424):
    /// udp://HOST:PORT, tcp://HOST:PORT or unix:///dev/log.
    #[arg(long, env = "EMCP_AUDIT_SYSLOG")]
    pub audit_syslog: Option<String>,
    /// "on" if metrics may be read through Traefik, at /metrics of the public
    /// URL, by whoever has the metrics token; "off" if not.
    #[arg(long, env = "EMCP_METRICS_PUBLIC")]
    pub metrics_public: Option<String>,
    /// Most memory of any one server, such as 16g; half the host's if not set.
    #[arg(long, env = "EMCP_MAX_MEMORY")]
    pub max_memory: Option<String>,
    /// Most CPUs of any one server; all of the host's if not set.
    #[arg(long, env = "EMCP_MAX_CPUS")]
    pub max_cpus: Option<f64>,
    /// Most processes and threads of any one server.
    #[arg(long, env = "EMCP_MAX_PIDS")]
    pub max_pids: Option<u32>,
    /// Most storage of any one server, such as 10g.
    #[arg(long, env = "EMCP_MAX_STORAGE")]
    pub max_storage: Option<String>,
    /// Most servers of one person.
    #[arg(long, env = "EMCP_QUOTA_SERVERS")]
    pub quota_servers: Option<u32>,
    /// Most memory of one person's running servers together, such as 16g; half
    /// the host's if not set.
    #[arg(long, env = "EMCP_QUOTA_MEMORY")]
    pub quota_memory: Option<String>,
    /// Most that is stored of one person's servers, such as 512m.
    #[arg(long, env = "EMCP_QUOTA_STORAGE")]
    pub quota_storage: Option<String>,
    /// Most tokens that one person has made and not revoked.
    #[arg(long, env = "EMCP_QUOTA_TOKENS")]
    pub quota_tokens: Option<u32>,
    /// Calls of one person within a minute that change something.
    #[arg(long, env = "EMCP_QUOTA_WRITES_PER_MINUTE")]
    pub quota_writes_per_minute: Option<u32>,
    /// Code versions kept of each server, besides those in use lately.
    #[arg(long, env = "EMCP_VERSIONS_KEPT")]
    pub versions_kept: Option<u32>,
    /// Days for which a version is kept after its last use.
    #[arg(long, env = "EMCP_VERSIONS_KEPT_DAYS")]
    pub versions_kept_days: Option<u32>,
    /// Proxy that servers are told of for HTTP, in place of EMCP's own; "off"
    /// for none. It may have a password in it, which every server then sees.
    #[arg(skip)]
    pub servers_http_proxy: Option<String>,
    /// The same for HTTPS.
    #[arg(skip)]
    pub servers_https_proxy: Option<String>,
    /// What servers reach without a proxy, in place of EMCP's own.
    #[arg(skip)]
    pub servers_no_proxy: Option<String>,
    /// The administrator's token. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub admin_token: Option<String>,
    /// File that holds the administrator's token.
    #[arg(long, env = "EMCP_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// What monitoring shows to read metrics. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub metrics_token: Option<String>,
    /// File that holds it.
    #[arg(long, env = "EMCP_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,
    /// The master key, 64 hexadecimal digits. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub master_key: Option<String>,
    /// File that holds the master key.
    #[arg(long, env = "EMCP_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
}

impl SettingsInput {
    /// Takes what is empty for not given (Compose passes a variable that is set
    /// to nothing), and fills what neither flag nor variable gave from a TOML
    /// file.
    ///
    /// # Errors
    /// If the file cannot be read or has an unknown or ill-typed field.
    pub fn or_file(self, path: Option<&Path>) -> Result<Self, SettingsError> {
        let problem = |text: String| SettingsError(vec![text]);
        let mut fields = match path {
            Some(path) => read_file(path).map_err(problem)?,
            None => Table::new(),
        };
        let mut given = Table::try_from(&self)
            .map_err(|error| problem(format!("a setting cannot be used: {error}")))?;
        given.retain(|_, value| value.as_str().is_none_or(|text| !text.trim().is_empty()));
        fields.extend(given);
        let merged: Self = fields
            .try_into()
            .map_err(|error: toml::de::Error| problem(error.to_string()))?;
        // These are never in a file, nor in what may be written to one.
        Ok(Self {
            admin_token: self.admin_token,
            metrics_token: self.metrics_token,
            master_key: self.master_key,
            ..merged
        })
    }
}

fn read_file(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let wrong = |error: toml::de::Error| format!("{}: {error}", path.display());
    // By the fields' types, while an error still tells the line.
    toml::from_str::<SettingsInput>(&text).map_err(wrong)?;
    toml::from_str(&text).map_err(wrong)
}
