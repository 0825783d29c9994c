//! From what a person wrote to settings that cannot be wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use super::origins::check_origins;
use super::{ProxyChoice, SecretSource, Settings, SettingsError, SettingsInput, TlsSource};
use crate::model::{AddressPool, ServerNetworks, SleepAfter};

/// A day of work of a small company, about.
const MIN_FREE_BYTES: u64 = 1024 * 1024 * 1024;

impl SettingsInput {
    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(self) -> Result<Settings, SettingsError> {
        let mut problems = Problems::default();

        let bounds = self.check_bounds();
        let bounds = problems.take_all(bounds);
        let retention = problems.take("versions_kept, versions_kept_days", self.check_retention());
        let audit_syslog = problems.take("audit_syslog", self.check_audit_syslog());
        let https_port = self.https_port.unwrap_or(8443);
        let public_url = self
            .public_url
            .unwrap_or_else(|| format!("https://localhost:{https_port}"));
        let public_url = problems.take("public_url", check_public_url(&public_url));
        let servers_url = problems.take(
            "servers_url",
            check_servers_url(self.servers_url.as_deref(), public_url.as_ref()),
        );
        let open = problems.take(
            "subnet",
            check_subnet(self.subnet.as_deref().unwrap_or("10.213.0.0/20")),
        );
        // Without the first subnet there is nothing to hold the second against.
        let networks = open.and_then(|open| {
            problems.take(
                "internal_subnet",
                check_networks(open, self.internal_subnet.as_deref()),
            )
        });
        let firewall = problems.take(
            "firewall",
            check_switch(self.firewall.as_deref().unwrap_or("on")),
        );
        let metrics_public = problems.take(
            "metrics_public",
            check_switch(self.metrics_public.as_deref().unwrap_or("off")),
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
            match (
                self.tls_cert_file,
                self.tls_key_file,
                self.tls_cert_resolver,
            ) {
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
            problems.add(
                "data_dir",
                "must be an absolute path: Docker mounts from it",
            );
        }
        let admin_token = problems.take(
            "admin_token",
            secret_source(self.admin_token, self.admin_token_file),
        );
        let metrics_token = problems.take(
            "metrics_token",
            secret_source(self.metrics_token, self.metrics_token_file),
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
        let liveness_interval = problems.take(
            "liveness_interval_secs",
            seconds_between(self.liveness_interval_secs.unwrap_or(10), 1, 3600),
        );
        let unresponsive_restart = problems.take(
            "unresponsive_restart_secs",
            seconds_between(self.unresponsive_restart_secs.unwrap_or(60), 0, 86_400),
        );
        let wrong_tokens_per_minute = self.wrong_tokens_per_minute.unwrap_or(10);
        if wrong_tokens_per_minute == 0 {
            problems.add("wrong_tokens_per_minute", "must be 1 or more");
        }
        let requests_per_address = self.requests_per_address.unwrap_or(512);
        if !(16..=100_000).contains(&requests_per_address) {
            problems.add("requests_per_address", "must be from 16 to 100000");
        }
        let audit_max_entries = self.audit_max_entries.unwrap_or(100_000);
        if !(1_000..=10_000_000).contains(&audit_max_entries) {
            problems.add("audit_max_entries", "must be from 1000 to 10000000");
        }
        let sleep = problems.take(
            "sleep_pause_after_secs, sleep_stop_after_secs",
            check_sleep(self.sleep_pause_after_secs, self.sleep_stop_after_secs),
        );

        let complete = (
            public_url,
            servers_url,
            networks,
            firewall,
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
            sleep,
            (liveness_interval, unresponsive_restart),
            (bounds, retention, audit_syslog),
            (metrics_public, metrics_token),
        );
        let (
            Some(public_url),
            Some(servers_url),
            Some(networks),
            Some(firewall),
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
            Some(sleep),
            (Some(liveness_interval), Some(unresponsive_restart)),
            (Some(bounds), Some(retention), Some(audit_syslog)),
            (Some(metrics_public), Some(metrics_token)),
        ) = complete
        else {
            return Err(SettingsError(problems.0));
        };
        if !problems.0.is_empty() {
            return Err(SettingsError(problems.0));
        }
        // Some clients name the address they call as their origin.
        for own in std::iter::once(&public_url).chain(&servers_url) {
            allowed_origins.push(own.origin().ascii_serialization());
        }

        Ok(Settings {
            data_dir,
            docker_host: self
                .docker_host
                .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
            broker: self.broker,
            network: self.network.unwrap_or_else(|| "mcp-net".to_owned()),
            networks,
            firewall,
            public_url,
            servers_url,
            base_image: self
                .base_image
                .unwrap_or_else(|| "corp/mcp-base:latest".to_owned()),
            instance,
            listen,
            internal_listen,
            sockets: self.sockets,
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
            liveness_interval,
            unresponsive_restart: Some(unresponsive_restart).filter(|after| !after.is_zero()),
            sleep,
            max_code_bytes: self.max_code_bytes.unwrap_or(1024 * 1024),
            wrong_tokens_per_minute,
            requests_per_address: requests_per_address as usize,
            audit_max_entries,
            min_free_bytes: self.min_free_bytes.unwrap_or(MIN_FREE_BYTES),
            audit_syslog,
            metrics_public,
            bounds,
            retention,
            servers_proxy: ProxyChoice {
                http: self.servers_http_proxy,
                https: self.servers_https_proxy,
                no_proxy: self.servers_no_proxy,
            },
            admin_token,
            metrics_token,
            master_key,
        })
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, field: &str, problem: &str) {
        // The names of the flags or of the file's fields, and the variables'.
        let variables: Vec<_> = field
            .split(", ")
            .map(|name| format!("EMCP_{}", name.to_uppercase()))
            .collect();
        self.0
            .push(format!("{field} ({}): {problem}", variables.join(", ")));
    }

    fn take_all<T>(&mut self, result: Result<T, Vec<(&'static str, String)>>) -> Option<T> {
        let found = result.map_err(|found| {
            for (field, problem) in found {
                self.add(field, &problem);
            }
        });
        found.ok()
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

/// A host of its own, since browsers keep hosts apart and not ports: cookies
/// know no port (RFC 6265 §8.5).
fn check_servers_url(text: Option<&str>, public: Option<&Url>) -> Result<Option<Url>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let url = check_public_url(text)?;
    if matches!(url.host(), Some(Host::Ipv6(_))) {
        return Err("must have a host name or an IPv4 address".to_owned());
    }
    if public.is_some_and(|public| bare_host(public) == bare_host(&url)) {
        return Err("must have another host than public_url, not only another port: cookies know no ports, so a page of one port could replace those of the other".to_owned());
    }
    Ok(Some(url))
}

/// Without the final dot, which names the same host (RFC 3986 §3.2.2).
fn bare_host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_end_matches('.')
}

fn check_subnet(text: &str) -> Result<AddressPool, String> {
    AddressPool::parse(text).map_err(|error| error.to_string())
}

fn check_networks(open: AddressPool, internal: Option<&str>) -> Result<ServerNetworks, String> {
    let internal = match internal {
        Some(text) => check_subnet(text)?,
        None => open.twin().ok_or_else(|| {
            format!(
                "name a second subnet as large as {} for the servers without egress; none can be derived from one larger than /17",
                open.subnet()
            )
        })?,
    };
    ServerNetworks::new(open, internal).map_err(|error| error.to_string())
}

fn check_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("must be \"on\" or \"off\", not \"{other}\"")),
    }
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

fn check_label(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(
            "must be 1 to 40 letters, digits, '-', '_' or '.', beginning with a letter or digit"
                .to_owned(),
        )
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

fn check_sleep(pause: Option<u32>, stop: Option<u32>) -> Result<Option<SleepAfter>, String> {
    if pause.is_none() && stop.is_none() {
        return Ok(None);
    }
    let after = SleepAfter {
        pause_after_secs: pause,
        stop_after_secs: stop,
    };
    after.checked().map(Some)
}
