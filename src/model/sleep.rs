//! Sleep of idle servers: what can be chosen, and how deep a server sleeps.
//! Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Error, Result};

/// The shortest idle time. A request that the gate has let pass is in its
/// container long before that, so a server that nothing passed to for so long
/// has none on the way.
const LEAST_SECS: u32 = 5;
/// The longest: 30 days.
const MOST_SECS: u32 = 30 * 24 * 60 * 60;

/// How deep a server sleeps, or is to sleep; deeper is greater.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SleepDepth {
    /// It does not sleep.
    Awake,
    /// Its container is frozen and goes on where it was.
    Paused,
    /// It has no container; waking is a start.
    Stopped,
}

/// The idle times after which a server sleeps; at least one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SleepAfter {
    /// Seconds without use after which its container is paused; never if not
    /// set.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 2_592_000)]
    pub pause_after_secs: Option<u32>,
    /// Seconds without use after which its container is stopped; never if not
    /// set.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 2_592_000)]
    pub stop_after_secs: Option<u32>,
}

impl SleepAfter {
    /// Checks the times.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn checked(self) -> std::result::Result<Self, String> {
        let times = [
            ("pause_after_secs", self.pause_after_secs),
            ("stop_after_secs", self.stop_after_secs),
        ];
        for (name, secs) in times {
            if secs.is_some_and(|secs| !(LEAST_SECS..=MOST_SECS).contains(&secs)) {
                return Err(format!(
                    "{name} must be from {LEAST_SECS} to {MOST_SECS} seconds"
                ));
            }
        }
        match (self.pause_after_secs, self.stop_after_secs) {
            (None, None) => Err(
                "give pause_after_secs, stop_after_secs or both; \"never\" keeps a server awake"
                    .to_owned(),
            ),
            (Some(pause), Some(stop)) if stop <= pause => Err(
                "stop_after_secs must be more than pause_after_secs: both count from the last use"
                    .to_owned(),
            ),
            _ => Ok(self),
        }
    }

    /// How deep a server that runs is to sleep after being idle for so long.
    pub fn depth_after(self, idle: Duration) -> SleepDepth {
        let is_over = |limit: Option<u32>| limit.is_some_and(|secs| idle >= seconds(secs));
        if is_over(self.stop_after_secs) {
            SleepDepth::Stopped
        } else if is_over(self.pause_after_secs) {
            SleepDepth::Paused
        } else {
            SleepDepth::Awake
        }
    }

    /// How long a server stays paused before it is stopped, if it ever is.
    pub fn paused_at_most(self) -> Option<Duration> {
        let stop = seconds(self.stop_after_secs?);
        Some(stop.saturating_sub(seconds(self.pause_after_secs.unwrap_or(0))))
    }

    /// The idle time that leads to this depth.
    pub fn idle_time(self, depth: SleepDepth) -> Option<Duration> {
        match depth {
            SleepDepth::Awake => None,
            SleepDepth::Paused => self.pause_after_secs.map(seconds),
            SleepDepth::Stopped => self.stop_after_secs.map(seconds),
        }
    }
}

fn seconds(secs: u32) -> Duration {
    Duration::from_secs(secs.into())
}

/// What a server's owner wants of sleep. In JSON: `null`, `"never"`, or an
/// object of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SleepChoice {
    /// What the platform's settings say.
    #[default]
    PlatformDefault,
    /// Always awake.
    Never(Never),
    /// Its own times, in place of the platform's.
    After(SleepAfter),
}

/// The word `"never"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Never {
    /// The word itself.
    #[serde(rename = "never")]
    Never,
}

impl SleepChoice {
    /// Reads a choice from JSON.
    ///
    /// # Errors
    /// `invalid_sleep`, saying what is wrong.
    pub fn from_json(value: Value) -> Result<Self> {
        let refuse = |message: String| Error::invalid("invalid_sleep", "sleep", message);
        match value {
            Value::Null => Ok(Self::PlatformDefault),
            Value::String(word) if word == "never" => Ok(Self::Never(Never::Never)),
            Value::Object(_) => serde_json::from_value::<SleepAfter>(value)
                .map_err(|error| refuse(error.to_string()))?
                .checked()
                .map(Self::After)
                .map_err(refuse),
            _ => Err(refuse(
                "sleep must be null (the platform's setting), \"never\", or an object with pause_after_secs and stop_after_secs"
                    .to_owned(),
            )),
        }
    }

    /// What holds, given the platform's setting.
    pub fn effective(self, platform: Option<SleepAfter>) -> Option<SleepAfter> {
        match self {
            Self::PlatformDefault => platform,
            Self::Never(_) => None,
            Self::After(after) => Some(after),
        }
    }
}

/// An idle time in words: `45 s`, `10 min`, `1 h 30 min`.
pub struct InWords(pub Duration);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let parts = [
            (secs / 3600, "h"),
            (secs / 60 % 60, "min"),
            (secs % 60, "s"),
        ];
        let mut separator = "";
        for (count, unit) in parts {
            if count > 0 {
                write!(f, "{separator}{count} {unit}")?;
                separator = " ";
            }
        }
        if secs == 0 {
            write!(f, "0 s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(pause: Option<u32>, stop: Option<u32>) -> SleepAfter {
        SleepAfter {
            pause_after_secs: pause,
            stop_after_secs: stop,
        }
    }

    #[test]
    fn a_choice_is_null_never_or_times_and_comes_back_as_it_was() {
        let times = json!({"pause_after_secs": 600, "stop_after_secs": 3600});
        for value in [json!(null), json!("never"), times] {
            let choice = SleepChoice::from_json(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(choice).unwrap(), value);
            // As stored and read again.
            assert_eq!(
                serde_json::from_value::<SleepChoice>(value).unwrap(),
                choice
            );
        }
        let one = SleepChoice::from_json(json!({"stop_after_secs": 60})).unwrap();
        assert_eq!(one, SleepChoice::After(after(None, Some(60))));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for value in [
            json!({}),
            json!({"pause_after_secs": null}),
            json!({"pause_after_secs": 4}),
            json!({"pause_after_secs": -1}),
            json!({"pause_after_secs": 5.5}),
            json!({"pause_after_secs": MOST_SECS + 1}),
            json!({"pause_after_secs": 60, "stop_after_secs": 60}),
            json!({"stop_after_secs": 60, "pause_after": 10}),
            json!("always"),
            json!(true),
            json!(600),
        ] {
            let refused = SleepChoice::from_json(value.clone());
            assert!(
                matches!(
                    refused,
                    Err(Error::Invalid {
                        code: "invalid_sleep",
                        ..
                    })
                ),
                "{value}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_servers_own_choice_goes_before_the_platforms() {
        let platform = Some(after(Some(600), None));
        let own = SleepChoice::After(after(None, Some(60)));
        assert_eq!(SleepChoice::PlatformDefault.effective(platform), platform);
        assert_eq!(SleepChoice::Never(Never::Never).effective(platform), None);
        assert_eq!(own.effective(platform), Some(after(None, Some(60))));
        assert_eq!(SleepChoice::PlatformDefault.effective(None), None);
    }

    #[test]
    fn rest_deepens_with_the_idle_time() {
        let both = after(Some(10), Some(30));
        let depth = |after: SleepAfter, secs| after.depth_after(Duration::from_secs(secs));
        assert_eq!(depth(both, 9), SleepDepth::Awake);
        assert_eq!(depth(both, 10), SleepDepth::Paused);
        assert_eq!(depth(both, 30), SleepDepth::Stopped);
        assert_eq!(depth(after(Some(10), None), 99_999), SleepDepth::Paused);
        assert_eq!(depth(after(None, Some(30)), 29), SleepDepth::Awake);
        assert_eq!(both.paused_at_most(), Some(Duration::from_secs(20)));
        assert!(SleepDepth::Awake < SleepDepth::Paused && SleepDepth::Paused < SleepDepth::Stopped);
    }

    #[test]
    fn times_are_told_in_words() {
        let words = |secs| InWords(Duration::from_secs(secs)).to_string();
        assert_eq!(words(0), "0 s");
        assert_eq!(words(45), "45 s");
        assert_eq!(words(600), "10 min");
        assert_eq!(words(5400), "1 h 30 min");
        assert_eq!(words(3601), "1 h 1 s");
    }
}
