//! Strict JSON, for tokens and for request bodies.
//!
//! Two readers of one text must never see two documents (T3): a name that occurs twice in one object is refused at
//! every depth, however it is escaped, and the input is read to its end.
//!
//! Values are read by their first byte through [`RawValue`], never through `deserialize_any`: when anyone in the
//! dependency tree switches on serde_json's `arbitrary_precision`, that presents a number as an object with a private
//! name, and an object with that name as a number.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The members of one object.
pub(crate) type Object = Map<String, Value>;

/// The nesting that is read, serde_json's own limit: the outermost object is 1.
const MAX_DEPTH: usize = 128;

/// Why a text is not accepted. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Not one JSON object in UTF-8 with nothing but white space around it, or a number that no `f64` holds.
    #[error("not a JSON object")]
    Syntax,
    /// A name occurs twice in one object (RFC 8259 §4 leaves to the reader what that means).
    #[error("a name occurs twice in one JSON object")]
    DuplicateName,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested too deeply")]
    TooDeep,
}

/// Reads one object that fills `bytes`.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Object, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Syntax)?;
    object(text, 1)
}

fn object(text: &str, depth: usize) -> Result<Object, JsonError> {
    let Members(members) = read(text)?;
    let mut object = Object::new();
    for (name, member) in members {
        if object.insert(name, value(member.get(), depth)?).is_some() {
            return Err(JsonError::DuplicateName);
        }
    }
    Ok(object)
}

/// `text` comes out of a [`RawValue`]: one value, its grammar checked, no white space around it.
fn value(text: &str, depth: usize) -> Result<Value, JsonError> {
    match text.as_bytes().first() {
        Some(b'{') => object(text, deeper(depth)?).map(Value::Object),
        Some(b'[') => array(text, deeper(depth)?).map(Value::Array),
        Some(b'"') => string(text).map(Value::String),
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'n') => Ok(Value::Null),
        _ => number(text).map(Value::Number),
    }
}

fn array(text: &str, depth: usize) -> Result<Vec<Value>, JsonError> {
    let items: Vec<&RawValue> = read(text)?;
    items
        .into_iter()
        .map(|item| value(item.get(), depth))
        .collect()
}

/// A string without an escape is the text between its quotes: most are.
fn string(text: &str) -> Result<String, JsonError> {
    match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        Some(plain) if !plain.contains('\\') => Ok(plain.to_owned()),
        _ => read(text),
    }
}

fn number(text: &str) -> Result<Number, JsonError> {
    if let Ok(number) = text.parse::<u64>() {
        return Ok(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into());
    }
    text.parse()
        .ok()
        .and_then(Number::from_f64)
        .ok_or(JsonError::Syntax)
}

fn deeper(depth: usize) -> Result<usize, JsonError> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(JsonError::TooDeep)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|_| JsonError::Syntax)
}

/// An object's members in order, duplicates included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let object = parse_object(
            br#" { "s":"a\u0062\n", "u":18446744073709551615, "i":-5, "f":1.5, "z":0, "big":1e300,
                   "t":true, "f2":false, "n":null, "a":[1,[],{}], "o":{"x":{"y":"z"}} } "#,
        )
        .unwrap();
        assert_eq!(object["s"].as_str(), Some("ab\n"));
        assert_eq!(object["u"].as_u64(), Some(u64::MAX));
        assert_eq!(object["i"].as_i64(), Some(-5));
        assert_eq!(object["f"].as_f64(), Some(1.5));
        assert_eq!(object["f"].as_i64(), None);
        assert_eq!(object["z"].as_u64(), Some(0));
        assert_eq!(object["big"].as_f64(), Some(1e300));
        assert_eq!(
            (object["t"].as_bool(), object["f2"].as_bool()),
            (Some(true), Some(false))
        );
        assert!(object["n"].is_null());
        assert_eq!(object["a"].as_array().map(Vec::len), Some(3));
        assert_eq!(object["o"]["x"]["y"].as_str(), Some("z"));
    }

    // T3
    #[test]
    fn a_duplicate_name_is_refused_at_every_depth_and_in_every_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"o":{"a":1,"b":2,"a":3}}"#,
            r#"{"x":[{"y":[{"a":null,"\u0061":null}]}]}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(
                parse_object(text.as_bytes()),
                Err(JsonError::DuplicateName),
                "{text}"
            );
        }
        assert!(parse_object(br#"{"a":{"a":[{"a":1},{"a":2}]},"A":1}"#).is_ok());
    }

    // T3
    #[test]
    fn anything_but_one_object_is_refused() {
        for bytes in [
            &b""[..],
            b"null",
            b"[]",
            b"\"a\"",
            b"1",
            b"{",
            b"{}{}",
            b"{} x",
            b"{}\0",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"\xff\":1}",
            br#"{"a":"\ud800"}"#,
            br#"{"\ud800":1}"#,
            br#"{"a":01}"#,
            br#"{"a":+1}"#,
            br#"{"a":1.}"#,
            br#"{"a":NaN}"#,
            br#"{"a":1e400}"#,
            br#"{"a":-1e400}"#,
            br#"{"a":tru}"#,
            br#"{"a":'b'}"#,
            br#"{"a":1,}"#,
            br#"{"a":[1,]}"#,
            br#"{a:1}"#,
            b"{\"a\":\"\n\"}",
            br#"{/**/"a":1}"#,
        ] {
            assert_eq!(
                parse_object(bytes),
                Err(JsonError::Syntax),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
        assert!(parse_object(b"\r\n\t {} \r\n\t").is_ok_and(|object| object.is_empty()));
    }

    // T14
    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(parse_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(
            parse_object(nested(MAX_DEPTH + 1).as_bytes()),
            Err(JsonError::TooDeep)
        );
        assert_eq!(
            parse_object(nested(100_000).as_bytes()),
            Err(JsonError::TooDeep)
        );
    }

    // Under `arbitrary_precision` serde_json itself reads this object as the number 5.
    #[test]
    fn no_object_passes_for_a_number() {
        let object = parse_object(br#"{"exp":{"$serde_json::private::Number":"5"}}"#).unwrap();
        assert!(object["exp"].is_object());
        let object = parse_object(br#"{"exp":{"$serde_json::private::RawValue":"5"}}"#).unwrap();
        assert!(object["exp"].is_object());
    }
}
