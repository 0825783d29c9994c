//! The API's description, made of the routes and of what their handlers'
//! `#[utoipa::path]` and types say.

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{PathItem, RefOr};
use utoipa::{Modify, OpenApi};

use super::context::SESSION_COOKIE;
use super::route::Route;
use crate::api::{ErrorBody, UsageView};
use crate::model::RESERVED_NAMES;

/// What the description says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "EMCP",
        description = "MCP servers from single Python files. docs/api.md tells the same for people."
    ),
    servers((url = "/")),
    components(schemas(ErrorBody, UsageView)),
    security(("bearer" = []), ("api_key" = []), ("session" = []))
)]
struct Frame;

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

/// Describes those routes that are to be described.
///
/// # Errors
/// If a handler says another method or path than its route: a mistake of whoever
/// wrote them.
pub(super) fn describe(routes: &[Route]) -> anyhow::Result<Bytes> {
    let document = document(routes)?;
    Ok(serde_json::to_vec(&document)?.into())
}

fn document(routes: &[Route]) -> anyhow::Result<utoipa::openapi::OpenApi> {
    let mut whole = Frame::openapi();
    for route in routes {
        let Some(operation) = route.operation else {
            continue;
        };
        let mut described = (operation.describe)();
        let said = described.paths.paths.get_mut(route.template);
        let said = said.and_then(|item| operation_of(item, route.method.as_ref()?));
        let said = said.with_context(|| {
            let (method, template) = (&route.method, route.template);
            format!("{method:?} {template} is described as another method or path")
        })?;
        said.operation_id = Some(operation.id.to_owned());
        whole.merge(described);
    }
    Credentials.modify(&mut whole);
    Names.modify(&mut whole);
    Ok(whole)
}

fn operation_of<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::http::router;

    fn text() -> String {
        let document = document(&router::api()).unwrap();
        serde_json::to_string_pretty(&document).unwrap() + "\n"
    }

    /// The dashboard's types are made of this file, and it shows in a review
    /// what a change does to the API. `scripts/api.sh` writes it.
    #[test]
    fn the_description_is_the_one_in_docs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
        let text = text();
        if std::env::var_os("EMCP_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == written,
            "docs/openapi.json is not what the routes and types say; run scripts/api.sh"
        );
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let text = text();
        let document: Value = serde_json::from_str(&text).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let names = text.split("#/components/schemas/").skip(1);
        for name in names.filter_map(|rest| rest.split('"').next()) {
            assert!(schemas.contains_key(name), "{name} is not described");
        }
    }

    #[test]
    fn the_document_is_openapi_3_1_and_says_what_credentials_it_takes() {
        let document: Value = serde_json::from_str(&text()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            document["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let routes = router::api();
        let ids = routes.iter().filter_map(|route| route.operation);
        let ids: BTreeSet<_> = ids.map(|operation| operation.id).collect();
        assert_eq!(ids.len(), routes.len());
    }

    #[test]
    fn a_handler_that_is_described_as_another_route_is_told() {
        let mut routes = router::api();
        routes.truncate(1);
        routes[0].template = "/api/other";
        assert!(document(&routes).is_err());
    }
}
