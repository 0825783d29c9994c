//! What EMCP does for its callers, without a word of HTTP. Handlers bring
//! values and a capability; everything else is here.

mod app;
mod audit;
mod authentication;
mod backup;
#[cfg(test)]
mod candidate;
mod certificate_watch;
mod check;
mod code;
mod connection;
mod connection_test;
mod delete;
mod disk_watch;
mod env;
mod firewall_watch;
mod housekeeping;
mod internal;
mod live;
mod members;
mod notices;
mod orphans;
mod overview;
mod passed_env;
mod quotas;
mod servers;
mod session;
mod settings_view;
mod sse_ticket;
mod startup;
mod storage;
mod templates;
mod tokens;
mod tools;
mod traefik_watch;
mod trials;
mod usage;
mod version_files;
mod versions;
mod views;
mod waiting;

pub use app::App;
pub use audit::AuditLog;
pub use check::CheckCode;
pub use code::CodeUpload;
pub use disk_watch::DiskWatch;
pub use firewall_watch::FirewallWatch;
pub use internal::{AtGate, Readiness};
pub use live::{News, Told};
pub use notices::{NoticeBoard, Subject};
pub use servers::{CreateServer, ServerFilter};
pub use session::{NewSession, SESSION_LIFETIME};
pub use startup::{Endings, start};
#[cfg(test)]
pub(crate) use startup::{Opened, Outside, start_in};
pub use templates::templates;
pub use usage::UsageMeter;
pub use views::{ServerView, urls_of};
pub use waiting::{Look, Waited};

#[cfg(test)]
mod tests;
