//! Where a container is found.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::model::{Egress, LeasedAddress, ServerNetworks};

/// The port every server listens on inside its container: the base image's
/// bootstrap and every route agree on it (`base-image/README.md`).
const CONTAINER_PORT: u16 = 8000;

/// Where a container is found. What that is, is this room's alone to know: others
/// compare endpoints and hand them on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Endpoint(Ipv4Addr);

impl Endpoint {
    /// Where who leases this address is found, in the network of its egress.
    pub fn of(leased: LeasedAddress, egress: Egress, networks: &ServerNetworks) -> Self {
        Self(networks.address(leased, egress))
    }

    /// Where an engine says that a container is.
    pub(super) fn at(ip: Ipv4Addr) -> Self {
        Self(ip)
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.0
    }

    /// What EMCP itself connects to.
    pub(super) fn socket(&self) -> SocketAddr {
        (self.0, CONTAINER_PORT).into()
    }

    /// What Traefik is given of it.
    pub fn url_for_traefik(&self) -> String {
        format!("http://{}", self.socket())
    }

    /// What people are shown of it.
    pub fn shown(&self) -> String {
        self.socket().to_string()
    }
}
