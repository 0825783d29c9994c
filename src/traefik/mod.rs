//! Traefik's dynamic configuration: what it says (pure) and how it is handed
//! over.

mod document;
mod provider;
mod routes;

pub use document::{RouteFacts, render};
pub use provider::{ConnectionId, Poll, Provider};
pub use routes::{Publisher, Routes};
