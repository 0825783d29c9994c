//! The `emcp` command.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use emcp::identity::{Identity, read_admin_token};
use emcp::logs::spelled_out;
use emcp::runtime::serve_broker;
use emcp::settings::{Settings, SettingsInput};
use emcp::{http, maintenance, services, sockets};
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

/// How long tasks get to end after the last request. With what requests get
/// (`http`) it must stay below the 15 s of `compose.yml`.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);
/// What is logged where EMCP_LOG says nothing.
const LOG_DEFAULT: &str = "info,rmcp=off";

/// A self-hosted PaaS for MCP servers.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// A TOML file of settings; flags and EMCP_* variables go before it.
    #[arg(long, env = "EMCP_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the dashboard, the API, the gate and Traefik's configuration.
    Serve {
        /// Only tell whether it would start so, and what Traefik would be given.
        /// Changes nothing, also beside an EMCP that serves the same data.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        settings: Box<SettingsInput>,
    },
    /// Make what a first start needs in the data directory, and end.
    Init(Box<SettingsInput>),
    /// Hold the listening sockets for EMCP, so that they outlive it.
    HoldSockets(Box<SettingsInput>),
    /// Use Docker Engine for EMCP, so that EMCP itself has no way to it.
    Broker(Box<SettingsInput>),
    /// Ask a running EMCP on this machine whether it is alive.
    Healthcheck(Box<SettingsInput>),
    /// Write a consistent backup of the running EMCP on this machine.
    Backup {
        /// Where to write it; must not exist.
        file: PathBuf,
        /// Put the master key, tokens and CA into it too: keep it like them.
        #[arg(long)]
        with_keys: bool,
        #[command(flatten)]
        settings: Box<SettingsInput>,
    },
    /// Restore a backup into an empty data directory.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        settings: Box<SettingsInput>,
    },
    /// Verify a data directory that no EMCP is using.
    Check(Box<SettingsInput>),
    /// Seal all secrets under a new master key; EMCP must be stopped.
    RotateKey(Box<SettingsInput>),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes; never a backtrace, which tells an operator
            // nothing.
            eprintln!("emcp: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    start_logging()?;
    let mut builder = match cli.command {
        // It only ever waits.
        Command::HoldSockets(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    match cli.command {
        Command::Serve {
            check: true,
            settings: input,
        } => runtime.block_on(preflight(settings(*input, cli.config)?)),
        Command::Serve {
            check: false,
            settings: input,
        } => runtime.block_on(serve(settings(*input, cli.config)?)),
        Command::HoldSockets(input) => {
            runtime.block_on(hold_sockets(settings(*input, cli.config)?))
        }
        Command::Broker(input) => runtime.block_on(broker(*input, cli.config.as_deref())),
        Command::Init(input) => {
            let settings = settings(*input, cli.config)?;
            Identity::load_or_create(&settings)?;
            println!("{} is ready", settings.data_dir.display());
            Ok(())
        }
        Command::Healthcheck(input) => runtime.block_on(healthcheck(settings(*input, cli.config)?)),
        Command::Backup {
            file,
            with_keys,
            settings: input,
        } => runtime.block_on(backup(settings(*input, cli.config)?, &file, with_keys)),
        Command::Restore {
            file,
            settings: input,
        } => {
            let settings = settings(*input, cli.config)?;
            let count = runtime.block_on(maintenance::restore(&settings, &file))?;
            println!(
                "{count} servers restored into {}",
                settings.data_dir.display()
            );
            Ok(())
        }
        Command::Check(input) => runtime.block_on(check(settings(*input, cli.config)?)),
        Command::RotateKey(input) => {
            let settings = settings(*input, cli.config)?;
            let count = runtime.block_on(maintenance::rotate_key(&settings))?;
            println!("{count} values sealed under a new master key; keep it in your backup");
            Ok(())
        }
    }
}

fn settings(mut input: SettingsInput, file: Option<PathBuf>) -> anyhow::Result<Settings> {
    // Not flags: a process list shows those to everybody on the machine.
    input.admin_token = from_environment("EMCP_ADMIN_TOKEN");
    input.metrics_token = from_environment("EMCP_METRICS_TOKEN");
    input.master_key = from_environment("EMCP_MASTER_KEY");
    input.servers_http_proxy = from_environment("EMCP_SERVERS_HTTP_PROXY");
    input.servers_https_proxy = from_environment("EMCP_SERVERS_HTTPS_PROXY");
    input.servers_no_proxy = from_environment("EMCP_SERVERS_NO_PROXY");
    Ok(input.or_file(file.as_deref())?.check()?)
}

fn from_environment(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

fn start_logging() -> anyhow::Result<()> {
    let wanted = std::env::var("EMCP_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(log_filter(&wanted))
        .or_else(|_| EnvFilter::try_new(log_filter(LOG_DEFAULT)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogWriter);
    match std::env::var("EMCP_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().init(),
        Ok("text") | Err(_) => builder.with_ansi(false).init(),
        Ok(other) => bail!("EMCP_LOG_FORMAT must be \"text\" or \"json\", not \"{other}\""),
    }
    Ok(())
}

/// Standard error, which may be a terminal: what others wrote into a field (the
/// message of a server's failure, say) must neither steer it nor look like a
/// line of its own. Takes one whole event with each write.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let safe = format!("{}\n", spelled_out(line));
        std::io::stderr().lock().write_all(safe.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

/// What is wanted, without bollard's finer levels: they write down whole
/// requests and answers, and with them the secrets a container is given.
fn log_filter(wanted: &str) -> String {
    let wanted = if wanted.trim().is_empty() {
        LOG_DEFAULT
    } else {
        wanted
    };
    let others = wanted
        .split(',')
        .filter(|directive| !directive.trim_start().starts_with("bollard"));
    others.chain(["bollard=info"]).collect::<Vec<_>>().join(",")
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let (closing, cancel) = (CancellationToken::new(), CancellationToken::new());
    let tasks = TaskTracker::new();
    end_on_signal(closing.clone())?;
    let endings = services::Endings {
        tasks: tasks.clone(),
        closing: closing.clone(),
        cancel: cancel.clone(),
    };
    let starting = services::start(settings, endings);
    let served = match closing.run_until_cancelled(starting).await {
        Some(started) => {
            let started = started?;
            // The reconciler goes on until what waits at the gate is answered;
            // should it end first, something is wrong that keeps EMCP from its
            // work.
            let serving = async {
                let served = http::serve(started.app, started.gate).await;
                cancel.cancel();
                served
            };
            tokio::try_join!(serving, started.reconciling).map(drop)
        }
        None => Ok(()),
    };
    cancel.cancel();
    tasks.close();
    if tokio::time::timeout(SHUTDOWN_MAX, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("some tasks did not end in time");
    }
    tracing::info!("EMCP has ended; servers go on");
    served
}

/// The lines "name: value" are read by `scripts/platform.sh`.
async fn preflight(settings: Settings) -> anyhow::Result<()> {
    let found = maintenance::preflight(&settings).await?;
    for note in &found.notes {
        println!("note: {note}");
    }
    println!("EMCP would start with these settings");
    if let Some(digest) = &found.traefik_config_sha256 {
        println!("traefik-config: {digest}");
    }
    if let Some(chain) = &found.certificate {
        println!("certificate: {}", chain.display());
    }
    Ok(())
}

async fn hold_sockets(settings: Settings) -> anyhow::Result<()> {
    let Some(path) = &settings.sockets else {
        bail!("say where EMCP asks for the sockets: EMCP_SOCKETS=/path/of/a/unix-socket");
    };
    let cancel = CancellationToken::new();
    end_on_signal(cancel.clone())?;
    sockets::hold(settings.listen, settings.internal_listen, path, cancel).await
}

/// A file of settings lies where EMCP can write.
async fn broker(input: SettingsInput, file: Option<&Path>) -> anyhow::Result<()> {
    if let Some(file) = file {
        bail!(
            "the broker takes no file of settings, since EMCP could write to {}; give it variables",
            file.display()
        );
    }
    let settings = settings(input, None)?;
    let cancel = CancellationToken::new();
    end_on_signal(cancel.clone())?;
    serve_broker(&settings, cancel).await
}

fn end_on_signal(cancel: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(())
}

async fn check(settings: Settings) -> anyhow::Result<()> {
    let findings = maintenance::check_directory(&settings).await?;
    for finding in &findings {
        println!("{}", finding.0);
    }
    if !findings.is_empty() {
        bail!(
            "{} finding(s) in {}; nothing was changed. Where the database is damaged, restore the last backup: move this directory away, and run `emcp restore FILE` into an empty one (docs/operations.md)",
            findings.len(),
            settings.data_dir.display()
        );
    }
    println!("{} is sound", settings.data_dir.display());
    Ok(())
}

/// The running EMCP holds the database; it is asked for the backup.
async fn backup(settings: Settings, file: &Path, with_keys: bool) -> anyhow::Result<()> {
    if file.exists() {
        bail!("{} exists; choose another name", file.display());
    }
    let admin_token = read_admin_token(&settings)?;
    let mut answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(format!(
            "{}/api/backup?keys={with_keys}",
            settings.local_url()
        ))
        .bearer_auth(admin_token.expose_secret())
        .send()
        .await
        .context("EMCP does not answer; is it running on this machine (or in this container)?")?
        .error_for_status()
        .context("EMCP refused")?;
    let part = file.with_extension("part");
    let written = keep(&mut answer, &part, file).await;
    if written.is_err() {
        // Nobody may take a part for a backup, nor find it in the way.
        let _ = tokio::fs::remove_file(&part).await;
    }
    written?;
    println!("backup written to {}", file.display());
    Ok(())
}

/// Under another name until it is whole.
async fn keep(answer: &mut reqwest::Response, part: &Path, file: &Path) -> anyhow::Result<()> {
    // Left by one that was killed. A new file is nobody else's to read.
    let _ = tokio::fs::remove_file(part).await;
    let mut out = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)
        .await
        .with_context(|| format!("cannot write {}", part.display()))?;
    while let Some(piece) = answer.chunk().await? {
        out.write_all(&piece).await?;
    }
    out.sync_all().await?;
    tokio::fs::hard_link(part, file)
        .await
        .with_context(|| format!("{} exists; choose another name", file.display()))?;
    tokio::fs::remove_file(part).await?;
    Ok(())
}

async fn healthcheck(settings: Settings) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(3))
        .build()?;
    let response = client
        .get(format!("{}/healthz", settings.local_url()))
        .send()
        .await
        .context("EMCP does not answer")?;
    if !response.status().is_success() {
        bail!("EMCP answers {}", response.status());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_makes_bollard_write_down_what_containers_are_given() {
        assert_eq!(log_filter(""), "info,rmcp=off,bollard=info");
        assert_eq!(log_filter("debug"), "debug,bollard=info");
        assert_eq!(
            log_filter("emcp=debug, bollard::docker=trace,bollard=debug"),
            "emcp=debug,bollard=info"
        );
    }
}
