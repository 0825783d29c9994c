//! What a route is, and the table of them: from its entry come the answer of a
//! path and method, the API's description, `Allow`, the audit log's word, and
//! the name under which the request is logged and measured.

use std::vec;

use anyhow::Context;
use bytes::Bytes;
use futures_util::stream;
use http::Method;
use utoipa::openapi::OpenApi;
use warp::ws::Ws;

use super::body::BodyStream;
use super::context::Ctx;
use super::reply::{Answer, Work};
use super::request_facts::UNMATCHED;
use crate::model::Result;

/// For a route that takes every method.
pub(super) const ANY: Option<Method> = None;
pub(super) const GET: Option<Method> = Some(Method::GET);
pub(super) const POST: Option<Method> = Some(Method::POST);
pub(super) const PUT: Option<Method> = Some(Method::PUT);
pub(super) const PATCH: Option<Method> = Some(Method::PATCH);
pub(super) const DELETE: Option<Method> = Some(Method::DELETE);

/// One row of the table.
pub(super) struct Route {
    /// `None` takes them all.
    pub(super) method: Option<Method>,
    /// Its path, with parameters as `{name}`; also its name for the log and for
    /// what is measured, since there are as many as there are routes.
    pub(super) template: &'static str,
    /// What the audit log says that it does.
    pub(super) action: Option<&'static str>,
    /// What the API's description says of it.
    pub(super) operation: Option<Operation>,
    handler: Box<dyn Fn(Ctx, Parts) -> Work + Send + Sync>,
    params: usize,
}

/// A route as the API's description has it.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    /// Unique in the description (OpenAPI Specification 3.1, "Operation Object").
    pub(super) id: &'static str,
    /// Describes this one and what it needs.
    pub(super) describe: fn() -> OpenApi,
}

impl Route {
    /// A route that is no part of the API's description; `method` is `None` for
    /// one that takes them all.
    pub(super) fn new<Takes, H: Handler<Takes>>(
        method: Option<Method>,
        template: &'static str,
        handler: H,
    ) -> Self {
        Self {
            method,
            template,
            action: None,
            operation: None,
            handler: Box::new(move |ctx, parts| handler.handle(ctx, parts)),
            params: H::PARAMS,
        }
    }

    /// The same, described.
    pub(super) fn described(self, operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            ..self
        }
    }

    /// The same, audited: what comes of every request by a known caller leaves a
    /// line with this word.
    pub(super) fn audited(self, action: &'static str) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    /// Has the handler begin.
    pub(super) fn handle(&self, ctx: Ctx, parts: Parts) -> Work {
        (self.handler)(ctx, parts)
    }
}

/// What a handler can take besides the context.
pub(super) struct Parts {
    /// The path's parameters, in their order, as they stand there.
    pub(super) params: vec::IntoIter<String>,
    pub(super) body: Option<BodyStream>,
    pub(super) upgrade: Option<Ws>,
    pub(super) description: Description,
}

/// Brings the API's description, as it is sent.
#[derive(Clone, Copy)]
pub(super) struct Description(pub(super) fn() -> Result<Bytes>);

/// Something a handler can take.
pub(super) trait Part: Send + 'static {
    /// Of the path's parameters.
    const PARAMS: usize = 0;

    fn take(parts: &mut Parts) -> Self;
}

/// The next parameter of the path.
impl Part for String {
    const PARAMS: usize = 1;

    fn take(parts: &mut Parts) -> Self {
        // The table does not take a route with too few ([`Table::new`]).
        parts.params.next().unwrap_or_default()
    }
}

/// The body; a second taker finds it empty.
impl Part for BodyStream {
    fn take(parts: &mut Parts) -> Self {
        let none = || Box::pin(stream::empty()) as Self;
        parts.body.take().unwrap_or_else(none)
    }
}

/// The WebSocket, for a request that asks for one.
impl Part for Option<Ws> {
    fn take(parts: &mut Parts) -> Self {
        parts.upgrade.take()
    }
}

impl Part for Description {
    fn take(parts: &mut Parts) -> Self {
        parts.description
    }
}

/// An `async fn` of the context and of up to two parts; or of the context, of what
/// the table of routes gives it, and of those ([`Given`]).
pub(super) trait Handler<Takes>: Send + Sync + 'static {
    /// How many of the path's parameters it takes.
    const PARAMS: usize;

    fn handle(&self, ctx: Ctx, parts: Parts) -> Work;
}

/// A handler and what it is given besides, which no other one gets.
pub(super) struct Given<G, F>(pub(super) G, pub(super) F);

macro_rules! handler_of {
    ($($part:ident $name:ident),*) => {
        impl<F, Fut, $($part: Part),*> Handler<($($part,)*)> for F
        where
            F: Fn(Ctx $(, $part)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Answer> + Send + 'static,
        {
            const PARAMS: usize = 0 $(+ $part::PARAMS)*;

            #[allow(unused_mut, unused_variables, reason = "one takes nothing")]
            fn handle(&self, ctx: Ctx, mut parts: Parts) -> Work {
                $(let $name = $part::take(&mut parts);)*
                Box::pin(self(ctx $(, $name)*))
            }
        }

        impl<G, F, Fut, $($part: Part),*> Handler<($($part,)*)> for Given<G, F>
        where
            G: Clone + Send + Sync + 'static,
            F: Fn(Ctx, G $(, $part)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Answer> + Send + 'static,
        {
            const PARAMS: usize = 0 $(+ $part::PARAMS)*;

            #[allow(unused_mut, unused_variables, reason = "one takes nothing")]
            fn handle(&self, ctx: Ctx, mut parts: Parts) -> Work {
                $(let $name = $part::take(&mut parts);)*
                Box::pin((self.1)(ctx, self.0.clone() $(, $name)*))
            }
        }
    };
}

handler_of!();
handler_of!(A a);
handler_of!(A a, B b);

/// Routes, found by their paths.
pub(super) struct Table {
    routes: Vec<Route>,
    /// By template; each leads to its routes, one for each method.
    paths: matchit::Router<Vec<usize>>,
}

/// What the table has for a request.
pub(super) enum Found<'a> {
    Route(&'a Route, Vec<String>),
    /// The path is there, and takes these methods instead (RFC 9110 §15.5.6).
    OtherMethods {
        template: &'static str,
        allow: String,
    },
    Nothing,
}

impl Table {
    /// # Errors
    /// If two routes would answer the same request, or one is not whole: a
    /// mistake of whoever wrote them.
    pub(super) fn new(routes: Vec<Route>) -> anyhow::Result<Self> {
        let mut templates: Vec<(&str, Vec<usize>)> = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let template = route.template;
            anyhow::ensure!(
                route.params == template.matches('{').count(),
                "{template} has other parameters than its handler"
            );
            match templates.iter_mut().find(|(known, _)| *known == template) {
                Some((_, at)) => {
                    let is_new = |other: &usize| {
                        let other = routes[*other].method.as_ref();
                        other.is_some() && route.method.is_some() && other != route.method.as_ref()
                    };
                    anyhow::ensure!(at.iter().all(is_new), "{template} is there twice");
                    at.push(index);
                }
                None => templates.push((template, vec![index])),
            }
        }
        let mut paths = matchit::Router::new();
        for (template, at) in templates {
            paths.insert(template, at).with_context(|| template)?;
        }
        Ok(Self { routes, paths })
    }

    /// A slash at the end changes nothing; any other difference does.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(matched) = self.paths.at(path.strip_suffix('/').unwrap_or(path)) else {
            return Found::Nothing;
        };
        let here = || matched.value.iter().map(|index| &self.routes[*index]);
        let takes = |route: &&Route| route.method.as_ref().is_none_or(|taken| taken == method);
        if let Some(route) = here().find(takes) {
            let params = matched.params.iter().map(|(_, value)| value.to_owned());
            return Found::Route(route, params.collect());
        }
        let mut allow: Vec<&str> = here()
            .filter_map(|route| route.method.as_ref().map(Method::as_str))
            .collect();
        allow.sort_unstable();
        Found::OtherMethods {
            template: here().next().map_or(UNMATCHED, |route| route.template),
            allow: allow.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::no_content;

    async fn of_nothing(_: Ctx) -> Answer {
        Ok(no_content())
    }

    async fn of_one(_: Ctx, _: String) -> Answer {
        Ok(no_content())
    }

    async fn of_two(_: Ctx, _: String, _: String) -> Answer {
        Ok(no_content())
    }

    fn table() -> Table {
        let get = Some(Method::GET);
        Table::new(vec![
            Route::new(get.clone(), "/things", of_nothing),
            Route::new(Some(Method::PUT), "/things/{id}", of_one),
            Route::new(get.clone(), "/things/{id}", of_one),
            Route::new(get, "/things/{id}/parts/{part}", of_two),
            Route::new(None, "/any", of_nothing),
        ])
        .unwrap()
    }

    fn params(table: &Table, path: &str) -> Option<Vec<String>> {
        match table.find(&Method::GET, path) {
            Found::Route(_, params) => Some(params),
            _ => None,
        }
    }

    #[test]
    fn a_path_leads_to_its_route_with_or_without_a_slash_at_its_end() {
        let table = table();
        for good in ["/things", "/things/"] {
            assert_eq!(params(&table, good), Some(Vec::new()), "{good}");
        }
        let expected = Some(vec!["a%2fb".to_owned(), "..".to_owned()]);
        assert_eq!(params(&table, "/things/a%2fb/parts/.."), expected);
        for bad in [
            "",
            "/",
            "//",
            "*",
            "things",
            "//things",
            "/things//",
            "/Things",
            "/things/a/parts",
            "/things//parts/b",
            "/things/a/parts/",
            "/things/a/parts/b/c",
            "/things/a//",
        ] {
            assert_eq!(params(&table, bad), None, "{bad}");
        }
    }

    #[test]
    fn another_method_is_told_which_ones_there_are_and_a_route_may_take_all() {
        let table = table();
        let Found::OtherMethods { template, allow } = table.find(&Method::POST, "/things/a") else {
            panic!("the method is not taken");
        };
        assert_eq!((template, allow.as_str()), ("/things/{id}", "GET, PUT"));
        assert!(matches!(
            table.find(&Method::HEAD, "/any"),
            Found::Route(..)
        ));
    }

    #[test]
    fn routes_that_contradict_each_other_are_no_table() {
        let get = || Some(Method::GET);
        for (first, second) in [
            (
                Route::new(get(), "/a", of_nothing),
                Route::new(get(), "/a", of_nothing),
            ),
            (
                Route::new(None, "/a", of_nothing),
                Route::new(get(), "/a", of_nothing),
            ),
            (
                Route::new(get(), "/{a}", of_one),
                Route::new(get(), "/{b}", of_one),
            ),
            (
                Route::new(get(), "/a", of_one),
                Route::new(get(), "/b", of_nothing),
            ),
        ] {
            assert!(Table::new(vec![first, second]).is_err());
        }
    }
}
