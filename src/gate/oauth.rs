//! Where clients that are turned away try to sign in by OAuth, although no
//! document invites them to (pure). What they are answered there is what they
//! show to people.

/// The last segment of the paths that clients without a metadata document take
/// for an authorization server's (MCP specification 2025-03-26, Authorization,
/// "Fallbacks for Servers without Metadata Discovery").
const ENDPOINTS: [&str; 3] = ["authorize", "token", "register"];

/// Whether this is one of them: at the root of a host, or under a server's path
/// or URL, since clients go by either.
pub fn is_oauth_place(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or("");
    let mut segments = path.trim_end_matches('/').split('/').skip(1);
    let mut next = || segments.next().unwrap_or("");
    let is_endpoint = |segment: &str| ENDPOINTS.contains(&segment);
    let first = next();
    if first != "api" {
        return is_endpoint(first) && next().is_empty();
    }
    let (_name, third, fourth) = (next(), next(), next());
    match third {
        "mcp" | "sse" => is_endpoint(fourth) && next().is_empty(),
        _ => is_endpoint(third) && fourth.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_at_the_root_and_under_a_servers_path_and_urls() {
        for yes in [
            "/register",
            "/authorize?response_type=code",
            "/token/",
            "/api/demo/register",
            "/api/demo/mcp/token",
            "/api/demo/sse/authorize/?a=b",
        ] {
            assert!(is_oauth_place(yes), "{yes}");
        }
        for no in [
            "",
            "/",
            "/tokens",
            "/api/tokens",
            "/api/token",
            "/api/register/mcp",
            "/register/x",
            "/x/register",
            "/api/demo/x/register",
            "/api/demo/mcp/register/x",
            "/api/demo/mcp",
            "/?/register",
        ] {
            assert!(!is_oauth_place(no), "{no}");
        }
    }
}
