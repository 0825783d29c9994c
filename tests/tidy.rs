//! The walls between the modules, as `ARCHITECTURE.md` draws them. Reads the
//! source as text: a wall that only a reviewer knows does not stand for long.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files ask for a wall.
const LINES_MAX: usize = 500;

/// A crate, and the folder or file that may name it.
const ROOMS: &[(&str, &str)] = &[
    ("redb", "src/store"),
    ("bollard", "src/runtime/docker"),
    ("warp", "src/http"),
    ("hyper", "src/http"),
    ("encoding_rs", "src/model/source.rs"),
    ("flate2", "src/http/ui.rs"),
    ("multer", "src/http"),
    ("matchit", "src/http/route.rs"),
    ("rcgen", "src/identity"),
    ("webpki", "src/identity"),
    ("chacha20poly1305", "src/vault"),
    ("prometheus_client", "src/metrics"),
    ("tar", "src/maintenance"),
    ("notify", "src/services/certificate_watch.rs"),
    ("rmcp", "src/mcp"),
    ("sse_stream", "src/mcp"),
    ("clap", "src/settings"),
    ("rustix", "src/sockets"),
    ("rustix", "src/disk.rs"),
    ("rustix", "src/runtime/broker/files.rs"),
    ("crc32fast", "src/store"),
    ("rustls", "src/identity"),
    ("ipnet", "src/model"),
    ("aho_corasick", "src/vault"),
    ("cookie", "src/http"),
    ("x509_parser", "src/identity"),
];

/// Modules that take values and return values.
const PURE: &[&str] = &[
    "src/api",
    "src/model",
    "src/access",
    "src/gate",
    "src/liveness.rs",
    "src/reconcile/alive.rs",
    "src/reconcile/plan.rs",
    "src/reconcile/plan",
    "src/reconcile/failure.rs",
    "src/runtime/broker/policy.rs",
    "src/reconcile/idle.rs",
    "src/traefik/document.rs",
    "src/traefik/document",
    "src/traefik/headers.rs",
    "src/logs/ring.rs",
    "src/logs/select.rs",
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

/// As [`sources`], but what [`code_of`] makes of them.
fn codes() -> Vec<(PathBuf, String)> {
    let sources = sources().into_iter();
    sources.map(|(path, text)| (path, code_of(&text))).collect()
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

/// The code without its comments, on one line, and with no space around what
/// joins the parts of a path: however it is laid out, it reads the same.
fn code_of(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let mut code = words.join(" ");
    for joint in ["::", ".", "{", "}", ","] {
        for spaced in [format!(" {joint}"), format!("{joint} ")] {
            code = code.replace(&spaced, joint);
        }
    }
    code
}

/// Whether code names a path of this crate or module. A crate is also named by
/// bringing it in under another name.
fn names(code: &str, wanted: &str) -> bool {
    let is_path = wanted.contains("::");
    code.match_indices(wanted).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + wanted.len()..]);
        let last = before.chars().next_back();
        let starts = last.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
        let is_brought_in = before.ends_with("use ") || before.ends_with("extern crate ");
        let is_named = is_path
            || after.starts_with("::")
            || is_brought_in && (after.starts_with(';') || after.starts_with(" as "));
        starts && is_named
    })
}

#[test]
fn each_technology_has_one_room() {
    for (path, code) in codes() {
        if path == Path::new("src/main.rs") {
            continue;
        }
        for (technology, _) in ROOMS {
            // A few have two rooms.
            let mut rooms = ROOMS.iter().filter(|(known, _)| known == technology);
            assert!(
                rooms.any(|(_, room)| path.starts_with(room)) || !names(&code, technology),
                "{} names {technology}, which belongs elsewhere",
                path.display()
            );
        }
    }
}

#[test]
fn pure_modules_name_nothing_that_acts() {
    for (path, code) in codes() {
        if !PURE.iter().any(|pure| path.starts_with(pure)) {
            continue;
        }
        for impure in IMPURE {
            assert!(
                !names(&code, impure),
                "{} is pure and names {impure}",
                path.display()
            );
        }
    }
}

/// The fields of each struct, as code names them, by the struct's name.
fn structs(code: &str) -> Vec<(&str, &str)> {
    let found = code.match_indices("struct ").filter_map(|(at, word)| {
        let rest = &code[at + word.len()..];
        let name = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        let body = rest.split(';').next()?;
        let fields = body.split_once('{').or(body.split_once('('))?.1;
        Some((name, fields.split('}').next()?))
    });
    found.collect()
}

/// Whether a field is to be seen from outside the module.
fn shows_one(fields: &str) -> bool {
    let mut words = fields.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| word == "pub")
}

/// A capability is the only handle to what a service has as long as neither shows
/// its parts, also to the rest of this crate; the compiler refuses all else, as the
/// examples in the documentation of `services` and `access` show.
#[test]
fn services_and_capabilities_keep_their_parts_to_themselves() {
    let mut services = BTreeSet::new();
    let mut capabilities = BTreeSet::new();
    for (path, code) in codes() {
        for (name, fields) in structs(&code) {
            let makes = |how| code.contains(&format!("impl {name}{{pub(super) fn {how}("));
            // `App` is nothing but services.
            let is_service = path.starts_with("src/services") && name != "App";
            if is_service && (makes("of") || makes("new")) {
                services.insert(name.to_owned());
            } else if path.starts_with("src/access")
                && (name.starts_with("Can") || name == "Caller")
            {
                capabilities.insert(name.to_owned());
            } else {
                continue;
            }
            assert!(!shows_one(fields), "{name} shows {fields}");
        }
    }
    assert!(
        services.contains("Servers") && services.len() > 20,
        "{services:?}"
    );
    assert!(
        capabilities.contains("CanWrite") && capabilities.len() > 8,
        "{capabilities:?}"
    );
}

/// What runs on a thread of its own logs in the span of who asked for it.
#[test]
fn work_that_blocks_keeps_its_span() {
    for (path, code) in codes() {
        let is_the_room = path == Path::new("src/blocking.rs");
        assert!(
            is_the_room || !code.contains("spawn_blocking"),
            "{} spawns blocking work past `blocking::run_blocking`",
            path.display()
        );
    }
}

#[test]
fn store_and_runtime_do_not_know_each_other() {
    for (path, code) in codes() {
        if path.starts_with("src/store") {
            assert!(!names(&code, "crate::runtime"), "{}", path.display());
        }
        if path.starts_with("src/runtime") {
            assert!(!names(&code, "crate::store"), "{}", path.display());
        }
    }
}

/// The modules of a folder and of the folders in it, each with those that its
/// code names, tests apart. The folders' own files (`mod.rs`) stand for nothing.
fn imports(room: &str) -> BTreeMap<String, BTreeSet<String>> {
    let module = |path: &Path| {
        let inner = path.strip_prefix(room).ok()?.with_extension("");
        let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
        (parts.last()? != "mod").then(|| parts.join("::"))
    };
    let sources = sources().into_iter();
    let codes: BTreeMap<String, String> = sources
        .filter_map(|(path, text)| {
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            Some((module(&path)?, code_of(code)))
        })
        .collect();
    let root = room.replace("src/", "crate::").replace('/', "::");
    codes
        .iter()
        .map(|(module, code)| {
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            let others = codes.keys().filter(|other| {
                let here = other.strip_prefix(parent).unwrap_or(other);
                let here = here.trim_start_matches("::");
                let is_here = parent.is_empty() || other.starts_with(&format!("{parent}::"));
                *other != module
                    && (reaches(code, &root, other) || is_here && reaches(code, "super", here))
            });
            (module.clone(), others.cloned().collect())
        })
        .collect()
}

/// Whether code names a module by its path below `from`, be it in a list.
fn reaches(code: &str, from: &str, module: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let (folders, last) = module.rsplit_once("::").unwrap_or(("", module));
    let before = [from, folders].into_iter().filter(|part| !part.is_empty());
    let before = before.collect::<Vec<_>>().join("::") + "::";
    code.match_indices(&before).any(|(at, _)| {
        let rest = &code[at + before.len()..];
        let list = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split(';').next());
        match list {
            Some(list) => list.split([',', '{', '}']).any(|one| {
                let one = one.trim();
                one.strip_prefix(last).is_some_and(ends)
            }),
            None => rest.strip_prefix(last).is_some_and(ends),
        }
    })
}

/// By modules' own names: what a room's door (`mod.rs`) hands on is not looked
/// through.
#[test]
fn handlers_and_services_have_no_import_circles() {
    for (room, module, named) in [
        ("src/http", "router", "controllers::servers"),
        ("src/http", "controllers::servers", "controllers::oauth"),
        ("src/services", "servers", "changes"),
        ("src/services", "changes", "presenter"),
    ] {
        assert!(imports(room)[module].contains(named), "{room}: {module}");
    }
    for room in ["src/http", "src/services"] {
        let mut left = imports(room);
        // Whoever names nothing that is left cannot be in a circle.
        loop {
            let known: Vec<_> = left.keys().cloned().collect();
            left.retain(|_, others| others.iter().any(|other| known.contains(other)));
            if left.len() == known.len() {
                break;
            }
        }
        assert!(left.is_empty(), "{room}: circles among {:?}", left.keys());
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
fn no_two_rooms_need_each_other() {
    let mut needs: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> =
        std::collections::BTreeMap::new();
    for (path, code) in codes() {
        let inside = path.strip_prefix("src").unwrap();
        // Tests may need what they like.
        let is_test =
            |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "fake";
        if inside.iter().any(is_test) {
            continue;
        }
        let code = code.split("#[cfg(test)]mod tests{").next().unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap();
        let room = room.trim_end_matches(".rs").to_owned();
        // Whoever wires all of it up knows all of it.
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let others = code.match_indices("crate::").map(|(at, word)| {
            let rest = &code[at + word.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        });
        let others = others.filter(|other| *other != room);
        needs.entry(room.clone()).or_default().extend(others);
    }
    assert!(
        needs["http"].contains("services"),
        "the needs were not found"
    );
    for (room, others) in &needs {
        for other in others {
            let is_mutual = needs.get(other).is_some_and(|back| back.contains(room));
            assert!(!is_mutual, "{room} and {other} need each other");
        }
    }
}

#[test]
fn the_check_itself_sees_a_breach() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(leads_somewhere("as RFC 9110 ", root) && leads_somewhere("(ARCHITECTURE.md, ", root));
    assert!(!leads_somewhere("the contract (PLAN.md ", root) && !leads_somewhere("(DESIGN ", root));
    let sees = |text: &str, wanted: &str| names(&code_of(text), wanted);
    assert!(sees("use redb::Database;", "redb"));
    assert!(sees("let x: redb::Database;", "redb"));
    assert!(sees("let x: redb\n    ::Database;", "redb"));
    assert!(sees("use redb as db;", "redb"));
    assert!(!sees("// redb::Database", "redb"));
    assert!(!sees("use my_redb::Database;", "redb"));
    assert!(!sees("let redb = 1;", "redb"));
    assert!(sees("use crate::store::Store;", "crate::store"));
    assert!(sees("use crate ::\n    store::Store;", "crate::store"));
    let code = code_of("pub struct A {\n    public: u8,\n}\nstruct B(pub(crate) u8);");
    let found = structs(&code);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].0 == "A" && !shows_one(found[0].1), "{found:?}");
    assert!(found[1].0 == "B" && shows_one(found[1].1), "{found:?}");
}
