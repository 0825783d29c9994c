//! A new server as a form, and `/api/names/{name}`, `/api/check` and
//! `/api/templates`: what the page for a new server asks while somebody types.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::{EntryObject, RuntimeChoice, SentenceArgs};

/// A new server as a form, field by field: the usual ones. The other settings and
/// `env` are taken too, as JSON text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateServerForm {
    /// Its name.
    #[schema(max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
    pub name: String,
    /// Free text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// The Python object to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub entry_object: Option<EntryObject>,
    /// Which Python environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub runtime: Option<RuntimeChoice>,
    /// One Python file, in UTF-8 or the encoding that it declares.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub file: String,
    /// Whether to start it at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub start: Option<bool>,
}

/// Whether a server may have a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NameView {
    /// As it was asked about.
    pub name: String,
    /// Whether it is allowed and free.
    pub available: bool,
    /// Why not.
    #[schema(required = true)]
    pub code: Option<Cow<'static, str>>,
    /// The same in words.
    #[schema(required = true)]
    pub message: Option<String>,
}

/// Servers to start from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TemplateList {
    /// By id.
    pub templates: Vec<Template>,
}

/// A server to start from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// Its file's name without the ending.
    pub id: String,
    /// The same for people.
    pub title: String,
    /// The first paragraph of the file's documentation.
    pub description: String,
    /// The Python object to serve.
    pub entry_object: String,
    /// The file.
    pub code: String,
}

/// A file to check before it is started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {
    /// One Python file.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    pub code: String,
    /// The Python object to serve; "mcp" by default.
    #[schema(value_type = Option<EntryObject>)]
    pub entry_object: Option<String>,
    /// Which Python environment; as the file asks for it by default.
    #[schema(value_type = Option<RuntimeChoice>)]
    pub runtime: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// Whether nothing was found that keeps it from being served.
    #[serde(default)]
    pub ok: bool,
    /// Which Python environment it would be served by.
    #[schema(required = true)]
    pub runtime: Option<RuntimeChoice>,
    /// Names at the top level that are bound to a server.
    pub entry_objects: Vec<String>,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// `syntax_error`, `no_entry`, `entry_not_found`, `module_not_available`.
    pub code: String,
    /// In words.
    pub message: String,
    /// What the words name; absent where they are Python's own, and from a base
    /// image of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<SentenceArgs>)]
    pub args: Option<Map<String, Value>>,
    /// Where it begins.
    #[schema(required = true)]
    pub line: Option<u32>,
    /// Where it begins.
    #[schema(required = true)]
    pub column: Option<u32>,
    /// Where it ends.
    #[schema(required = true)]
    pub end_line: Option<u32>,
    /// Where it ends: the column after the last one.
    #[schema(required = true)]
    pub end_column: Option<u32>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be served.
    Error,
    /// It may fail.
    Warning,
}
