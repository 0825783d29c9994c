use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;

/// A holder on free ports of the loopback address, and where to ask it.
struct Running {
    path: std::path::PathBuf,
    cancel: CancellationToken,
    tasks: TaskTracker,
    _dir: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sockets");
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (held_at, token) = (path.clone(), cancel.clone());
        tasks.spawn(async move { hold(any, any, &held_at, token).await.unwrap() });
        Self {
            path,
            cancel,
            tasks,
            _dir: dir,
        }
    }
}

#[tokio::test]
async fn a_connection_made_while_nobody_serves_is_answered_by_the_next() {
    let running = Running::start();
    let first = Sockets::receive(&running.path).await.unwrap();
    let address = first.internal.local_addr().unwrap();
    drop(first);
    let mut waiting = TcpStream::connect(address).unwrap();
    let next = Sockets::receive(&running.path).await.unwrap();
    let (mut accepted, _) = next.internal.accept().await.unwrap();
    accepted.write_all(b"!").await.unwrap();
    drop(accepted);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "!");
}

#[tokio::test]
async fn the_next_is_told_how_long_nobody_served() {
    let running = Running::start();
    let first = Sockets::receive(&running.path).await.unwrap();
    let beside = Sockets::receive(&running.path).await.unwrap();
    assert_eq!(beside.unserved, Duration::ZERO);
    drop((first, beside));
    let gone = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let next = Sockets::receive(&running.path).await.unwrap();
    assert!(
        next.unserved >= Duration::from_millis(49),
        "{:?}",
        next.unserved
    );
    assert!(next.unserved <= gone.elapsed());
}

#[tokio::test]
async fn who_has_the_sockets_learns_that_the_holder_is_gone() {
    let running = Running::start();
    let served = Sockets::receive(&running.path).await.unwrap();
    tokio::time::timeout(Duration::from_millis(20), served.lifeline.lost())
        .await
        .unwrap_err();
    running.cancel.cancel();
    running.tasks.close();
    running.tasks.wait().await;
    tokio::time::timeout(Duration::from_secs(5), served.lifeline.lost())
        .await
        .unwrap();
}

#[tokio::test]
async fn only_the_same_user_may_ask() {
    use std::os::unix::fs::PermissionsExt;

    let running = Running::start();
    let _served = Sockets::receive(&running.path).await.unwrap();
    let mode = std::fs::metadata(&running.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn another_version_is_told_from_an_absent_holder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"emcp-sockets 2 0\n").await.unwrap();
    };
    let (received, ()) = tokio::join!(Sockets::receive(&path), answering);
    let error = received.err().unwrap().to_string();
    assert!(error.contains("another version"), "{error}");
}
