//! `/api/settings`.

use crate::api::SettingsView;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, json};

#[utoipa::path(
    get,
    path = "/api/settings",
    tag = "platform",
    responses((status = 200, description = "what the platform is set to", body = SettingsView), Refusals)
)]
pub(in crate::http) async fn get(ctx: Ctx) -> Answer {
    let permit = ctx.caller()?.may_administer()?;
    Ok(json(&ctx.app.shown_settings.view(&permit).await))
}
