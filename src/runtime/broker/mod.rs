//! The engine at arm's length: a process of its own, the *broker*
//! (`emcp broker`), alone may use Docker's socket, and EMCP tells it what it
//! wishes through a Unix socket (ADR 23).
//!
//! What can be wished is what [`super::Runtime`] has, and less: image, label,
//! networks and hardening are the broker's own, and what remains is checked
//! (`policy`). Whoever takes over EMCP gets no more of the host than that.
//!
//! The broker's folder lies in the data directory, and EMCP may read it and not
//! change it: what the engine mounts, it mounts from there, since a path that
//! EMCP could bend between a check and the mount would lead anywhere.

mod client;
mod files;
mod guard;
mod policy;
mod protocol;
mod server;
mod setup;

pub use client::BrokerRuntime;
pub use server::serve;

#[cfg(test)]
mod tests;
