//! Somebody in Traefik's place.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::app::POLL;
use crate::http::InProcess;

/// Polls, routes by what it was given, and tells so.
pub(super) async fn stand_for_traefik(web: Arc<[InProcess; 2]>, token: String) {
    let ask = async |path: String| {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::new())
            .unwrap();
        web[1].call(request).await.into_body()
    };
    let in_effect = tokio::sync::watch::Sender::new(None::<String>);
    let fetching = async {
        loop {
            let document = ask("/traefik/config".to_owned()).await;
            let document: Value = serde_json::from_slice(&document).unwrap_or_default();
            let path =
                document["http"]["middlewares"]["emcp-in-effect"]["replacePath"]["path"].as_str();
            in_effect.send_replace(path.map(str::to_owned));
            tokio::time::sleep(POLL).await;
        }
    };
    let telling = async {
        loop {
            let path = in_effect.borrow().clone();
            if let Some(path) = path {
                ask(path).await;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::join!(fetching, telling);
}
