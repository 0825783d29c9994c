//! `POST /api/servers`: the same fields as multipart or as JSON.

use std::str::FromStr;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::{parse_json, parse_object};
use crate::api::{CheckBody, CreateServerBody, PatchServer};
use crate::model::{Error, Part, Result, fill_once, parse_env_json};
use crate::services::{CheckCode, CodeUpload, CreateServer};

/// A new server as it came, or its code alone.
#[derive(Default)]
struct Sent {
    name: Option<String>,
    settings: PatchServer,
    code: Option<String>,
    file: Option<Bytes>,
    env: Option<Value>,
    start: Option<bool>,
}

impl From<CreateServerBody> for Sent {
    fn from(mut body: CreateServerBody) -> Self {
        Self {
            settings: body.take_settings(),
            name: body.name,
            code: body.code,
            file: None,
            env: body.env,
            start: body.start,
        }
    }
}

/// Reads a file to check.
///
/// # Errors
/// The code of the first thing that is wrong.
pub(super) fn read_check(body: &[u8], max_code_bytes: u64) -> Result<CheckCode> {
    let body: CheckBody = parse_object(body)?;
    Ok(CheckCode {
        code: CodeUpload::check_text(&body.code, max_code_bytes)?,
        entry_object: or_default(body.entry_object.as_deref())?,
        runtime: or_default(body.runtime.as_deref())?,
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
    let sent = match kind(headers) {
        Kind::Json => parse_object::<CreateServerBody>(&body)?.into(),
        Kind::Multipart(boundary) => multipart(body, boundary).await?,
        Kind::Other => return Err(unsupported()),
    };
    check(sent, max_code_bytes)
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
    let sent = match kind(headers) {
        Kind::Json => parse_object::<CreateServerBody>(&body)?.into(),
        Kind::Multipart(boundary) => multipart(body, boundary).await?,
        // Who says that it is UTF-8 sends a text, and else it is a file as it lies there.
        Kind::Other if is_told_to_be_utf8(headers) => Sent {
            code: Some(text_of(&body)?),
            ..Sent::default()
        },
        Kind::Other => Sent {
            file: Some(body),
            ..Sent::default()
        },
    };
    code_of(&sent, max_code_bytes)
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

async fn multipart(body: Bytes, boundary: String) -> Result<Sent> {
    let malformed = |_| {
        Error::bad_request(
            "invalid_multipart",
            "the multipart body is malformed or ends early",
        )
    };
    let whole = stream::once(std::future::ready(Ok::<_, std::io::Error>(body)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut sent = Sent::default();
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        let name = part.name().unwrap_or("").to_owned();
        let bytes = part.bytes().await.map_err(malformed)?;
        sent.take_part(&name, FormPart(bytes))?;
    }
    Ok(sent)
}

impl Sent {
    fn take_part(&mut self, name: &str, part: FormPart) -> Result<()> {
        let Some(part) = self.settings.take_part(name, part)? else {
            return Ok(());
        };
        match name {
            "name" => fill_once(&mut self.name, "name", part.text("name")?),
            "code" => fill_once(&mut self.code, "code", part.text("code")?),
            "env" => fill_once(&mut self.env, "env", part.json("env")?),
            "start" => fill_once(&mut self.start, "start", flag(&part.0)?),
            "file" => fill_once(&mut self.file, "file", part.0),
            _ => Err(Error::bad_request(
                "unknown_field",
                format!(
                    "the form has a field that is not known; known are name, {}, file, code, env and start",
                    PatchServer::IN_A_FORM.join(", ")
                ),
            )),
        }
    }
}

/// One part of a form.
struct FormPart(Bytes);

impl Part for FormPart {
    fn text(self, field: &'static str) -> Result<String> {
        String::from_utf8(self.0.into()).map_err(|_| {
            Error::invalid(
                "not_text",
                field,
                format!("the field \"{field}\" is not UTF-8 text"),
            )
        })
    }

    fn json<T: DeserializeOwned>(self, _: &'static str) -> Result<T> {
        parse_json(&self.0)
    }

    fn object<T: DeserializeOwned>(self, _: &'static str) -> Result<T> {
        parse_object(&self.0)
    }

    fn word_or_json(self, _: &'static str) -> Result<Value> {
        match &*self.0 {
            b"never" => Ok(Value::from("never")),
            json => parse_json(json),
        }
    }
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

fn check(sent: Sent, max_code_bytes: u64) -> Result<CreateServer> {
    let name = sent
        .name
        .as_deref()
        .ok_or_else(|| Error::invalid("missing_field", "name", "the field \"name\" is missing"))?
        .parse()?;
    let code = code_of(&sent, max_code_bytes)?;
    let env = match &sent.env {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            let bytes = serde_json::to_vec(value)
                .map_err(|error| Error::internal("JSON could not be written", error))?;
            parse_env_json(&bytes)?
        }
    };
    Ok(CreateServer {
        name,
        settings: sent.settings,
        code,
        env,
        start: sent.start.unwrap_or(true),
    })
}

/// An empty field is one that was not filled in.
fn or_default<T: FromStr<Err = Error> + Default>(text: Option<&str>) -> Result<T> {
    match text {
        None | Some("") => Ok(T::default()),
        Some(text) => text.parse(),
    }
}

fn code_of(sent: &Sent, max_code_bytes: u64) -> Result<CodeUpload> {
    match (&sent.file, &sent.code) {
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
