//! Hides a server's secret values in what EMCP shows of its output.

use secrecy::{ExposeSecret, SecretString};

use crate::model::SECRET_MASK;

/// Shorter values are not hidden: they would blot out ordinary text, and a
/// secret of so few characters protects nothing.
const HIDDEN_MIN_CHARS: usize = 4;

/// The secret values of one server. No `Debug`.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first, so that a value that contains another goes whole.
    values: Vec<SecretString>,
}

impl Mask {
    /// A mask of these values; each line of one with several lines counts by
    /// itself, since output is shown in lines.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        let mut lines: Vec<String> = secrets
            .flat_map(|secret| secret.expose_secret().lines())
            .map(str::trim)
            .filter(|line| line.chars().count() >= HIDDEN_MIN_CHARS)
            .map(str::to_owned)
            .collect();
        lines.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        lines.dedup();
        Self {
            values: lines.into_iter().map(SecretString::from).collect(),
        }
    }

    /// The length of the longest value, in bytes.
    pub fn longest(&self) -> usize {
        self.values
            .first()
            .map_or(0, |value| value.expose_secret().len())
    }

    /// The text without the values.
    pub fn hide(&self, text: String) -> String {
        self.values.iter().fold(text, |text, value| {
            let value = value.expose_secret();
            if text.contains(value) {
                text.replace(value, SECRET_MASK)
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        let secrets: Vec<SecretString> = values.iter().map(|v| SecretString::from(*v)).collect();
        Mask::new(secrets.iter())
    }

    #[test]
    fn every_occurrence_goes_the_longest_value_first() {
        let mask = mask(&["hunter", "hunter2"]);
        assert_eq!(
            mask.hide("a hunter2 b hunter c hunter2".to_owned()),
            "a ****** b ****** c ******"
        );
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_line_by_line() {
        let mask = mask(&["-----BEGIN KEY-----\nabcdef\n"]);
        assert_eq!(mask.hide("got abcdef".to_owned()), "got ******");
    }

    #[test]
    fn values_too_short_to_be_secret_are_left() {
        assert_eq!(mask(&["1", "yes"]).hide("yes 1".to_owned()), "yes 1");
    }
}
