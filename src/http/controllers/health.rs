//! Liveness, readiness, and the CA's certificate.

use http::StatusCode;

use crate::api::{Liveness, ReadinessChecks, ReadinessView};
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
        broker,
        docker,
        traefik,
        firewall,
        notices,
        disk,
    } = ctx.app.platform.readiness().await;
    let word = |good: bool, bad: &'static str| if good { "ok" } else { bad }.into();
    let engine_is_silent = match broker {
        Some(false) => "not known, since the broker does not answer",
        Some(true) | None => "Docker Engine does not answer",
    };
    let body = ReadinessView {
        ready: store && broker != Some(false) && docker && traefik,
        checks: ReadinessChecks {
            store: word(store, "the database does not answer"),
            broker: broker.map(|answers| word(answers, "the broker does not answer")),
            docker: word(docker, engine_is_silent),
            traefik: word(
                traefik,
                "Traefik has not fetched its configuration for 10 s",
            ),
        },
        firewall,
        notices,
        disk,
    };
    let status = if body.ready {
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
