//! Text that people look at in a terminal. A terminal obeys control sequences:
//! they set its title and clipboard, hide and overwrite text, and make some of
//! them answer as if somebody typed; others turn the reading direction around.
//! Whoever writes a line must not have that power over who reads it. Pure.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every control character but tabs spelled out, as `\u001b`. It
/// stays JSON where it was: such characters are in its strings alone.
pub fn spelled_out(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing into a String cannot fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// The same of a line of output, without colours: they say nothing in a file,
/// and one of them hides text.
pub fn for_terminal(line: &str) -> Cow<'_, str> {
    if !line.contains(COLOUR_BEGINS) {
        return spelled_out(line);
    }
    let mut pieces = line.split(COLOUR_BEGINS);
    let mut plain = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        match end_of_colour(piece) {
            Some(end) => plain.push_str(&piece[end..]),
            None => {
                plain.push_str(COLOUR_BEGINS);
                plain.push_str(piece);
            }
        }
    }
    Cow::Owned(spelled_out(&plain).into_owned())
}

/// Control Sequence Introducer (ECMA-48 §5.4).
const COLOUR_BEGINS: &str = "\u{1b}[";

/// Where "select graphic rendition" ends, if it is that: parameters and "m".
fn end_of_colour(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    text[end..].starts_with('m').then_some(end + 1)
}

/// Controls of both sets (ISO 6429): a terminal takes U+009B for ESC and "[".
/// And those of direction (UAX 9 §2), by which a line shows what it is not.
fn is_obeyed(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for (line, shown) in [
            ("plain \u{597d}\tas it is", "plain \u{597d}\tas it is"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;2;1:2;3mmany\u{1b}[m", "many"),
            ("\u{1b}]0;owned\u{7}title", "\\u001b]0;owned\\u0007title"),
            (
                "\u{1b}]52;c;cm0gLXJm\u{1b}\\copied",
                "\\u001b]52;c;cm0gLXJm\\u001b\\copied",
            ),
            ("\u{1b}[2Jcleared", "\\u001b[2Jcleared"),
            ("\u{1b}[6nasks", "\\u001b[6nasks"),
            ("\u{9b}31mC1", "\\u009b31mC1"),
            ("seen\rhidden\u{8}\u{7f}", "seen\\u000dhidden\\u0008\\u007f"),
            ("gpj.\u{202e}exe\u{2066}", "gpj.\\u202eexe\\u2066"),
            ("cut \u{1b}[31", "cut \\u001b[31"),
        ] {
            assert_eq!(for_terminal(line), shown);
        }
    }

    #[test]
    fn what_is_spelled_out_in_json_means_the_same() {
        let text = "a\u{9b}b\u{7f}\u{1b}";
        let json = serde_json::to_string(text).unwrap();
        let safe = spelled_out(&json);
        assert_ne!(safe, json);
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    proptest! {
        #[test]
        fn no_text_gets_a_control_through(text in "(\\PC|[\u{202e}\u{1b}\u{9b}\\[\\]m;0-9\r\u{7}])*") {
            prop_assert!(!for_terminal(&text).chars().any(is_obeyed));
        }
    }
}
