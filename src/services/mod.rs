//! What EMCP does for its callers, without a word of HTTP. Handlers bring
//! values and a capability; everything else is here.

mod app;
mod backup;
mod certificate_watch;
mod code;
mod connection;
mod env;
mod servers;
mod session;
mod sse_ticket;
mod startup;
mod tokens;
mod views;

pub use app::App;
pub use code::CodeUpload;
pub use connection::ConnectionView;
pub use servers::{Action, CreateServer, PatchServer, ServerFilter};
pub use session::{NewSession, SESSION_LIFETIME};
pub use startup::start;
pub use tokens::{CreateToken, CreatedToken, TokenView};
pub use views::{OverviewView, ServerView, Urls};
