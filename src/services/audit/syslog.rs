//! The audit log as syslog (RFC 5424), for a collector. EMCP never waits for
//! it: lines queue up to a bound, and those beyond it are dropped, counted, and
//! told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Notice;
use crate::api::AuditLine;
use crate::metrics::Count;
use crate::model::{AuditRecord, AuditResult};
use crate::settings::SyslogTarget;

/// Lines that wait; each has a few hundred bytes.
const QUEUE_MAX: usize = 1_024;
/// For connecting, and for one line.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// For what is queued when EMCP ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// "Log audit" (RFC 5424 §6.2.1).
const FACILITY: u8 = 13;

/// Hands lines to the task that sends them.
pub(super) struct Syslog {
    queue: mpsc::Sender<String>,
    host: String,
    dropped: Count,
    is_failing: Arc<AtomicBool>,
}

impl Syslog {
    pub(super) fn start(
        target: SyslogTarget,
        host: &str,
        dropped: Count,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let (queue, lines) = mpsc::channel(QUEUE_MAX);
        let is_failing = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            target,
            link: None,
            is_failing: Arc::clone(&is_failing),
        };
        tasks.spawn(sender.run(lines, cancel));
        Self {
            queue,
            host: host_name(host),
            dropped,
            is_failing,
        }
    }

    pub(super) fn send(&self, record: &AuditRecord) {
        let Some(line) = message(record, &self.host, std::process::id()) else {
            return;
        };
        if self.queue.try_send(line).is_err() {
            if self.dropped.get() == 0 {
                tracing::error!(
                    "the syslog target is behind; lines of the audit log are dropped there, and kept here"
                );
            }
            self.dropped.add_one();
        }
    }

    pub(super) fn notice(&self) -> Option<Notice> {
        self.is_failing.load(Ordering::Relaxed).then(|| Notice {
            code: "audit_syslog_failing".to_owned(),
            message: format!(
                "the audit log cannot be sent to EMCP_AUDIT_SYSLOG; lines that were not sent: {}. They are kept here all the same (GET /api/audit?format=jsonl)",
                self.dropped.get()
            ),
            args: None,
        })
    }
}

/// The HOSTNAME field: printable, without spaces.
fn host_name(host: &str) -> String {
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_graphic() && !"[]".contains(*c))
        .take(255)
        .collect();
    if host.is_empty() {
        "-".to_owned()
    } else {
        host
    }
}

/// RFC 5424 §6. The line itself is JSON, as `GET /api/audit` has it.
fn message(record: &AuditRecord, host: &str, process: u32) -> Option<String> {
    let severity = match record.entry.result {
        AuditResult::Ok => 6,
        AuditResult::Refused => 4,
        AuditResult::Failed => 3,
    };
    let json = serde_json::to_string(&AuditLine::from(record.clone())).ok()?;
    Some(format!(
        "<{}>1 {:.6} {host} emcp {process} {} - {json}",
        FACILITY * 8 + severity,
        record.entry.at,
        record.entry.action,
    ))
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

struct Sender {
    target: SyslogTarget,
    link: Option<Link>,
    is_failing: Arc<AtomicBool>,
}

impl Sender {
    async fn run(mut self, mut lines: mpsc::Receiver<String>, cancel: CancellationToken) {
        let mut unsent = None;
        while let Some(Some(line)) = cancel.run_until_cancelled(lines.recv()).await {
            let delivering = cancel.run_until_cancelled(self.deliver(&line));
            if delivering.await.is_none() {
                unsent = Some(line);
                break;
            }
        }
        // EMCP writes its last lines after it was told to end.
        let farewell = async {
            if let Some(line) = unsent {
                self.send(&line).await?;
            }
            while let Some(line) = lines.recv().await {
                self.send(&line).await?;
            }
            io::Result::Ok(())
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Tries until it is sent.
    async fn deliver(&mut self, line: &str) {
        let mut wait = RETRY_FIRST;
        loop {
            let sent = timeout(SEND_TIMEOUT, self.send(line)).await;
            let problem = match sent {
                Ok(Ok(())) => {
                    if self.is_failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("the audit log is sent to syslog again");
                    }
                    return;
                }
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            self.link = None;
            if !self.is_failing.swap(true, Ordering::Relaxed) {
                tracing::error!(error = %problem, "the audit log cannot be sent to syslog; it is tried again");
            }
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    async fn send(&mut self, line: &str) -> io::Result<()> {
        let link = match self.link.take() {
            Some(link) => link,
            None => connect(&self.target).await?,
        };
        match self.link.insert(link) {
            Link::Udp(socket) => socket.send(line.as_bytes()).await.map(drop),
            Link::Unix(socket) => socket.send(line.as_bytes()).await.map(drop),
            Link::Tcp(stream) => {
                let framed = format!("{} {line}", line.len());
                stream.write_all(framed.as_bytes()).await
            }
        }
    }
}

async fn connect(target: &SyslogTarget) -> io::Result<Link> {
    match target {
        SyslogTarget::Tcp(address) => Ok(Link::Tcp(TcpStream::connect(address).await?)),
        SyslogTarget::Udp(address) => {
            let mut problem = io::ErrorKind::NotFound.into();
            for found in tokio::net::lookup_host(address).await? {
                let any = if found.is_ipv6() {
                    "[::]:0"
                } else {
                    "0.0.0.0:0"
                };
                let socket = UdpSocket::bind(any).await?;
                match socket.connect(found).await {
                    Ok(()) => return Ok(Link::Udp(socket)),
                    Err(error) => problem = error,
                }
            }
            Err(problem)
        }
        SyslogTarget::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(Link::Unix(socket))
        }
    }
}

#[cfg(test)]
mod tests;
