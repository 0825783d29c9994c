//! The broker's side of the socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::guard::{Find, Guard};
use super::protocol::{self, ANSWER_MAX_BYTES, GREETING, WISH_MAX_BYTES, Wish};
use super::setup::Setup;
use crate::identity::create_dir_private;
use crate::runtime::brokered::Brokered;
use crate::runtime::{DockerRuntime, RuntimeError};
use crate::settings::Settings;
use crate::unix_socket::UnixSocket;

/// Connections at once; further ones wait in the kernel's queue. Each server
/// that runs has one for its output.
const CONNECTIONS_MAX: usize = 8_192;
/// For the whole of a wish.
const WISH_MAX: Duration = Duration::from_secs(10);
/// For a part of an answer to be taken.
const TAKE_MAX: Duration = Duration::from_secs(300);
/// Of all wishes that are being read together.
const READING_MAX_BYTES: usize = 4 * WISH_MAX_BYTES;
/// What goes into one frame of a stream, if so much is there already.
const ITEMS_PER_FRAME: usize = 256;

/// Serves EMCP at the socket that the settings name, until cancelled.
///
/// # Errors
/// If the settings name none, or it cannot be made.
pub async fn serve(settings: &Settings, cancel: CancellationToken) -> anyhow::Result<()> {
    let find =
        |setup: &Setup| DockerRuntime::new(&setup.docker_host, &setup.network, &setup.instance);
    serve_with(settings, Box::new(find), cancel).await
}

/// The same with another engine.
pub(super) async fn serve_with<E: Brokered>(
    settings: &Settings,
    find: Find<E>,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let Some(path) = &settings.broker else {
        bail!("say where EMCP finds the broker: EMCP_BROKER=/path/of/a/unix-socket");
    };
    create_dir_private(&settings.data_dir)
        .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
    let socket = UnixSocket::open(path)?;
    let broker = Arc::new(Broker {
        guard: Arc::new(Guard::new(Setup::of(settings), find)),
        reading: Semaphore::new(READING_MAX_BYTES),
    });
    tracing::info!(at = %path.display(), engine = settings.docker_host, instance = settings.instance, "the broker serves");
    let attend = |stream| {
        let broker = Arc::clone(&broker);
        async move { broker.attend(stream).await }
    };
    socket.serve(CONNECTIONS_MAX, cancel, attend).await;
    Ok(())
}

struct Broker<E> {
    guard: Arc<Guard<E>>,
    reading: Semaphore,
}

impl<E: Brokered> Broker<E> {
    async fn attend(&self, mut stream: UnixStream) -> io::Result<()> {
        stream.write_all(GREETING).await?;
        let wish = timeout(WISH_MAX, self.wish(&mut stream));
        let Some(wish) = wish.await.map_err(io::Error::other)?? else {
            return Ok(());
        };
        let (mut from, mut to) = stream.into_split();
        tokio::select! {
            // What is large comes rarely.
            done = Box::pin(self.fulfil(wish, &mut to)) => done,
            () = hung_up(&mut from) => Ok(()),
        }
    }

    /// What is wished; `None` from who has hung up, or speaks another version
    /// and has been told.
    async fn wish(&self, stream: &mut UnixStream) -> io::Result<Option<Wish>> {
        let mut greeting = [0; GREETING.len()];
        match stream.read_exact(&mut greeting).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        if &greeting != GREETING {
            return Err(io::Error::other("it speaks another version"));
        }
        let Some(length) = protocol::length_of_next(stream, WISH_MAX_BYTES).await? else {
            return Ok(None);
        };
        let bytes = u32::try_from(length).map_err(io::Error::other)?;
        let _reading = self
            .reading
            .acquire_many(bytes)
            .await
            .map_err(io::Error::other)?;
        protocol::receive(stream, length).await.map(Some)
    }

    async fn fulfil(&self, wish: Wish, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let guard = &self.guard;
        match wish {
            Wish::Connect(agreed) => answer(to, &guard.connect(&agreed).await).await,
            Wish::Ping => answer(to, &guard.ping().await).await,
            Wish::Info => answer(to, &guard.info().await).await,
            Wish::BeganAt => answer(to, &guard.began_at().await).await,
            Wish::List { server } => answer(to, &guard.list(server).await).await,
            Wish::Mounted => answer(to, &guard.mounted().await).await,
            Wish::Inspect { id } => answer(to, &guard.inspect(&id).await).await,
            Wish::Run(wish) => answer(to, &guard.run(*wish).await).await,
            Wish::Start { id } => answer(to, &guard.start(&id).await).await,
            Wish::Stop { id, grace_secs } => answer(to, &guard.stop(&id, grace_secs).await).await,
            Wish::Pause { id } => answer(to, &guard.pause(&id).await).await,
            Wish::Unpause { id } => answer(to, &guard.unpause(&id).await).await,
            Wish::Remove { id } => answer(to, &guard.remove(&id).await).await,
            Wish::Attach {
                id,
                egress,
                endpoint,
            } => answer(to, &guard.attach(&id, egress, &endpoint).await).await,
            Wish::RunOnce(shot) => answer(to, &guard.run_once(&shot).await).await,
            Wish::Usage { id } => answer(to, &guard.usage(&id).await).await,
            Wish::GivenSecrets { id } => answer(to, &guard.given_secrets(&id).await).await,
            Wish::Tail { id, lines } => answer(to, &guard.tail(&id, lines).await).await,
            Wish::Follow { id, since_secs } => match guard.follow(&id, since_secs).await {
                Ok(lines) => pass_on(to, lines).await,
                Err(error) => refuse(to, error).await,
            },
            Wish::Changes => match guard.changes().await {
                Ok(changes) => pass_on(to, changes.map(Ok)).await,
                Err(error) => refuse(to, error).await,
            },
        }
    }
}

async fn answer<T: Serialize>(
    to: &mut OwnedWriteHalf,
    answer: &Result<T, RuntimeError>,
) -> io::Result<()> {
    let sending = protocol::send(to, answer, ANSWER_MAX_BYTES);
    timeout(TAKE_MAX, sending).await.map_err(io::Error::other)?
}

async fn refuse(to: &mut OwnedWriteHalf, error: RuntimeError) -> io::Result<()> {
    answer::<()>(to, &Err(error)).await
}

/// Whatever there is at once goes in one frame. An empty one is the end.
async fn pass_on<T: Serialize>(
    to: &mut OwnedWriteHalf,
    items: impl Stream<Item = Result<T, RuntimeError>> + Send + Unpin,
) -> io::Result<()> {
    let mut frames = items.ready_chunks(ITEMS_PER_FRAME);
    while let Some(chunk) = frames.next().await {
        let mut good = Vec::with_capacity(chunk.len());
        let mut last = None;
        for item in chunk {
            match item {
                Ok(item) => good.push(item),
                Err(error) => last = Some(error),
            }
        }
        if !good.is_empty() {
            answer(to, &Ok(good)).await?;
        }
        if let Some(error) = last {
            return refuse(to, error).await;
        }
    }
    answer(to, &Ok(Vec::<T>::new())).await
}

/// EMCP says nothing after its wish, so this is the end of the connection.
async fn hung_up(from: &mut OwnedReadHalf) {
    let _ = from.read(&mut [0]).await;
}
