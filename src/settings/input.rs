//! Settings as written by a person.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SettingsError;

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
    /// The master key, 64 hexadecimal digits. Prefer the file form.
    #[arg(skip)]
    #[serde(skip)]
    pub master_key: Option<String>,
    /// File that holds the master key.
    #[arg(long, env = "EMCP_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
}

impl SettingsInput {
    /// Takes what is empty for not given: Compose passes a variable that is
    /// set to nothing.
    #[must_use]
    pub fn without_empty(mut self) -> Self {
        for text in [
            &mut self.docker_host,
            &mut self.network,
            &mut self.subnet,
            &mut self.internal_subnet,
            &mut self.firewall,
            &mut self.public_url,
            &mut self.servers_url,
            &mut self.base_image,
            &mut self.instance,
            &mut self.listen,
            &mut self.internal_listen,
            &mut self.internal_url,
            &mut self.upstream_url,
            &mut self.https_address,
            &mut self.http_address,
            &mut self.tls_cert_resolver,
            &mut self.allowed_origins,
            &mut self.audit_syslog,
            &mut self.max_memory,
            &mut self.max_storage,
            &mut self.quota_memory,
            &mut self.quota_storage,
        ] {
            text.take_if(|text| text.trim().is_empty());
        }
        for path in [
            &mut self.data_dir,
            &mut self.broker,
            &mut self.sockets,
            &mut self.traefik_template,
            &mut self.tls_cert_file,
            &mut self.tls_key_file,
            &mut self.admin_token_file,
            &mut self.master_key_file,
        ] {
            path.take_if(|path| path.as_os_str().is_empty());
        }
        self
    }

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
            broker,
            network,
            subnet,
            internal_subnet,
            firewall,
            public_url,
            servers_url,
            base_image,
            instance,
            listen,
            internal_listen,
            sockets,
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
            liveness_interval_secs,
            unresponsive_restart_secs,
            stop_grace_secs,
            sleep_pause_after_secs,
            sleep_stop_after_secs,
            max_code_bytes,
            wrong_tokens_per_minute,
            requests_per_address,
            audit_max_entries,
            min_free_bytes,
            audit_syslog,
            max_memory,
            max_cpus,
            max_pids,
            max_storage,
            quota_servers,
            quota_memory,
            quota_storage,
            quota_tokens,
            quota_writes_per_minute,
            versions_kept,
            versions_kept_days,
            servers_http_proxy,
            servers_https_proxy,
            servers_no_proxy,
            admin_token,
            admin_token_file,
            master_key,
            master_key_file,
        ))
    }
}
