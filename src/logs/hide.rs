//! Hides secrets in lines of output, also where a long line was cut in the
//! middle of one. Pure.

use crate::runtime::{OutputLine, OutputStream};
use crate::vault::Mask;

/// Lines pass through in their order. Of a line that goes on, the last bytes
/// are held back, in which a secret may begin that ends in the next piece.
pub(super) struct Hider<'a> {
    mask: &'a Mask,
    stdout: Option<OutputLine>,
    stderr: Option<OutputLine>,
}

impl<'a> Hider<'a> {
    pub(super) fn new(mask: &'a Mask) -> Self {
        Self {
            mask,
            stdout: None,
            stderr: None,
        }
    }

    /// The line without secrets; nothing where it was but the end of one that
    /// was cut.
    pub(super) fn pass(&mut self, line: OutputLine) -> Option<OutputLine> {
        let held = match line.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
            OutputStream::Gap => return Some(line),
        };
        let before = held.take();
        let goes_on = line.goes_on;
        let is_end = before.is_some();
        let joined = match before {
            Some(before) => before.text + &line.text,
            None => line.text,
        };
        let mut text = self.mask.hide(joined);
        if goes_on {
            let rest = text.split_off(cut_at(&text, self.mask.longest()));
            *held = Some(OutputLine {
                text: rest,
                at: line.at,
                stream: line.stream,
                goes_on,
            });
        }
        (!(is_end && text.is_empty())).then_some(OutputLine { text, ..line })
    }

    /// What is held back, once no more lines come.
    pub(super) fn rest(self) -> impl Iterator<Item = OutputLine> {
        [self.stdout, self.stderr]
            .into_iter()
            .flatten()
            .filter(|line| !line.text.is_empty())
    }
}

/// Where to cut a text so that whatever of this length begins before the cut
/// also ends in the text.
fn cut_at(text: &str, longest: usize) -> usize {
    let mut at = text.len().saturating_sub(longest.saturating_sub(1));
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The lines without the values.
pub fn hide_in(mask: &Mask, lines: Vec<OutputLine>) -> Vec<OutputLine> {
    let mut hider = Hider::new(mask);
    let mut shown: Vec<OutputLine> = lines.into_iter().filter_map(|l| hider.pass(l)).collect();
    shown.extend(hider.rest());
    shown
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use secrecy::SecretString;

    use super::*;

    fn piece(text: &str, goes_on: bool) -> OutputLine {
        OutputLine {
            at: Timestamp::UNIX_EPOCH,
            stream: OutputStream::Stdout,
            text: text.to_owned(),
            goes_on,
        }
    }

    fn shown(pieces: &[&str], last_goes_on: bool) -> String {
        let mask = Mask::new(
            [
                SecretString::from("hunter2"),
                SecretString::from("好好好好"),
            ]
            .iter(),
        );
        let last = pieces.len() - 1;
        let lines = pieces
            .iter()
            .enumerate()
            .map(|(index, text)| piece(text, index < last || last_goes_on))
            .collect();
        let shown = hide_in(&mask, lines);
        shown.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_secret_is_hidden_wherever_a_line_was_cut() {
        let text = "before hunter2 between 好好好好 after";
        for (at, _) in text.char_indices().skip(1) {
            for goes_on in [false, true] {
                let (one, other) = text.split_at(at);
                let joined = shown(&[one, other], goes_on);
                assert_eq!(joined, "before ****** between ****** after", "cut at {at}");
            }
        }
    }

    #[test]
    fn lines_that_were_not_cut_stay_lines() {
        let mask = Mask::default();
        let lines = vec![piece("one", false), piece("", false), piece("two", false)];
        assert_eq!(hide_in(&mask, lines.clone()), lines);
    }

    #[test]
    fn a_cut_right_before_the_line_end_makes_no_empty_line() {
        let mask = Mask::default();
        let lines = vec![piece("whole", true), piece("", false)];
        assert_eq!(hide_in(&mask, lines).len(), 1);
    }
}
