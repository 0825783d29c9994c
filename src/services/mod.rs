//! What EMCP does for its callers, without a word of HTTP. Handlers bring
//! values and a capability; everything else is here.

mod app;
mod backup;
mod certificate_watch;
mod check;
mod code;
mod connection;
mod env;
mod overview;
mod servers;
mod session;
mod sse_ticket;
mod startup;
mod templates;
mod tokens;
mod tools;
mod usage;
mod views;

pub use app::App;
pub use check::{CheckCode, CheckView};
pub use code::CodeUpload;
pub use connection::ConnectionView;
pub use overview::OverviewView;
pub use servers::{Action, CreateServer, PatchServer, ServerFilter};
pub use session::{NewSession, SESSION_LIFETIME};
pub use startup::{Endings, start};
pub use templates::{Template, templates};
pub use tokens::{CreateToken, CreatedToken, TokenView};
pub use tools::{Invocation, PromptView, ReadView, ResourceRef, ToolResultView, ToolsView};
pub use usage::{ServerUsage, TotalUsage, UsageMeter, UsageView};
pub use views::{ServerView, Urls};
