//! `POST /api/servers`: the same fields as multipart or as JSON.

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{parse_json, parse_object};
use crate::api::CheckBody;
use crate::model::{
    Args, Egress, EntryObject, Error, LimitsPatch, PassHeaders, RawEnvVar, Result, RuntimeChoice,
    SleepChoice, Storage, object_or_null, parse_env_json,
};
use crate::services::{CheckCode, CodeUpload, CreateServer};

/// The fields as they came.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = CreateServerBody)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateServerBody {
    #[schema(required = true, value_type = String, max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
    name: Option<String>,
    description: Option<String>,
    /// The Python object to serve; "mcp" by default.
    #[schema(value_type = Option<EntryObject>)]
    entry_object: Option<String>,
    #[schema(value_type = Option<RuntimeChoice>)]
    runtime: Option<String>,
    /// What the file finds in `sys.argv[1:]`; nothing by default.
    #[schema(value_type = Option<Args>)]
    args: Option<Value>,
    /// What the server keeps beyond its containers, in `/data`; nothing by
    /// default.
    #[schema(value_type = Option<Storage>)]
    storage: Option<Value>,
    /// Where the server's own connections may lead; "open" by default.
    #[schema(value_type = Option<Egress>)]
    egress: Option<String>,
    /// The headers in which the server expects credentials of its own; none by
    /// default.
    #[schema(max_items = 8)]
    pass_headers: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object_or_null")]
    limits: Option<LimitsPatch>,
    /// When it is put to sleep; by default as the platform says.
    #[schema(value_type = Option<SleepChoice>)]
    sleep: Option<Value>,
    /// One Python file.
    #[schema(required = true, value_type = String, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    code: Option<String>,
    #[schema(value_type = Option<Vec<RawEnvVar>>, max_items = 200)]
    env: Option<Value>,
    /// Whether to start it at once; true by default.
    start: Option<bool>,
    #[serde(skip)]
    file: Option<Bytes>,
}

/// How the same fields are described as a form. `args`, `storage`, `limits`,
/// `sleep`, `env` and `pass_headers` are taken too, as JSON text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct CreateServerForm {
    #[schema(max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
    name: String,
    #[schema(nullable = false)]
    description: Option<String>,
    #[schema(nullable = false)]
    entry_object: Option<EntryObject>,
    #[schema(nullable = false)]
    runtime: Option<RuntimeChoice>,
    /// One Python file, in UTF-8 or the encoding that it declares.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    file: String,
    #[schema(nullable = false)]
    start: Option<bool>,
}

/// The same as a form.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct CodeForm {
    /// One Python file, in UTF-8 or the encoding that it declares.
    #[schema(pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
    file: String,
}

/// Reads a file to check.
///
/// # Errors
/// The code of the first thing that is wrong.
pub(super) fn read_check(body: &[u8], max_code_bytes: u64) -> Result<CheckCode> {
    let body: CheckBody = parse_object(body)?;
    Ok(CheckCode {
        code: CodeUpload::check_text(&body.code, max_code_bytes)?,
        entry_object: entry_object_of(body.entry_object.as_deref())?,
        runtime: runtime_of(body.runtime.as_deref())?,
    })
}

/// Reads a new server from a request's body.
///
/// # Errors
/// The code of the first thing that is wrong; nothing is created.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Bytes,
    max_code_bytes: u64,
) -> Result<CreateServer> {
    let fields: CreateServerBody = match kind(headers) {
        Kind::Json => parse_object(&body)?,
        Kind::Multipart(boundary) => multipart(body, boundary).await?,
        Kind::Other => return Err(unsupported()),
    };
    check(fields, max_code_bytes)
}

/// Reads code alone, for `PUT …/code`: multipart, JSON or the text itself.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_code(
    headers: &HeaderMap,
    body: Bytes,
    max_code_bytes: u64,
) -> Result<CodeUpload> {
    let fields: CreateServerBody = match kind(headers) {
        Kind::Json => parse_object(&body)?,
        Kind::Multipart(boundary) => multipart(body, boundary).await?,
        // Who says that it is UTF-8 sends a text, and else it is a file as it lies there.
        Kind::Other if is_told_to_be_utf8(headers) => CreateServerBody {
            code: Some(text_of(&body)?),
            ..CreateServerBody::default()
        },
        Kind::Other => CreateServerBody {
            file: Some(body),
            ..CreateServerBody::default()
        },
    };
    code_of(&fields, max_code_bytes)
}

fn is_told_to_be_utf8(headers: &HeaderMap) -> bool {
    let told = headers.get(CONTENT_TYPE);
    let told = told.and_then(|value| value.to_str().ok()).unwrap_or("");
    told.split(';').skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        name.trim().eq_ignore_ascii_case("charset")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

fn text_of(body: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(body).map_err(|_| {
        Error::invalid(
            "code_not_text",
            "file",
            "the code is said to be UTF-8 (charset) and is not; leave charset out to send a file as it is",
        )
    })?;
    Ok(text.to_owned())
}

enum Kind {
    Json,
    Multipart(String),
    Other,
}

fn kind(headers: &HeaderMap) -> Kind {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if let Ok(boundary) = multer::parse_boundary(text) {
        return Kind::Multipart(boundary);
    }
    let essence = text.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Kind::Json
    } else {
        Kind::Other
    }
}

fn unsupported() -> Error {
    Error::bad_request(
        "unsupported_content_type",
        "send multipart/form-data (with a boundary) or application/json",
    )
}

async fn multipart(body: Bytes, boundary: String) -> Result<CreateServerBody> {
    let malformed = |_| {
        Error::bad_request(
            "invalid_multipart",
            "the multipart body is malformed or ends early",
        )
    };
    let whole = stream::once(std::future::ready(Ok::<_, std::io::Error>(body)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut fields = CreateServerBody::default();
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let name = part.name().unwrap_or("").to_owned();
        let bytes = part.bytes().await.map_err(malformed)?;
        fields.set(&name, bytes)?;
    }
    Ok(fields)
}

impl CreateServerBody {
    fn set(&mut self, name: &str, bytes: Bytes) -> Result<()> {
        match name {
            "name" => once(&mut self.name, "name", text("name", bytes)?),
            "description" => once(
                &mut self.description,
                "description",
                text("description", bytes)?,
            ),
            "entry_object" => once(
                &mut self.entry_object,
                "entry_object",
                text("entry_object", bytes)?,
            ),
            "runtime" => once(&mut self.runtime, "runtime", text("runtime", bytes)?),
            "args" => once(&mut self.args, "args", parse_json(&bytes)?),
            "storage" => once(&mut self.storage, "storage", parse_json(&bytes)?),
            "egress" => once(&mut self.egress, "egress", text("egress", bytes)?),
            "pass_headers" => once(&mut self.pass_headers, "pass_headers", parse_json(&bytes)?),
            "limits" => once(&mut self.limits, "limits", parse_object(&bytes)?),
            "sleep" => once(&mut self.sleep, "sleep", word_or_json(&bytes)?),
            "code" => once(&mut self.code, "code", text("code", bytes)?),
            "env" => once(&mut self.env, "env", parse_json(&bytes)?),
            "start" => once(&mut self.start, "start", flag(&bytes)?),
            "file" => once(&mut self.file, "file", bytes),
            _ => Err(Error::bad_request(
                "unknown_field",
                "the form has a field that is not known; known are name, description, entry_object, runtime, args, storage, egress, pass_headers, limits, sleep, file, code, env and start",
            )),
        }
    }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(Error::invalid(
            "duplicate_field",
            name,
            format!("the field \"{name}\" stands more than once"),
        ));
    }
    Ok(())
}

fn text(name: &'static str, bytes: Bytes) -> Result<String> {
    String::from_utf8(bytes.into()).map_err(|_| {
        Error::invalid(
            "not_text",
            name,
            format!("the field \"{name}\" is not UTF-8 text"),
        )
    })
}

fn flag(bytes: &[u8]) -> Result<bool> {
    match bytes {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(Error::invalid(
            "invalid_flag",
            "start",
            "start must be \"true\" or \"false\"",
        )),
    }
}

/// JSON, where a form may leave the quotes of a lone word out.
fn word_or_json(bytes: &[u8]) -> Result<Value> {
    match bytes {
        b"never" => Ok(Value::from("never")),
        _ => parse_json(bytes),
    }
}

fn check(fields: CreateServerBody, max_code_bytes: u64) -> Result<CreateServer> {
    let name = fields
        .name
        .as_deref()
        .ok_or_else(|| Error::invalid("missing_field", "name", "the field \"name\" is missing"))?
        .parse()?;
    let code = code_of(&fields, max_code_bytes)?;
    let env = match &fields.env {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            let bytes = serde_json::to_vec(value)
                .map_err(|error| Error::internal("JSON could not be written", error))?;
            parse_env_json(&bytes)?
        }
    };
    Ok(CreateServer {
        name,
        description: fields.description.unwrap_or_default(),
        entry_object: entry_object_of(fields.entry_object.as_deref())?,
        runtime: runtime_of(fields.runtime.as_deref())?,
        args: Args::from_json(fields.args.unwrap_or_default())?,
        storage: Storage::from_json(fields.storage.unwrap_or_default())?,
        egress: match fields.egress.as_deref() {
            None | Some("") => Egress::default(),
            Some(text) => text.parse()?,
        },
        pass_headers: PassHeaders::parse(fields.pass_headers.unwrap_or_default())?,
        limits: fields.limits.unwrap_or_default(),
        sleep: SleepChoice::from_json(fields.sleep.unwrap_or_default())?,
        code,
        env,
        start: fields.start.unwrap_or(true),
    })
}

/// An empty field of a form is one that was not filled in.
fn entry_object_of(text: Option<&str>) -> Result<EntryObject> {
    match text {
        None | Some("") => Ok(EntryObject::default()),
        Some(text) => text.parse(),
    }
}

fn runtime_of(text: Option<&str>) -> Result<RuntimeChoice> {
    match text {
        None | Some("") => Ok(RuntimeChoice::Auto),
        Some(text) => text.parse(),
    }
}

fn code_of(fields: &CreateServerBody, max_code_bytes: u64) -> Result<CodeUpload> {
    match (&fields.file, &fields.code) {
        (Some(bytes), None) => CodeUpload::check(bytes, max_code_bytes),
        (None, Some(text)) => CodeUpload::check_text(text, max_code_bytes),
        (None, None) => Err(Error::invalid(
            "missing_field",
            "file",
            "the code is missing: send a field \"file\" (upload) or \"code\" (text)",
        )),
        (Some(_), Some(_)) => Err(Error::invalid(
            "duplicate_field",
            "code",
            "send \"file\" or \"code\", not both",
        )),
    }
}
