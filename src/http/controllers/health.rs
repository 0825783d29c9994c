//! Liveness, readiness, and the CA's certificate.

use http::StatusCode;
use serde_json::json;

use crate::api::Liveness;
use crate::http::context::Ctx;
use crate::http::error::Refusals;
use crate::http::reply::{Answer, content, json, json_with};
use crate::model::Error;
use crate::services::Readiness;

#[utoipa::path(
    get,
    path = "/healthz",
    tag = "platform",
    responses((status = 200, description = "EMCP is alive", body = Liveness), Refusals),
    security(())
)]
pub(in crate::http) async fn live(_: Ctx) -> Answer {
    Ok(json(&Liveness {
        status: "ok".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    }))
}

pub(in crate::http) async fn ready(ctx: Ctx) -> Answer {
    let Readiness {
        store,
        docker,
        traefik,
        firewall,
        notices,
        disk,
    } = ctx.app.platform.readiness().await;
    let word = |good: bool, bad: &'static str| if good { "ok" } else { bad };
    let is_ready = store && docker && traefik;
    let body = json!({
        "ready": is_ready,
        // Warnings: servers are served all the same.
        "firewall": firewall,
        "notices": notices,
        "disk": disk,
        "checks": {
            "store": word(store, "the database does not answer"),
            "docker": word(docker, "Docker Engine does not answer"),
            "traefik": word(traefik, "Traefik has not fetched its configuration for 10 s"),
        },
    });
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(json_with(status, &body))
}

#[utoipa::path(
    get,
    path = "/ca.crt",
    tag = "platform",
    responses((status = 200, description = "the certificate of EMCP's own CA, PEM", body = String, content_type = "application/x-x509-ca-cert"), Refusals),
    security(())
)]
pub(in crate::http) async fn ca_cert(ctx: Ctx) -> Answer {
    let pem = ctx
        .app
        .platform
        .ca_cert_pem()
        .ok_or_else(|| Error::NotFound {
            code: "no_local_ca",
            message: "this EMCP does not use a CA of its own".to_owned(),
        })?;
    Ok(content("application/x-x509-ca-cert", pem))
}
