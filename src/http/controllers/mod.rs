//! Handlers: read the request, ask for permit, call a service, answer.

pub(super) mod audit;
pub(super) mod backup;
pub(super) mod code;
pub(super) mod connection;
pub(super) mod description;
pub(super) mod env;
pub(super) mod gate;
pub(super) mod health;
pub(super) mod live;
pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod new_server;
pub(super) mod oauth;
pub(super) mod overview;
pub(super) mod preflight;
pub(super) mod provider;
pub(super) mod servers;
pub(super) mod session;
pub(super) mod settings;
pub(super) mod tokens;
pub(super) mod tools;
pub(super) mod usage;
