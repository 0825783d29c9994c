//! Work that blocks, off the async threads. What it logs belongs to the request
//! that asked for it.

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;

/// Runs `work` on a thread that may block, within the span of who calls.
pub(crate) fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let span = Span::current();
    spawn_blocking(move || span.in_scope(work))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Instrument;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_blocking_work_logs_carries_the_span_of_who_asked() {
        let log = Log::default();
        let writer = log.clone();
        // For all threads, since that is what is tried. No other test has one.
        tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .try_init()
            .unwrap();
        let work = async {
            let work = run_blocking(|| tracing::error!("from another thread"));
            work.await.unwrap();
        };
        let span = tracing::error_span!("request", request_id = "an-id");
        work.instrument(span).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text.lines().find(|line| line.contains("another thread"));
        assert!(line.unwrap().contains("an-id"), "{text}");
    }
}
