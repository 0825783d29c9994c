//! What a server's file turned out to serve: MCP, and where, or an app of its
//! own. Pure.

use serde::{Deserialize, Serialize};

/// Where clients look for MCP, and for the transport before it.
const MCP_PATH: &str = "/mcp";
const SSE_PATH: &str = "/sse";
/// Paths kept of what a server reports.
const PATHS_MAX: usize = 8;
/// Characters of one.
const PATH_MAX_CHARS: usize = 100;

/// Where a server answers MCP, below its own address, by transport; nowhere, if
/// it is an app of another kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// Streamable HTTP; the one that clients are told of goes first.
    pub mcp: Vec<String>,
    /// HTTP with server-sent events.
    pub sse: Vec<String>,
}

impl Default for Serves {
    /// As every server but an app of the file's own.
    fn default() -> Self {
        Self {
            mcp: vec![MCP_PATH.to_owned()],
            sse: vec![SSE_PATH.to_owned()],
        }
    }
}

impl Serves {
    /// What a server reports of itself, as far as it can be believed: paths that
    /// can stand in an address as they are.
    pub fn reported(mcp: Vec<String>, sse: Vec<String>) -> Self {
        let paths = |reported: Vec<String>| {
            let fit = reported.into_iter().filter(|path| is_path(path));
            fit.take(PATHS_MAX).collect()
        };
        Self {
            mcp: paths(mcp),
            sse: paths(sse),
        }
    }

    /// Streamable HTTP where clients look for it, and nothing else that is known.
    pub fn mcp_alone() -> Self {
        Self {
            sse: Vec::new(),
            ..Self::default()
        }
    }

    /// Whether it answers MCP, as far as is known.
    pub fn has_mcp(&self) -> bool {
        !self.mcp.is_empty() || !self.sse.is_empty()
    }
}

fn is_path(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._~-".contains(c);
    text.len() <= PATH_MAX_CHARS
        && text.starts_with('/')
        && text.chars().all(is_plain)
        // Clients, and proxies, would take these for other paths.
        && !text.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(paths: &[&str]) -> Vec<String> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Serves::reported(paths, Vec::new()).mcp
    }

    #[test]
    fn only_paths_that_can_stand_in_an_address_are_believed() {
        assert_eq!(
            reported(&["/mcp", "/a.b/~c/d-e_f"]),
            ["/mcp", "/a.b/~c/d-e_f"]
        );
        for bad in [
            "",
            "mcp",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\"b",
            "/ä",
            "/a/",
            "/",
            "/a\u{202e}b",
        ] {
            assert_eq!(reported(&[bad]), [""; 0], "{bad}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX_CHARS));
        assert_eq!(reported(&[&long]), [""; 0]);
        assert_eq!(reported(&["/a"; 99]).len(), PATHS_MAX);
    }
}
