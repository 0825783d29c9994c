//! redb trusts a file that was closed cleanly, and panics in places where one
//! was altered from outside. Here a panic becomes an error, and nothing is
//! written to the terminal but that.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Makes this once: other panics are told as before.
static HOOK: Once = Once::new();

/// Runs `work`; a panic in it is returned, in its own words.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                others(panic);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    // Whatever the work touched is given up by who gets the error.
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    done.map_err(|panic| words_of(&*panic))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    // An assertion writes its values on lines of their own.
    let line = text.and_then(|text| text.lines().next());
    line.unwrap_or("for no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_first_line() {
        assert_eq!(guarded(|| 3), Ok(3));
        let said = guarded(|| -> u8 { panic!("the page {} is bad\nleft: 1", 7) });
        assert_eq!(said, Err("the page 7 is bad".to_owned()));
    }
}
