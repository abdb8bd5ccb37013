//! Strict JSON for tokens, key sets and request bodies.
//!
//! Reads with serde_json and adds what it leaves open: a member name that occurs twice in one object is rejected at every
//! depth, after unescaping, so that two readers of one text never see two documents (T3). Imports nothing of the crate.

#![cfg_attr(
    not(feature = "jwt"),
    allow(dead_code, reason = "request bodies use a part of it")
)]

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
pub(crate) use serde_json::Value;
use serde_json::{Map, Number, map::Entry};

/// Why a text is rejected. The message never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Not one JSON object in UTF-8, nested deeper than serde_json's limit (127), or a number outside the range of `f64`.
    #[error("not a JSON object")]
    Syntax,
    /// A name occurs twice in one object (RFC 8259 §4 leaves its meaning to the reader).
    #[error("{DUPLICATE_NAME}")]
    DuplicateName,
}

/// Reads one JSON object that fills `json`.
pub(crate) fn parse_object(json: &[u8]) -> Result<Object, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Reader(json).deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(Value::Object(object)) => Ok(object),
        Err(error) if error.to_string().starts_with(DUPLICATE_NAME) => {
            Err(JsonError::DuplicateName)
        }
        _ => Err(JsonError::Syntax),
    }
}

/// The members of one object by their unescaped names.
pub(crate) type Object = Map<String, Value>;

/// The name under which serde_json presents a number as an object when its feature `arbitrary_precision` is on.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader<'de>(&'de [u8]);

const DUPLICATE_NAME: &str = "a name occurs twice in one JSON object";

impl Reader<'_> {
    /// Returns whether `name` is serde_json's mark of a number, and not a member name in the input.
    ///
    /// Any crate in the dependency tree can enable `arbitrary_precision`. Then each number that is no `u64` or `i64`
    /// arrives as an object with the one name [`NUMBER`]. An input can hold such an object too, but its name lies inside
    /// the input (or is a copy, if it has escapes), and serde_json's name is a static string.
    fn is_mark(&self, name: &Name<'_>) -> bool {
        let is_static = |name: &str| !self.0.as_ptr_range().contains(&name.as_ptr());
        matches!(name, Name(Cow::Borrowed(NUMBER)) if is_static(&name.0))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'de> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The name of a member.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Reader<'de> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(name) = members.next_key()? {
            if self.is_mark(&name) {
                let number = members.next_value::<String>()?.parse();
                let number = number.ok().and_then(Number::from_f64);
                let number = number.ok_or_else(|| A::Error::custom("a number out of range"))?;
                return Ok(Value::Number(number));
            }
            match object.entry(name.0.into_owned()) {
                Entry::Vacant(place) => place.insert(members.next_value_seed(self)?),
                Entry::Occupied(_) => return Err(A::Error::custom(DUPLICATE_NAME)),
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
