//! What can be set of a server, in one table: how each field is kept, sent and
//! shown, and what a change of it takes. CONTRIBUTING.md says how one is added.

#[macro_use]
mod table;
mod sent;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::sent::{Setting, given};
use super::{
    Args, Description, Egress, EntryObject, Limits, LimitsPatch, Maxima, PassHeaders, RawEnvVar,
    Result, RuntimeChoice, SleepChoice, Storage, object_or_null,
};

pub use self::sent::{Part, fill_once};

// Each row: what it is for, as the API's description tells; its name; how it is
// kept and shown; what a change takes ([`Effect`]); how a form has it (a method
// of [`Part`]); and as what JSON has it, which becomes what is kept by `Setting`.
// What an older record lacks is as by default.
server_settings! {
    from its creation on:

    /// Free text for people; none by default.
    description: Description = Live, text
        #[schema(value_type = Option<Description>)] String;

    /// The Python object to serve; "mcp" by default.
    entry_object: EntryObject = NextStart, text
        #[schema(value_type = Option<EntryObject>)] String;

    /// Which Python environment serves it; "auto" by default.
    runtime: RuntimeChoice = NextStart, text
        #[schema(value_type = Option<RuntimeChoice>)] String;

    /// What its file finds in `sys.argv[1:]`, the whole list; nothing by default.
    args: Args = NextStart, json
        #[schema(value_type = Option<Args>)] Value;

    /// What it keeps beyond its containers, in `/data`; nothing by default. It
    /// may come and grow. `null` is a value, so it is told apart from absence.
    storage: Option<Storage> = NextStart, json
        #[serde(default, deserialize_with = "given")]
        #[schema(value_type = Option<Storage>)] Value;

    /// Where its own connections may lead; "open" by default. A running server
    /// restarts with it: who cuts one off does not mean "after its next restart".
    egress: Egress = Restart, text
        #[schema(value_type = Option<Egress>)] String;

    /// The headers in which it expects credentials of its own, the whole list,
    /// from the next request on; none by default.
    pass_headers: PassHeaders = Live, json
        #[schema(max_items = 8)] Vec<String>;

    /// What it may use.
    limits: Limits = NextStart, object
        #[serde(default, deserialize_with = "object_or_null")] LimitsPatch;

    /// When it is put to sleep: `null` is the platform's setting, and the
    /// default.
    sleep: SleepChoice = Live, word_or_json
        #[serde(default, deserialize_with = "given")]
        #[schema(value_type = Option<SleepChoice>)] Value;

    once it is there:

    /// The operator's pause: while it is set, EMCP leaves the server's containers
    /// as they are.
    hold: bool = Live, bool;
}

/// What a change of a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it holds from now on, and no container knows of it.
    Live,
    /// It reaches the server with its next container, which it needs.
    NextStart,
    /// It reaches a running server at once, by a new container.
    Restart,
}

/// A setting that is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub field: &'static str,
    /// What that takes.
    pub effect: Effect,
}

impl ServerSettings {
    /// The settings of a new server.
    ///
    /// # Errors
    /// As [`ServerSettings::with`].
    pub fn of_new(mut sent: PatchServer, maxima: &Maxima) -> Result<Self> {
        sent.leave_out_blanks();
        let by_default = Self::default();
        Self {
            limits: maxima.cap(by_default.limits),
            ..by_default
        }
        .with(sent, maxima)
    }
}

#[cfg(test)]
mod tests;
