//! Servers to start from: the files of `examples/`, which the tests run.

use rust_embed::RustEmbed;

use crate::api::Template;

#[derive(RustEmbed)]
#[folder = "examples/"]
#[include = "*.py"]
struct Examples;

/// All of them, by id.
pub fn templates() -> Vec<Template> {
    let mut all: Vec<Template> = Examples::iter()
        .filter_map(|name| {
            let file = Examples::get(&name)?;
            let code = String::from_utf8(file.data.into_owned()).ok()?;
            let id = name.strip_suffix(".py")?.to_owned();
            Some(Template {
                title: title(&id),
                description: documentation(&code).to_owned(),
                entry_object: entry_object(&code).to_owned(),
                id,
                code,
            })
        })
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn title(id: &str) -> String {
    let words = id.replace('_', " ");
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => words,
    }
}

/// The first paragraph of a module's docstring.
fn documentation(code: &str) -> &str {
    const QUOTES: &str = "\"\"\"";
    let Some(rest) = code.trim_start().strip_prefix(QUOTES) else {
        return "";
    };
    let whole = rest.split(QUOTES).next().unwrap_or("");
    whole.split("\n\n").next().unwrap_or("").trim()
}

/// What the docstring says to set the entry object to, or the default.
fn entry_object(code: &str) -> &str {
    let named = code.split_once("entry object to `").map(|(_, rest)| rest);
    named
        .and_then(|rest| rest.split('`').next())
        .unwrap_or("mcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_template_that_says_what_it_is() {
        let all = templates();
        assert!(all.len() >= 5, "the examples were not found");
        for template in all {
            assert!(!template.description.is_empty(), "{}", template.id);
            let is_desk = template.id == "ticket_desk";
            assert_eq!(template.entry_object, if is_desk { "app" } else { "mcp" });
        }
    }
}
