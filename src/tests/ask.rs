//! Requests to the service, and their answers.

use std::fmt::Display;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::app::TestApp;
use crate::model::ServerId;

/// An answer, read.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
    /// The same as text, and what it says if it is JSON.
    pub(super) text: String,
    pub(super) json: Value,
}

impl Reply {
    fn of(answer: http::Response<Bytes>) -> Self {
        let (head, body) = answer.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
            body,
        }
    }

    /// The same, if it is of this status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Checks that it is a refusal of this status and code, with words.
    #[track_caller]
    pub(super) fn refused(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.code(), code, "{}", reply.json);
        let message = reply.json["error"]["message"].as_str();
        assert!(message.is_some_and(|text| !text.is_empty()));
        reply
    }

    /// The code of the error.
    pub(super) fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request that is being put together; without further words, the
/// administrator's to the public listener.
pub(super) struct Ask<'a> {
    app: &'a TestApp,
    request: Request<Bytes>,
    is_internal: bool,
}

impl Ask<'_> {
    /// With this token; none if it is empty.
    pub(super) fn by(mut self, token: &str) -> Self {
        let headers = self.request.headers_mut();
        headers.remove("authorization");
        if token.is_empty() {
            return self;
        }
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Display) -> Self {
        let value = HeaderValue::from_str(&value.to_string()).unwrap();
        let name = HeaderName::from_static(name);
        self.request.headers_mut().append(name, value);
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(super) fn body(self, kind: &str, body: impl Into<Bytes>) -> Self {
        let mut asked = self.header("content-type", kind);
        *asked.request.body_mut() = body.into();
        asked
    }

    /// The fields of a form; one called `file` is a file.
    pub(super) fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, value) in fields {
            let file = if *name == "file" {
                "; filename=\"server.py\""
            } else {
                ""
            };
            body += &format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
            );
        }
        body += "--edge--\r\n";
        self.body("multipart/form-data; boundary=edge", body)
    }

    /// To the internal listener.
    pub(super) fn internal(mut self) -> Self {
        self.is_internal = true;
        self
    }

    pub(super) async fn send(self) -> Reply {
        let listener = &self.app.web[usize::from(self.is_internal)];
        Reply::of(listener.call(self.request).await)
    }

    /// The status alone, and what comes as a stream is hung up on.
    pub(super) async fn status(self) -> u16 {
        let listener = &self.app.web[usize::from(self.is_internal)];
        listener.open(self.request).await.status().as_u16()
    }

    /// Reads a stream until it has said this, then hangs up.
    pub(super) async fn read_until(self, what: &str) -> String {
        let listener = &self.app.web[usize::from(self.is_internal)];
        let mut answer = listener.open(self.request).await.into_body();
        let mut read = String::new();
        while !read.contains(what) {
            let Some(Ok(frame)) = answer.frame().await else {
                panic!("it ended without {what:?}: {read}");
            };
            if let Ok(data) = frame.into_data() {
                read += &String::from_utf8_lossy(&data);
            }
        }
        read
    }
}

impl TestApp {
    /// Begins a request of the administrator's.
    pub(super) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        let asked = Ask {
            app: self,
            request,
            is_internal: false,
        };
        asked.by(&self.admin)
    }

    /// A call of the API by the administrator.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_as(&self.admin, method, path, body).await
    }

    /// The same with another token.
    pub(super) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Reply {
        let asked = self.ask(method, path).by(token);
        match body {
            Some(body) => asked.json(&body).send().await,
            None => asked.send().await,
        }
    }

    /// Any request to the public listener.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Reply {
        Reply::of(self.web[0].call(request).await)
    }

    /// The text of a page: of the internal listener's, or of the public one's.
    pub(super) async fn read(
        &self,
        is_internal: bool,
        path: &str,
        token: &str,
    ) -> (StatusCode, String) {
        let asked = self.ask("GET", path).by(token);
        let asked = if is_internal { asked.internal() } else { asked };
        let reply = asked.send().await;
        (reply.status, reply.text)
    }

    /// A call of a server, as Traefik asks the gate about it.
    pub(super) fn ask_gate(&self, token: &str, server: ServerId) -> Ask<'_> {
        let entry = self.app.behind.directory.get(server).unwrap();
        let at = entry.place().route;
        let name = &entry.server.name;
        self.ask("GET", &format!("/gate?server={server}&at={at}"))
            .by(token)
            .internal()
            .header("x-forwarded-method", "POST")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "localhost:8443")
            .header("x-forwarded-uri", format!("/api/{name}/mcp"))
    }

    /// What the gate says of a call of a server with this token.
    pub(super) async fn knock(&self, token: &str, server: ServerId) -> StatusCode {
        self.ask_gate(token, server).send().await.status
    }

    /// Makes a server of this file.
    pub(super) async fn create(&self, name: &str, code: &str) -> ServerId {
        self.create_with(json!({"name": name, "code": code})).await
    }

    /// Makes a server of these fields.
    pub(super) async fn create_with(&self, fields: Value) -> ServerId {
        let made = self.call("POST", "/api/servers", Some(fields)).await;
        made.expect(201).id()
    }

    /// Makes a server with another token, and leaves it stopped.
    pub(super) async fn create_as(&self, token: &str, name: &str) -> ServerId {
        let body = json!({"name": name, "code": "x = 1\n", "start": false});
        let made = self.call_as(token, "POST", "/api/servers", Some(body));
        made.await.expect(201).id()
    }

    /// Makes a server and waits until it runs.
    pub(super) async fn run(&self, name: &str, code: &str) -> ServerId {
        let id = self.create(name, code).await;
        self.until_status(id, "running").await;
        id
    }

    /// Starts, stops or restarts a server.
    pub(super) async fn act(&self, id: ServerId, action: &str) -> Reply {
        let path = format!("/api/servers/{id}/action");
        let body = json!({"action": action});
        self.call("POST", &path, Some(body)).await
    }

    /// Changes a server's settings.
    pub(super) async fn patch(&self, id: ServerId, change: Value) -> Reply {
        let path = format!("/api/servers/{id}");
        self.call("PATCH", &path, Some(change)).await
    }

    /// A server as the API shows it.
    pub(super) async fn show(&self, id: ServerId) -> Value {
        let path = format!("/api/servers/{id}");
        self.call("GET", &path, None).await.expect(200).json
    }

    /// A server's history, oldest first.
    pub(super) async fn history(&self, id: ServerId) -> Vec<Value> {
        let path = format!("/api/servers/{id}/events?limit=1000");
        let told = self.call("GET", &path, None).await.expect(200).json;
        let mut events = told["events"].as_array().unwrap().clone();
        events.reverse();
        events
    }

    /// Makes a token, and tells its secret.
    pub(super) async fn token(&self, name: &str, role: &str) -> String {
        let body = json!({"name": name, "role": role});
        let made = self.call("POST", "/api/tokens", Some(body)).await;
        made.expect(201).json["token"].as_str().unwrap().to_owned()
    }

    /// Revokes the token of this name.
    pub(super) async fn revoke(&self, name: &str) {
        let listed = self.call("GET", "/api/tokens", None).await.json;
        let mut tokens = listed["tokens"].as_array().unwrap().iter();
        let token = tokens.find(|token| token["name"] == name).unwrap();
        let path = format!("/api/tokens/{}", token["id"].as_str().unwrap());
        self.call("DELETE", &path, None).await.expect(204);
    }
}

impl Reply {
    /// The id of what it shows.
    pub(super) fn id(&self) -> ServerId {
        self.json["id"].as_str().unwrap().parse().unwrap()
    }
}
