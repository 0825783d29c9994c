//! `/api/openapi.json`: the API described by the types and handlers that serve
//! it. A test compares its paths with the routes.

use std::sync::LazyLock;

use bytes::Bytes;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::context::{Ctx, SESSION_COOKIE};
use super::controllers::{
    audit, backup, code, connection, env, health, helpers, live, logs, metrics, overview, servers,
    session, settings, tokens, tools, usage,
};
use super::error::ErrorBody;
use super::reply::{Answer, content};
use crate::model::{Error, RESERVED_NAMES};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "EMCP",
        description = "MCP servers from single Python files. docs/api.md tells the same for people."
    ),
    servers((url = "/")),
    paths(
        servers::list,
        servers::create,
        servers::get,
        servers::patch,
        servers::delete,
        servers::act,
        servers::events,
        code::get,
        code::put,
        code::get_version,
        code::versions,
        code::activate,
        env::get,
        env::put,
        logs::read,
        connection::get,
        helpers::name,
        helpers::check,
        helpers::list_templates,
        tools::list,
        tools::call,
        tools::read,
        tools::prompt,
        tools::test,
        live::stream,
        overview::get,
        settings::get,
        audit::list,
        backup::get,
        tokens::list,
        tokens::create,
        tokens::change,
        tokens::revoke,
        usage::get,
        session::show,
        session::sign_in,
        session::sign_out,
        health::live,
        health::ca_cert,
        metrics::read,
        metrics::of_traefik,
        document,
    ),
    components(schemas(ErrorBody<'static>)),
    modifiers(&Credentials, &Names),
    security(("bearer" = []), ("api_key" = []), ("session" = []))
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme(
            "api_key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        );
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE))),
        );
    }
}

/// Writes the rule of names out with the reserved words, which stand in a
/// constant.
struct Names;

impl Modify for Names {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for schema in ["CreateServerBody", "CreateServerForm"] {
            let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(schema) else {
                continue;
            };
            if let Some(RefOr::T(Schema::Object(name))) = object.properties.get_mut("name") {
                name.pattern = Some(format!(
                    "^(?!({})$)[a-z0-9](-?[a-z0-9])*$",
                    RESERVED_NAMES.join("|")
                ));
            }
        }
    }
}

/// The methods that a path takes, for `Allow` (RFC 9110 §15.5.6); `None` for a
/// path that is not described.
pub(super) fn methods_of(path: &str) -> Option<&'static str> {
    described(path).map(|described| described.methods.as_str())
}

/// The template of a path that is described.
pub(super) fn template_of(path: &str) -> Option<&'static str> {
    described(path).map(|described| described.template.as_str())
}

/// What the description says of a path.
struct Described {
    template: String,
    parts: Vec<String>,
    methods: String,
}

fn described(path: &str) -> Option<&'static Described> {
    static PATHS: LazyLock<Vec<Described>> = LazyLock::new(|| {
        let described = serde_json::to_value(Document::openapi()).unwrap_or_default();
        let Some(paths) = described["paths"].as_object() else {
            return Vec::new();
        };
        paths
            .iter()
            .map(|(path, operations)| {
                let methods = operations
                    .as_object()
                    .into_iter()
                    .flat_map(|map| map.keys());
                let methods: Vec<String> = methods.map(|name| name.to_uppercase()).collect();
                Described {
                    template: path.clone(),
                    parts: path.split('/').map(str::to_owned).collect(),
                    methods: methods.join(", "),
                }
            })
            .collect()
    });
    let parts: Vec<&str> = path.split('/').collect();
    PATHS.iter().find(|known| {
        let mut pairs = known.parts.iter().zip(&parts);
        known.parts.len() == parts.len()
            && pairs.all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
    })
}

/// What every call may be answered with instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Refusals {
    /// The request is at fault; `error.code` says how.
    #[response(status = "4XX")]
    Refused(ErrorBody<'static>),
    /// Something EMCP depends on does not answer now.
    #[response(status = 503)]
    Unavailable(ErrorBody<'static>),
}

#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "platform",
    responses((status = 200, description = "this document", body = serde_json::Value)),
    security(())
)]
pub(super) async fn document(_: Ctx) -> Answer {
    static TEXT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
        serde_json::to_vec(&Document::openapi())
            .map(Bytes::from)
            .map_err(|error| error.to_string())
    });
    match &*TEXT {
        Ok(text) => Ok(content("application/json", text.clone())),
        Err(error) => Err(Error::internal("the API's description is broken", error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Method and path of every public route, as `router.rs` writes them:
    /// `path!("api" / "servers" / String).and(get())`.
    fn routes() -> BTreeSet<(String, String)> {
        let source = include_str!("router.rs");
        let public = source.split("pub(super) fn internal").next().unwrap();
        public
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path!("))
            .filter_map(|line| {
                let (path, rest) = line.split_once(").and(")?;
                let method = rest.split("()").next()?;
                let path: String = path
                    .split(" / ")
                    .map(|part| match part {
                        "String" => "/{}".to_owned(),
                        literal => format!("/{}", literal.trim_matches('"')),
                    })
                    .collect();
                // What is left over is a way to say "not found".
                (!path.ends_with("/..")).then(|| (method.to_owned(), path))
            })
            .collect()
    }

    fn described() -> BTreeSet<(String, String)> {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let mut found = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let path: Vec<&str> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part })
                .collect();
            for method in operations.as_object().unwrap().keys() {
                found.insert((method.clone(), path.join("/")));
            }
        }
        found
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes = routes();
        assert!(routes.len() > 20, "the routes were not found: {routes:?}");
        assert_eq!(described(), routes);
    }

    #[test]
    fn a_path_knows_its_methods() {
        assert_eq!(methods_of("/api/servers/demo/env"), Some("GET, PUT"));
        assert_eq!(methods_of("/api/servers/demo/nothing"), None);
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        let names = text.split("#/components/schemas/").skip(1);
        for name in names.filter_map(|rest| rest.split('"').next()) {
            assert!(schemas.contains_key(name), "{name} is not described");
        }
    }

    #[test]
    fn the_document_is_openapi_3_1_and_says_what_credentials_it_takes() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            document["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
    }
}
