//! Hides a server's secret values in what EMCP shows of its output.

use std::ops::Range;

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use secrecy::{ExposeSecret, SecretString};

use crate::model::SECRET_MASK;

/// Shorter values are not hidden: they would blot out ordinary text, and a
/// secret of so few characters protects nothing.
const HIDDEN_MIN_CHARS: usize = 4;
/// Bytes of values that one automaton looks for. It takes some 50 times as much
/// memory while it is made and 16 times as much afterwards, and a server may have
/// megabytes of secrets.
const AUTOMATON_MAX_BYTES: usize = 256 * 1024;

/// The secret values of one server. No `Debug`.
#[derive(Clone, Default)]
pub struct Mask {
    /// The length of the longest value, in bytes.
    longest: usize,
    /// What is too much for the automaton: the longest values, longest first, so
    /// that a value that contains another goes whole.
    beyond: Vec<SecretString>,
    /// Finds all others in one pass. A server's lines come in thousands, and a
    /// certificate or key alone is dozens of values.
    automaton: Option<NFA>,
}

impl Mask {
    /// A mask of these values; each line of one with several lines counts by
    /// itself, since output is shown in lines.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        Self::with_room(secrets, AUTOMATON_MAX_BYTES)
    }

    fn with_room<'a>(secrets: impl Iterator<Item = &'a SecretString>, mut room: usize) -> Self {
        let mut lines: Vec<&str> = secrets
            .flat_map(|secret| secret.expose_secret().lines())
            .map(str::trim)
            .filter(|line| line.chars().count() >= HIDDEN_MIN_CHARS)
            .collect();
        lines.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        lines.dedup();
        let fits = |line: &&str| {
            let left = room.checked_sub(line.len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let fitting = lines.iter().rev().copied().take_while(fits).count();
        let (beyond, quick) = lines.split_at(lines.len() - fitting);
        // It is made of any values that fit; should it not be, they go one by one.
        let automaton = (!quick.is_empty()).then(|| NFA::new(quick).ok()).flatten();
        let beyond = if automaton.is_some() { beyond } else { &lines };
        Self {
            longest: lines.first().map_or(0, |line| line.len()),
            beyond: beyond.iter().copied().map(SecretString::from).collect(),
            automaton,
        }
    }

    /// The length of the longest value, in bytes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The text without the values.
    pub fn hide(&self, text: String) -> String {
        let text = self.beyond.iter().fold(text, |text, value| {
            let value = value.expose_secret();
            if text.contains(value) {
                text.replace(value, SECRET_MASK)
            } else {
                text
            }
        });
        let spans = self.automaton.as_ref().map(|found| spans(found, &text));
        let Some(spans) = spans.filter(|spans| !spans.is_empty()) else {
            return text;
        };
        let mut hidden = String::with_capacity(text.len());
        let mut shown_until = 0;
        for Range { start, end } in spans {
            hidden.push_str(&text[shown_until..start]);
            hidden.push_str(SECRET_MASK);
            shown_until = end;
        }
        hidden.push_str(&text[shown_until..]);
        hidden
    }
}

/// Where values stand in the text; those that overlap are one, so that no part of
/// either is left. In time that grows with the text alone: of the values that end
/// at one place only the longest counts, which the automaton tells first.
fn spans(automaton: &NFA, text: &str) -> Vec<Range<usize>> {
    let Ok(mut state) = automaton.start_state(Anchored::No) else {
        // Cannot be: it was made for such searches. Nothing is shown then.
        return std::iter::once(0..text.len()).collect();
    };
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        state = automaton.next_state(Anchored::No, state, byte);
        if !automaton.is_match(state) {
            continue;
        }
        let length = automaton.pattern_len(automaton.match_pattern(state, 0));
        let end = at + 1;
        let mut start = end - length;
        while let Some(before) = found.pop_if(|before| before.end > start) {
            start = start.min(before.start);
        }
        found.push(start..end);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn of_values_that_overlap_nothing_is_left() {
        let mask = mask(&["abcd", "bcdefgh", "ghij"]);
        assert_eq!(mask.hide("-abcdefghij-".to_owned()), "-******-");
        assert_eq!(mask.hide("abcdabcd ghij".to_owned()), "************ ******");
    }

    #[test]
    fn values_beyond_the_automatons_room_are_hidden_before_it_breaks_them() {
        let long = "hunter2".repeat(10);
        let secrets = [SecretString::from("hunter2"), SecretString::from(&*long)];
        let mask = Mask::with_room(secrets.iter(), 20);
        assert_eq!((mask.beyond.len(), mask.longest()), (1, 70));
        assert_eq!(mask.hide(format!("{long} hunter2.")), "****** ******.");
        let none = Mask::with_room(secrets.iter(), 0);
        assert_eq!(none.beyond.len(), 2);
        assert_eq!(none.hide(format!("{long} hunter2.")), "****** ******.");
    }

    proptest! {
        #[test]
        fn exactly_what_is_part_of_a_value_is_hidden(
            values in prop::collection::vec("[ab好]{4,9}", 0..12),
            text in "[ab好]{0,60}",
        ) {
            let mask = mask(&values.iter().map(String::as_str).collect::<Vec<_>>());
            // For each byte, whether it is part of a value, and of the same as
            // the one before.
            let mut secret = vec![false; text.len()];
            let mut joined = vec![false; text.len()];
            for value in &values {
                for at in (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(value.as_bytes())) {
                    secret[at..at + value.len()].fill(true);
                    joined[at + 1..at + value.len()].fill(true);
                }
            }
            let mut wanted = String::new();
            for (at, c) in text.char_indices() {
                match (secret[at], joined[at]) {
                    (false, _) => wanted.push(c),
                    (true, false) => wanted.push_str(SECRET_MASK),
                    (true, true) => {}
                }
            }
            prop_assert_eq!(mask.hide(text), wanted);
        }
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
