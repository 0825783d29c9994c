//! The documents of the API, as they are sent and as they are read: every one
//! can be both, so that a client in Rust needs no types of its own. What they
//! are made of is the product's words (`model`); a `…View` is what a caller sees.
//!
//! Pure, and without a word of how a document comes about or travels: no HTTP,
//! no services.

mod audit;
mod code;
mod connection;
mod env;
mod error;
mod logs;
mod new_server;
mod platform;
mod servers;
mod session;
mod tokens;
mod tools;
mod usage;

pub use audit::{AuditLine, AuditPage};
pub use code::{CodeBody, CodeForm, FileBytes, VersionList, VersionView};
pub use connection::{
    ClientsView, Commands, ConnectionTest, ConnectionView, Step, TwoTransports, WithLink,
};
pub use env::{EnvList, EnvUpdate};
pub use error::{ErrorBody, ErrorDetail};
pub use logs::{Edge, LogLine, LogPage};
pub use new_server::{
    CheckBody, CheckView, CreateServerForm, NameView, Problem, Severity, Template, TemplateList,
};
pub use platform::{
    Attention, EngineView, Firewall, FirewallView, Liveness, Notice, OverviewView, ReadinessChecks,
    ReadinessView, RecentEvent, ServerRef, ServerUsage, SettingsView, Space, TotalUsage, UsageView,
};
pub use servers::{
    Action, ActionBody, EventList, EventView, ReasonView, ServerList, ServerNews, ServerView, Urls,
};
pub use session::{SessionView, SignIn};
pub use tokens::{ChangeToken, CreateToken, CreatedToken, TokenList, TokenView};
pub use tools::{
    Invocation, PromptView, ReadView, ResourceRef, ToolResultView, ToolsView, TruncatedList,
};
pub use usage::{AmountView, PeopleView, PersonView, WritesView};

// The two bodies with a server's settings come from the one table of these.
pub use crate::model::{CreateServerBody, PatchServer};

#[cfg(test)]
mod tests;
