//! `/api/servers/{id}/tools`, `…/resources` and `…/prompts`: what a server offers,
//! and what it answers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What a server offers, in the shapes of the MCP specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolsView {
    /// What it says of itself: an `Implementation`.
    #[schema(value_type = Implementation)]
    pub server: Value,
    /// The revision of MCP agreed on.
    #[schema(value_type = String)]
    pub protocol_version: Value,
    /// What it tells models about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub instructions: Option<Value>,
    /// `Tool`s.
    #[schema(value_type = Vec<Tool>)]
    pub tools: Vec<Value>,
    /// `Resource`s.
    #[schema(value_type = Vec<Resource>)]
    pub resources: Vec<Value>,
    /// `ResourceTemplate`s.
    #[schema(value_type = Vec<ResourceTemplate>)]
    pub resource_templates: Vec<Value>,
    /// `Prompt`s.
    #[schema(value_type = Vec<Prompt>)]
    pub prompts: Vec<Value>,
    /// Lists that are not whole, since the server tells more than EMCP reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<TruncatedList>,
}

/// A list of which only a part was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TruncatedList {
    /// `tools`, `resources`, `resource_templates` or `prompts`.
    pub list: Cow<'static, str>,
    /// `too_many_pages`, `too_many_items`, `too_large` or `too_slow`.
    pub code: Cow<'static, str>,
}

/// A tool or prompt with its arguments.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// Its name.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// Its URI.
    pub uri: String,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolResultView {
    /// Whether the tool itself says that it failed.
    pub is_error: bool,
    /// `ContentBlock`s.
    pub content: Value,
    /// What fits the tool's output schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structured_content: Option<Value>,
    /// From the request to the answer, without the handshake.
    pub duration_ms: f64,
}

/// What is in a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReadView {
    /// `ResourceContents`.
    pub contents: Value,
    /// From the request to the answer, without the handshake.
    pub duration_ms: f64,
}

/// A prompt, filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptView {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<Value>,
    /// `PromptMessage`s.
    pub messages: Value,
    /// From the request to the answer, without the handshake.
    pub duration_ms: f64,
}

/// What MCP calls so: here with what is always in it, and what the dashboard
/// shows.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes")]
struct Implementation {
    name: String,
    version: String,
}

/// The same.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes")]
struct Tool {
    name: String,
    #[schema(nullable = false)]
    title: Option<String>,
    #[schema(nullable = false)]
    description: Option<String>,
    /// A JSON Schema.
    #[schema(value_type = Object)]
    input_schema: Value,
    /// A JSON Schema.
    #[schema(value_type = Option<Object>, nullable = false)]
    output_schema: Option<Value>,
    /// `ToolAnnotations`.
    #[schema(value_type = Option<Object>, nullable = false)]
    annotations: Option<Value>,
}

/// The same.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes")]
struct Resource {
    uri: String,
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    mime_type: Option<String>,
}

/// The same.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes")]
struct ResourceTemplate {
    uri_template: String,
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    mime_type: Option<String>,
}

/// The same.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes")]
struct Prompt {
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    arguments: Option<Vec<PromptArgument>>,
}

/// The same.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes")]
struct PromptArgument {
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    required: Option<bool>,
}
