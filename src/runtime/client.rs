//! How EMCP itself speaks with a server it runs: over HTTP, with its witness,
//! and by knocking.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Endpoint;
#[cfg(test)]
use super::fake::FakeEngine;

/// A witness has some twenty bytes to say.
const TESTIMONY_MAX_BYTES: usize = 512;

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Over the network.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// By the fake engine.
    #[cfg(test)]
    #[error("{0}")]
    Fake(&'static str),
}

/// Why a witness said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTestimony {
    /// There is none: the base image is from before.
    NoWitness,
    /// It is silent.
    Silent,
}

/// Speaks with servers; cheap to clone.
#[derive(Clone)]
pub struct ServerClient {
    http: reqwest::Client,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Network,
    #[cfg(test)]
    Fake(FakeEngine),
}

impl ServerClient {
    /// Over the network, straight to containers and never through a proxy.
    ///
    /// # Errors
    /// If the host has no source of randomness, or no TLS.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self::over(http))
    }

    /// By this client, which may go another way to them.
    pub fn over(http: reqwest::Client) -> Self {
        let way = Way::Network;
        Self { http, way }
    }

    /// To the fake engine's containers.
    #[cfg(test)]
    pub(super) fn of_fake(engine: FakeEngine) -> Self {
        Self {
            http: reqwest::Client::new(),
            way: Way::Fake(engine),
        }
    }

    /// Where [`ServerClient::send`] finds this page of a server.
    pub fn url(&self, endpoint: &Endpoint, path: &str) -> String {
        format!("http://{}{path}", endpoint.socket())
    }

    /// Makes requests for [`ServerClient::send`].
    pub fn requests(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request to a server.
    ///
    /// # Errors
    /// If it has no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, SendError> {
        match &self.way {
            Way::Network => Ok(request.send().await?),
            #[cfg(test)]
            Way::Fake(engine) => engine.answer(request.build()?).await,
        }
    }

    /// Asks the witness of the server at `endpoint`, by this key, within this time.
    ///
    /// # Errors
    /// If it says nothing.
    pub async fn testimony(
        &self,
        endpoint: &Endpoint,
        key: &str,
        patience: Duration,
    ) -> Result<Vec<u8>, NoTestimony> {
        match &self.way {
            Way::Network => match timeout(patience, ask_witness(endpoint.socket(), key)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    Err(NoTestimony::NoWitness)
                }
                Ok(Err(_)) | Err(_) => Err(NoTestimony::Silent),
            },
            #[cfg(test)]
            Way::Fake(engine) => engine.testimony(endpoint),
        }
    }

    /// Whether somebody is there, were it to refuse.
    pub async fn can_connect(&self, endpoint: &Endpoint, patience: Duration) -> bool {
        match &self.way {
            Way::Network => match timeout(patience, TcpStream::connect(endpoint.socket())).await {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
                Err(_) => false,
            },
            #[cfg(test)]
            Way::Fake(engine) => engine.is_reached(endpoint),
        }
    }
}

async fn ask_witness(address: SocketAddr, key: &str) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).await?;
    // Only what comes from there is received, and a port that is not open is told.
    socket.connect(address).await?;
    socket.send(key.as_bytes()).await?;
    let mut answer = [0; TESTIMONY_MAX_BYTES];
    let length = socket.recv(&mut answer).await?;
    Ok(answer[..length].to_vec())
}
