use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::super::fold::tests::{change, refusal};
use super::*;
use crate::metrics::Metrics;
use crate::model::AuditEntry;

struct Running {
    syslog: Syslog,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

fn start(target: SyslogTarget) -> Running {
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let dropped = Metrics::default().syslog_dropped();
    let syslog = Syslog::start(target, "mcp.example", dropped, &tasks, cancel.clone());
    Running {
        syslog,
        tasks,
        cancel,
    }
}

fn record(id: u64, entry: AuditEntry) -> AuditRecord {
    AuditRecord { id, entry }
}

#[test]
fn a_line_has_the_header_of_rfc_5424_and_is_json() {
    let entry = AuditEntry {
        at: "2026-01-02T03:04:05.123456789Z".parse().unwrap(),
        ..refusal("ada", "demo")
    };
    let line = message(&record(7, entry), &host_name("[::1]"), 42).unwrap();
    let (header, json) = line.split_once(" - ").unwrap();
    assert_eq!(
        header,
        "<108>1 2026-01-02T03:04:05.123456Z ::1 emcp 42 server.change"
    );
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json["id"], &json["actor"]), (&7.into(), &"ada".into()));
    assert_eq!(host_name(""), "-");
}

#[tokio::test]
async fn lines_reach_a_tcp_collector_counted_in_octets_also_those_sent_before_it_was_there() {
    let address = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        free.local_addr().unwrap()
    };
    let running = start(SyslogTarget::Tcp(address.to_string()));
    running.syslog.send(&record(1, change("ada", "one")));
    let failing = async {
        while running.syslog.notice().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), failing).await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    running.syslog.send(&record(2, change("ada", "two")));
    for id in 1..=2 {
        let mut digits = String::new();
        loop {
            let byte = stream.read_u8().await.unwrap();
            if byte == b' ' {
                break;
            }
            digits.push(char::from(byte));
        }
        let mut line = vec![0; digits.parse().unwrap()];
        stream.read_exact(&mut line).await.unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with("<110>1 "), "{line}");
        assert!(line.contains(&format!("\"id\":{id},")), "{line}");
    }
}

#[tokio::test]
async fn datagrams_reach_a_unix_socket_and_udp_also_what_is_queued_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let mut buffer = [0; 4096];
    for target in [SyslogTarget::Unix(path), SyslogTarget::Udp(address)] {
        let is_udp = matches!(target, SyslogTarget::Udp(_));
        let running = start(target);
        running.cancel.cancel();
        running.syslog.send(&record(9, change("ada", "one")));
        let received = if is_udp {
            udp.recv(&mut buffer).await.unwrap()
        } else {
            unix.recv(&mut buffer).await.unwrap()
        };
        let line = String::from_utf8_lossy(&buffer[..received]).into_owned();
        assert!(line.contains("\"id\":9,"), "{line}");
        drop(running.syslog);
        running.tasks.close();
        running.tasks.wait().await;
    }
}

#[tokio::test]
async fn a_collector_that_takes_nothing_costs_no_more_than_the_queue_and_is_told_of() {
    // It accepts and never reads, so that the kernel's buffers fill.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(SyslogTarget::Tcp(
        listener.local_addr().unwrap().to_string(),
    ));
    let (_stream, _) = {
        running.syslog.send(&record(0, change("ada", "one")));
        listener.accept().await.unwrap()
    };
    let mut sent: u64 = 0;
    while running.syslog.dropped.get() == 0 {
        running
            .syslog
            .send(&record(sent, change("ada", &"x".repeat(2_000))));
        sent += 1;
        tokio::task::yield_now().await;
        assert!(sent < 100_000, "nothing was dropped");
    }
    assert_eq!(running.syslog.queue.capacity(), 0);
    running.cancel.cancel();
}
