//! The HTTP below rmcp's streamable transport, with every byte counted before
//! it is kept. rmcp's own client bounds single answers and events, not how
//! many of them there are, nor what they take when they are parsed.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Response};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use super::allowance::{Allowance, TooMuch};
use crate::runtime::{SendError, ServerClient};

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const SESSION_ID: &str = "mcp-session-id";

/// For a server to hear that a session is over: one that hangs holds nobody.
pub(super) const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Why a request failed below the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFault {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

type Fault = StreamableHttpError<HttpFault>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// Speaks HTTP within one conversation's allowance.
#[derive(Clone)]
pub(super) struct CountingClient {
    pub(super) http: ServerClient,
    pub(super) allowance: Arc<Allowance>,
    /// The status of the first refusal for want of a credential.
    pub(super) refused: Arc<OnceLock<u16>>,
}

impl StreamableHttpClient for CountingClient {
    type Error = HttpFault;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Fault> {
        let awaits_answer = matches!(message, ClientJsonRpcMessage::Request(_));
        let had_session = session_id.is_some();
        let request = self.http.requests().post(&*uri).json(&message);
        let request = with_headers(request, session_id, None, headers);
        let response = self.send(request).await?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let _ = self.refused.set(status.as_u16());
        }
        if status == StatusCode::NOT_FOUND && had_session {
            return Err(Fault::SessionExpired);
        }
        let is_empty = matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT);
        if is_empty || (status.is_success() && !awaits_answer) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.headers().get(SESSION_ID);
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        if is_of(response.headers(), EVENTS) && status.is_success() {
            return Ok(StreamableHttpPostResponse::Sse(
                self.events(response),
                session,
            ));
        }
        if is_of(response.headers(), JSON) {
            let message: Result<ServerJsonRpcMessage, _> =
                serde_json::from_slice(&self.read(response).await?);
            // A refusal may be told in the protocol's words, too.
            match message {
                Ok(message @ JsonRpcMessage::Error(_)) => {
                    return Ok(StreamableHttpPostResponse::Json(message, session));
                }
                Ok(message) if status.is_success() => {
                    return Ok(StreamableHttpPostResponse::Json(message, session));
                }
                Err(error) if status.is_success() => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        } else if status.is_success() {
            return Err(unexpected_type(response.headers()));
        }
        Err(HttpStatusError::new(status.as_u16(), None).into())
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Fault> {
        let request = self.http.requests().delete(&*uri).timeout(GOODBYE_MAX);
        // What it answers is not read: whoever has no sessions may say so.
        self.send(with_headers(request, Some(session_id), None, headers))
            .await?;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Fault> {
        let request = self.http.requests().get(&*uri);
        let request = with_headers(request, session_id, last_event_id, headers);
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(Fault::ServerDoesNotSupportSse),
            status if !status.is_success() => {
                Err(HttpStatusError::new(status.as_u16(), None).into())
            }
            _ if is_of(response.headers(), EVENTS) => Ok(self.events(response)),
            _ => Err(unexpected_type(response.headers())),
        }
    }
}

impl CountingClient {
    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        // rmcp asks again when a stream breaks; not one that was cut here.
        if self.allowance.is_spent() {
            return Err(Fault::Client(TooMuch.into()));
        }
        let sending = self.http.send(request).await;
        sending.map_err(|error| Fault::Client(error.into()))
    }

    /// A whole answer that may be parsed.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let reading = async {
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await? {
                self.allowance.take(&piece)?;
                body.extend_from_slice(&piece);
            }
            self.allowance.parse(&body)?;
            Ok(body)
        };
        reading.await.map_err(Fault::Client)
    }

    /// Events that may be parsed. One that never ends is held by the bytes.
    fn events(&self, response: Response) -> Events {
        let (counting, weighing) = (Arc::clone(&self.allowance), Arc::clone(&self.allowance));
        let pieces = response
            .bytes_stream()
            .map(move |piece: reqwest::Result<Bytes>| {
                let piece = piece?;
                counting.take(&piece)?;
                Ok::<_, HttpFault>(piece)
            });
        SseStream::from_bytes_stream(pieces)
            .and_then(move |event| {
                let data = event.data.as_deref().unwrap_or_default();
                let weighed = weighing.parse(data.as_bytes());
                std::future::ready(match weighed {
                    Ok(()) => Ok(event),
                    Err(error) => Err(SseError::Body(Box::new(error))),
                })
            })
            .boxed()
    }
}

fn with_headers(
    request: RequestBuilder,
    session_id: Option<Arc<str>>,
    last_event_id: Option<String>,
    headers: HashMap<HeaderName, HeaderValue>,
) -> RequestBuilder {
    let mut request = request
        .header(ACCEPT, format!("{EVENTS}, {JSON}"))
        .headers(headers.into_iter().collect());
    if let Some(id) = session_id {
        request = request.header(SESSION_ID, &*id);
    }
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    request
}

fn is_of(headers: &HeaderMap, media_type: &str) -> bool {
    let told = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = told.and_then(|told| told.split(|byte| *byte == b';').next());
    essence.is_some_and(|told| {
        told.trim_ascii()
            .eq_ignore_ascii_case(media_type.as_bytes())
    })
}

fn unexpected_type(headers: &HeaderMap) -> Fault {
    let told = headers.get(CONTENT_TYPE);
    Fault::UnexpectedContentType(
        told.map(|told| String::from_utf8_lossy(told.as_bytes()).into_owned()),
    )
}
