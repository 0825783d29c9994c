//! EMCP: a self-hosted PaaS for MCP servers.
//!
//! One Python file in, one public HTTPS MCP URL out. The crate is a library
//! and a binary; `ARCHITECTURE.md` is the map, and `tests/tidy.rs` keeps the
//! walls between the modules below standing.

pub mod access;
pub mod activity;
pub mod api;
mod blocking;
pub mod bounds;
pub mod bundles;
mod clock;
pub mod directory;
pub mod disk;
pub mod disk_locks;
pub mod gate;
pub mod http;
pub mod identity;
pub mod liveness;
pub mod logs;
pub mod maintenance;
pub mod mcp;
pub mod metrics;
pub mod model;
pub mod reconcile;
pub mod runtime;
pub mod services;
pub mod settings;
pub mod sockets;
pub mod store;
#[cfg(test)]
mod tests;
pub mod traefik;
pub mod trouble;
mod unix_socket;
pub mod vault;
