//! What Traefik asks for: no caller with a role, but who shows the provider token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::access::Proxies;
use crate::model::{Error, Result};
use crate::traefik::{ConnectionId, Fingerprint, Poll, Provider};

/// Hands the routes over.
pub struct RouteProvider {
    provider: Arc<Provider>,
    /// What Traefik shows to fetch them.
    token: SecretString,
    proxies: Arc<Proxies>,
    closing: CancellationToken,
}

impl RouteProvider {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            provider: Arc::clone(&parts.provider),
            token: parts.provider_token.clone(),
            proxies: Arc::clone(&parts.proxies),
            closing: parts.endings.closing.clone(),
        }
    }

    /// The routes, for a Traefik that shows the provider token. Its address is
    /// that of a proxy from now on.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn poll(
        &self,
        presented: &str,
        peer: IpAddr,
        connection: ConnectionId,
    ) -> Result<Poll> {
        let known = self.token.expose_secret();
        if !bool::from(presented.as_bytes().ct_eq(known.as_bytes())) {
            return Err(Error::Unauthenticated {
                is_wrong: false,
                message: "the provider token is needed here".to_owned(),
            });
        }
        self.proxies.see(peer, Instant::now());
        Ok(self.provider.poll(connection, &self.closing).await)
    }

    /// Traefik routes by the document with this fingerprint. Returns when it is
    /// to tell again. It gives nothing out, and who knows the fingerprint has had
    /// the document.
    pub async fn see_in_effect(&self, fingerprint: &Fingerprint) {
        self.provider
            .see_in_effect(fingerprint, &self.closing)
            .await;
    }
}
