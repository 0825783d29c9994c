//! What EMCP does for its callers, without a word of HTTP. Handlers bring
//! values and a capability; everything else is here.
//!
//! Each service keeps its parts to itself, so what it is shown a capability for is
//! all there is to be had of it. A server is seen by who may see it:
//!
//! ```
//! use emcp::access::CanRead;
//! use emcp::services::App;
//!
//! fn shown(app: &App, permit: &CanRead) -> emcp::model::Result<String> {
//!     Ok(app.servers.get(permit, "demo")?.name)
//! }
//! ```
//!
//! Without the capability this does not compile:
//!
//! ```compile_fail
//! use emcp::services::App;
//!
//! fn shown(app: &App) -> emcp::model::Result<String> {
//!     Ok(app.servers.get("demo")?.name)
//! }
//! ```
//!
//! To see a server is not to change it, and who may change one brings the name of
//! no other:
//!
//! ```
//! use emcp::access::CanWrite;
//! use emcp::api::Action;
//! use emcp::services::App;
//!
//! async fn stop(app: &App, permit: &CanWrite) {
//!     let _ = app.servers.act(permit, Action::Stop).await;
//! }
//! ```
//!
//! ```compile_fail
//! use emcp::access::CanRead;
//! use emcp::api::Action;
//! use emcp::services::App;
//!
//! async fn stop(app: &App, permit: &CanRead) {
//!     let _ = app.servers.act(permit, Action::Stop).await;
//! }
//! ```
//!
//! ```compile_fail
//! use emcp::access::CanWrite;
//! use emcp::api::Action;
//! use emcp::services::App;
//!
//! async fn stop(app: &App, permit: &CanWrite) {
//!     let _ = app.servers.act(permit, "another", Action::Stop).await;
//! }
//! ```
//!
//! What the gate looks at before it knows who asks is given to the gate alone; who
//! has the services does not have it:
//!
//! ```
//! use emcp::services::Gate;
//!
//! fn is_there(gate: &Gate) -> bool {
//!     gate.server_called("demo").is_some()
//! }
//! ```
//!
//! ```compile_fail
//! use emcp::services::App;
//!
//! fn is_there(app: &App) -> bool {
//!     app.gate.server_called("demo").is_some()
//! }
//! ```

mod app;
mod audit;
mod authentication;
mod backup;
mod certificate_watch;
mod changes;
mod check;
mod code;
mod collection;
mod connection;
mod connection_test;
mod disk_watch;
mod env;
mod firewall_watch;
mod gate;
mod grants;
mod housekeeping;
mod live;
mod log_reader;
mod monitoring;
mod notices;
mod orphans;
mod overview;
mod parts;
mod passed_env;
mod platform;
mod presenter;
mod quotas;
mod route_provider;
mod servers;
mod session;
mod settings_view;
mod sse_ticket;
mod startup;
mod storage;
mod templates;
mod token_changes;
mod tokens;
mod tools;
mod traefik_watch;
mod trials;
mod usage;
mod versions;
mod views;
mod waiting;

pub use app::App;
pub use audit::Audit;
pub use authentication::Authentication;
pub use backup::Backups;
pub use check::{CheckCode, Checks};
pub use code::{Code, CodeUpload};
pub use connection::Connections;
pub use connection_test::ConnectionTests;
pub use env::Env;
pub use gate::Gate;
pub use grants::{Grants, Named};
pub use live::{Live, Told};
pub use log_reader::LogReader;
pub use monitoring::Monitoring;
pub use overview::Overview;
pub use platform::{Platform, Readiness};
pub use quotas::Quotas;
pub use route_provider::RouteProvider;
pub use servers::{CreateServer, ServerFilter, Servers};
pub use session::{NewSession, SESSION_LIFETIME, Sessions};
pub use settings_view::ShownSettings;
pub use sse_ticket::Tickets;
pub use startup::{Endings, Started, start};
#[cfg(test)]
pub(crate) use startup::{Opened, Outside, start_in};
pub use templates::templates;
pub use tokens::Tokens;
pub use tools::Tools;
pub use views::urls_of;
pub use waiting::{Look, Waited};

use audit::AuditLog;
use disk_watch::DiskWatch;
use firewall_watch::FirewallWatch;
use notices::{NoticeBoard, Subject};
use usage::UsageMeter;

#[cfg(test)]
mod tests;
