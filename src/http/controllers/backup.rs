//! `/api/backup`.

use http::header::{CONTENT_TYPE, HeaderValue};
use tokio_util::io::ReaderStream;
use warp::Reply;

use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::Answer;

#[utoipa::path(
    get,
    path = "/api/backup",
    tag = "platform",
    params(("keys" = Option<bool>, Query, description = "whether the keys are in it")),
    responses((status = 200, description = "a backup", body = Vec<u8>, content_type = "application/x-tar"), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_administer()?;
    let with_keys = ctx.query_flag("keys")?.unwrap_or(false);
    let file = ctx.app.backups.make(&permit, with_keys).await?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(file));
    let mut response = warp::reply::stream(stream).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}
