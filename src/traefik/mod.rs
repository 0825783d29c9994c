//! Traefik's dynamic configuration: what it says (pure) and how it is handed
//! over.

mod document;
mod headers;
mod provider;
mod routes;

pub use document::{Fingerprint, Rendered, RouteFacts, own_address, render};
pub use headers::{SERVERS_HOST_HEADER, passes_never};
pub use provider::{ConnectionId, Poll, Provider};
pub use routes::{Publisher, Routes};
