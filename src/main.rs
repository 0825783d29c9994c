//! The `emcp` command.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use emcp::identity::Identity;
use emcp::settings::{Settings, SettingsInput};
use emcp::{http, services};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

/// How long tasks get to end when EMCP is asked to.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

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
    Serve(Box<SettingsInput>),
    /// Make what a first start needs in the data directory, and end.
    Init(Box<SettingsInput>),
    /// Ask a running EMCP on this machine whether it is alive.
    Healthcheck(Box<SettingsInput>),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    start_logging()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    match cli.command {
        Command::Serve(input) => runtime.block_on(serve(settings(*input, cli.config)?)),
        Command::Init(input) => {
            let settings = settings(*input, cli.config)?;
            Identity::load_or_create(&settings)?;
            println!("{} is ready", settings.data_dir.display());
            Ok(())
        }
        Command::Healthcheck(input) => runtime.block_on(healthcheck(settings(*input, cli.config)?)),
    }
}

fn settings(mut input: SettingsInput, file: Option<PathBuf>) -> anyhow::Result<Settings> {
    // Not flags: a process list shows those to everybody on the machine.
    input.admin_token = from_environment("EMCP_ADMIN_TOKEN");
    input.master_key = from_environment("EMCP_MASTER_KEY");
    let input = input.without_empty();
    let input = match file {
        Some(path) => input.or_file(&path)?,
        None => input,
    };
    Ok(input.check()?)
}

fn from_environment(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

fn start_logging() -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_env("EMCP_LOG").or_else(|_| EnvFilter::try_new("info,rmcp=warn"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match std::env::var("EMCP_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().init(),
        Ok("text") | Err(_) => builder.with_ansi(false).init(),
        Ok(other) => bail!("EMCP_LOG_FORMAT must be \"text\" or \"json\", not \"{other}\""),
    }
    Ok(())
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let tasks = TaskTracker::new();
    end_on_signal(cancel.clone())?;
    let app = services::start(settings, tasks.clone(), cancel.clone()).await?;
    let served = http::serve(app).await;
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

async fn healthcheck(settings: Settings) -> anyhow::Result<()> {
    let port = settings.listen.port();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(3))
        .build()?;
    let response = client
        .get(format!("http://127.0.0.1:{port}/healthz"))
        .send()
        .await
        .context("EMCP does not answer")?;
    if !response.status().is_success() {
        bail!("EMCP answers {}", response.status());
    }
    Ok(())
}
