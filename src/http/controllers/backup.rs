//! `/api/backup`.

use http::header::{CONTENT_TYPE, HeaderValue};
use tokio_util::io::ReaderStream;
use warp::Reply;

use crate::http::context::Ctx;
use crate::http::reply::Answer;

pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let leave = ctx.caller()?.may_administer()?;
    let with_keys = ctx.query_flag("keys")?.unwrap_or(false);
    let file = ctx.app.backup(&leave, with_keys).await?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(file));
    let mut response = warp::reply::stream(stream).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}
