//! Reads a struct from an object alone. serde takes an array for one as well,
//! field by field, which no caller means and the API's description rules out.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

/// For `deserialize_with`.
///
/// # Errors
/// If the value is no object, or not one of `T`.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_map(Only(PhantomData))
}

/// The same for a field that may be absent (with `default`) or null.
///
/// # Errors
/// As [`object`].
pub fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    from.deserialize_option(OrNull(PhantomData))
}

struct Only<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

struct OrNull<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OrNull<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        object(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OwnQuota;

    #[derive(Deserialize)]
    struct Holds {
        #[serde(default, deserialize_with = "object_or_null")]
        quota: Option<OwnQuota>,
    }

    #[test]
    fn a_struct_is_read_from_an_object_or_null_and_from_no_array() {
        let read = |text| serde_json::from_str::<Holds>(text).map(|holds| holds.quota);
        let servers = |text| read(text).unwrap().unwrap().servers;
        assert_eq!(servers(r#"{"quota":{"servers":2}}"#), Some(2));
        assert_eq!(servers(r#"{"quota":{}}"#), None);
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"quota":null}"#).unwrap(), None);
        for wrong in [
            r#"{"quota":[null,null]}"#,
            r#"{"quota":[]}"#,
            r#"{"quota":{"other":1}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
