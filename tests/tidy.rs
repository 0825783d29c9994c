//! The walls between the modules, as `ARCHITECTURE.md` draws them. Reads the
//! source as text: a wall that only a reviewer knows does not stand for long.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Longer files ask for a wall.
const LINES_MAX: usize = 500;

/// A crate, and the only folder or file that may name it.
const ROOMS: &[(&str, &str)] = &[
    ("redb", "src/store"),
    ("bollard", "src/runtime/docker"),
    ("warp", "src/http"),
    ("hyper", "src/http"),
    ("flate2", "src/http/ui.rs"),
    ("multer", "src/http"),
    ("rcgen", "src/identity"),
    ("chacha20poly1305", "src/vault"),
    ("prometheus_client", "src/metrics.rs"),
    ("tar", "src/maintenance"),
    ("notify", "src/services/certificate_watch.rs"),
    ("rmcp", "src/mcp.rs"),
    ("clap", "src/settings"),
    ("rustix", "src/sockets"),
];

/// Modules that take values and return values.
const PURE: &[&str] = &[
    "src/model",
    "src/access",
    "src/gate",
    "src/reconcile/plan.rs",
    "src/reconcile/plan",
    "src/reconcile/failure.rs",
    "src/reconcile/idle.rs",
    "src/traefik/document.rs",
    "src/logs/ring.rs",
];

/// What a pure module may not name.
const IMPURE: &[&str] = &[
    "tokio",
    "redb",
    "bollard",
    "warp",
    "reqwest",
    "std::fs",
    "std::net::Tcp",
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(&root.join("src"), &["rs"], &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root).unwrap().to_owned(), text)
        })
        .collect()
}

/// Files with these endings, but for those that were fetched.
fn collect(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    const FETCHED: [&str; 2] = ["node_modules", "vendor"];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_dir() {
            if !FETCHED.iter().any(|name| path.ends_with(name)) {
                collect(&path, endings, found);
            }
        } else if ending.is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
}

/// Whether the code (not the comments) names a path of this crate or module.
fn names(text: &str, wanted: &str) -> bool {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .any(|code| {
            code.match_indices(wanted).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = &code[at + wanted.len()..];
                let starts = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
                starts && (after.starts_with("::") || wanted.contains("::"))
            })
        })
}

#[test]
fn each_technology_has_one_room() {
    for (path, text) in sources() {
        if path == Path::new("src/main.rs") {
            continue;
        }
        for (technology, room) in ROOMS {
            assert!(
                path.starts_with(room) || !names(&text, technology),
                "{} names {technology}, which belongs in {room}",
                path.display()
            );
        }
    }
}

#[test]
fn pure_modules_name_nothing_that_acts() {
    for (path, text) in sources() {
        if !PURE.iter().any(|pure| path.starts_with(pure)) {
            continue;
        }
        for impure in IMPURE {
            assert!(
                !names(&text, impure),
                "{} is pure and names {impure}",
                path.display()
            );
        }
    }
}

/// What a handler may not reach for by itself: services ask for a capability.
const BEHIND_SERVICES: &[&str] = &[
    "app.store",
    "app.logs",
    "app.runtime",
    "app.tokens",
    "app.vault",
];

#[test]
fn handlers_act_through_services_which_ask_for_leave() {
    // They serve Traefik and monitoring, not a caller with a role.
    const INTERNAL: [&str; 3] = ["gate.rs", "health.rs", "provider.rs"];
    for (path, text) in sources() {
        if !path.starts_with("src/http/controllers") || INTERNAL.iter().any(|f| path.ends_with(f)) {
            continue;
        }
        let part = BEHIND_SERVICES.iter().find(|part| text.contains(**part));
        assert_eq!(part, None, "{}", path.display());
    }
}

#[test]
fn store_and_runtime_do_not_know_each_other() {
    for (path, text) in sources() {
        if path.starts_with("src/store") {
            assert!(!names(&text, "crate::runtime"), "{}", path.display());
        }
        if path.starts_with("src/runtime") {
            assert!(!names(&text, "crate::store"), "{}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    for (path, text) in sources() {
        let is_test = path.ends_with("tests.rs");
        assert!(
            is_test || text.starts_with("//!"),
            "{} has no module comment",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// Documents that anybody can look up, as they are named before a `§`.
const SPECIFICATIONS: &[&str] = &[
    "RFC ",
    "ECMA-",
    "WHATWG ",
    "IEEE Std ",
    "UAX ",
    "Python Language Reference",
];

/// Whether the words that lead to a `§` name a specification, or a file of this
/// repository that is there.
fn leads_somewhere(words: &str, root: &Path) -> bool {
    SPECIFICATIONS.iter().any(|name| words.contains(name))
        || words
            .split(|c: char| c.is_whitespace() || "`()[]\"',;:".contains(c))
            .any(|word| word.contains('.') && root.join(word).is_file())
}

#[test]
fn sections_are_of_documents_that_a_reader_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (folder, endings) in [
        ("src", &["rs"][..]),
        ("tests", &["rs", "py", "mjs", "ts"]),
        ("base-image", &["py", "sh", "md"]),
        ("scripts", &["sh", "mjs", "py"]),
        ("compose", &["yml", "Dockerfile"]),
        ("ui", &["js", "css", "html"]),
        ("docs", &["md"]),
    ] {
        collect(&root.join(folder), endings, &mut found);
    }
    assert!(found.len() > 150, "the sources were not found");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for line in text.lines() {
            for (at, _) in line.match_indices('§') {
                let words = format!("{before} {}", &line[..at]);
                let is_own = path.ends_with("tests/tidy.rs");
                assert!(
                    is_own || leads_somewhere(&words, root),
                    "{} refers to a section of nothing a reader has: {line}",
                    path.display()
                );
            }
            before = line;
        }
    }
}

#[test]
fn the_check_itself_sees_a_breach() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(leads_somewhere("as RFC 9110 ", root) && leads_somewhere("(ARCHITECTURE.md, ", root));
    assert!(!leads_somewhere("the contract (PLAN.md ", root) && !leads_somewhere("(DESIGN ", root));
    assert!(names("use redb::Database;", "redb"));
    assert!(names("let x: redb::Database;", "redb"));
    assert!(!names("// redb::Database", "redb"));
    assert!(!names("use my_redb::Database;", "redb"));
    assert!(names("use crate::store::Store;", "crate::store"));
}
