//! How what was sent of a server's settings becomes what is kept.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::{
    Args, Error, Limits, LimitsPatch, Maxima, PassHeaders, Result, SleepChoice, Storage,
};

/// One part of a form, which its sender means as text or as JSON.
pub trait Part: Sized {
    /// As text.
    ///
    /// # Errors
    /// `not_text`, naming the field.
    fn text(self, field: &'static str) -> Result<String>;

    /// As any JSON.
    ///
    /// # Errors
    /// `invalid_json`.
    fn json<T: DeserializeOwned>(self, field: &'static str) -> Result<T>;

    /// As a JSON object, of which no array is taken for one.
    ///
    /// # Errors
    /// `invalid_json`.
    fn object<T: DeserializeOwned>(self, field: &'static str) -> Result<T>;

    /// As JSON, where a lone word may stand without its quotes.
    ///
    /// # Errors
    /// `invalid_json`.
    fn word_or_json(self, field: &'static str) -> Result<Value>;
}

/// What is kept of a setting, and how it is made of what was sent.
pub(super) trait Setting<Sent>: Sized {
    /// # Errors
    /// The field's code, saying what is wrong.
    fn set(sent: Sent, before: &Self, maxima: &Maxima) -> Result<Self>;
}

impl<T: FromStr<Err = Error>> Setting<String> for T {
    fn set(sent: String, _: &Self, _: &Maxima) -> Result<Self> {
        sent.parse()
    }
}

impl Setting<Self> for bool {
    fn set(sent: Self, _: &Self, _: &Maxima) -> Result<Self> {
        Ok(sent)
    }
}

impl Setting<Value> for Args {
    fn set(sent: Value, _: &Self, _: &Maxima) -> Result<Self> {
        Self::from_json(sent)
    }
}

impl Setting<Value> for SleepChoice {
    fn set(sent: Value, _: &Self, _: &Maxima) -> Result<Self> {
        Self::from_json(sent)
    }
}

impl Setting<Value> for Option<Storage> {
    fn set(sent: Value, before: &Self, maxima: &Maxima) -> Result<Self> {
        let wanted = Storage::from_json(sent)?;
        Storage::check_change(wanted, *before, maxima)?;
        Ok(wanted)
    }
}

impl Setting<Vec<String>> for PassHeaders {
    fn set(sent: Vec<String>, _: &Self, _: &Maxima) -> Result<Self> {
        Self::parse(sent)
    }
}

impl Setting<LimitsPatch> for Limits {
    fn set(sent: LimitsPatch, before: &Self, maxima: &Maxima) -> Result<Self> {
        let wanted = before.patched(sent).checked()?;
        maxima.check(&wanted, Some(before))?;
        Ok(wanted)
    }
}

/// A field that is there, whatever its value.
pub(super) fn given<'de, D: Deserializer<'de>>(
    field: D,
) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

/// Fills a field of a form.
///
/// # Errors
/// `duplicate_field`.
pub fn fill_once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(Error::invalid(
            "duplicate_field",
            name,
            format!("the field \"{name}\" stands more than once"),
        ));
    }
    Ok(())
}
