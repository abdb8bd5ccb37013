//! Strict JSON, for tokens, key sets and request bodies.
//!
//! Two readers of one text must never see two documents (T3): a name that occurs twice in one object is refused at
//! every depth, however it is escaped, and the input is read to its end.
//!
//! It is read here, in one pass, rather than by serde_json. That keeps the last of two equal names. It shows a number as
//! an object with a private name, and an object with that name as a number, as soon as anyone in the dependency tree
//! switches on its `arbitrary_precision`. And a token that is seen for the first time spent more on its JSON than on all
//! else around its signature. A test holds both to the same grammar.

use std::borrow::Cow;

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

/// Reads one object that fills `bytes`. What has no escape in it is borrowed from them.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Object<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Syntax)?;
    let mut reader = Reader { rest: text };
    reader.skip_white_space();
    reader.expect("{")?;
    let object = reader.object(1)?;
    reader.skip_white_space();
    if reader.rest.is_empty() {
        Ok(object)
    } else {
        Err(JsonError::Syntax)
    }
}

/// The members of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<'a> {
    /// By name, in order, each once.
    members: Vec<Member<'a>>,
}

type Member<'a> = (Cow<'a, str>, Value<'a>);

impl<'a> Object<'a> {
    fn from_members(mut members: Vec<Member<'a>>) -> Result<Self, JsonError> {
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut neighbours = members.iter().zip(members.iter().skip(1));
        if neighbours.any(|((one, _), (other, _))| one == other) {
            return Err(JsonError::DuplicateName);
        }
        Ok(Self { members })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let position = self.position(name)?;
        self.members.get(position).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Value<'a>> {
        let position = self.position(name)?;
        Some(self.members.remove(position).1)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.members
            .binary_search_by(|(member, _)| (**member).cmp(name))
            .ok()
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<Number<'a>> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// A number as it is written: within the range of an `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<'a>(&'a str);

impl Number<'_> {
    /// The number, where it is written as a whole one and fits.
    pub(crate) fn as_i64(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The nearest `f64`.
    pub(crate) fn as_f64(self) -> f64 {
        // What is here has been read by the same function before.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

/// What is left of the text. Every method takes from its front.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// What follows the `{`.
    fn object(&mut self, depth: usize) -> Result<Object<'a>, JsonError> {
        let mut members = Vec::new();
        self.skip_white_space();
        if self.takes("}") {
            return Object::from_members(members);
        }
        loop {
            self.skip_white_space();
            self.expect("\"")?;
            let name = self.string()?;
            self.skip_white_space();
            self.expect(":")?;
            members.push((name, self.value(depth)?));
            if self.takes("}") {
                return Object::from_members(members);
            }
            self.expect(",")?;
        }
    }

    /// What follows the `[`.
    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, JsonError> {
        let mut items = Vec::new();
        self.skip_white_space();
        if self.takes("]") {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            if self.takes("]") {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    /// One value inside an object or an array of this depth, with the white space around it.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.skip_white_space();
        let value = match self.rest.as_bytes().first() {
            Some(b'"') => {
                self.expect("\"")?;
                Value::String(self.string()?)
            }
            Some(b'{') => {
                self.expect("{")?;
                Value::Object(self.object(deeper(depth)?)?)
            }
            Some(b'[') => {
                self.expect("[")?;
                Value::Array(self.array(deeper(depth)?)?)
            }
            Some(b't') => self.expect("true").map(|()| Value::Bool(true))?,
            Some(b'f') => self.expect("false").map(|()| Value::Bool(false))?,
            Some(b'n') => self.expect("null").map(|()| Value::Null)?,
            _ => Value::Number(self.number()?),
        };
        self.skip_white_space();
        Ok(value)
    }

    /// What follows the opening quote, up to the closing one.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let plain = self.length_of(|byte| !matches!(byte, b'"' | b'\\' | ..b' '));
        match self.rest.as_bytes().get(plain) {
            Some(b'"') => {
                let text = self.take(plain)?;
                self.expect("\"")?;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped_string().map(Cow::Owned),
            _ => Err(JsonError::Syntax),
        }
    }

    /// Escapes are rare, and surrogate pairs a matter of their own: serde_json knows them.
    fn escaped_string(&mut self) -> Result<String, JsonError> {
        let mut is_escaped = false;
        let length = self.length_of(|byte| {
            let goes_on = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            goes_on
        });
        let text = self.take(length)?;
        self.expect("\"")?;
        serde_json::from_str(&format!("\"{text}\"")).map_err(|_| JsonError::Syntax)
    }

    /// `[ "-" ] int [ frac ] [ exp ]`, RFC 8259 §6.
    fn number(&mut self) -> Result<Number<'a>, JsonError> {
        let text = self.rest;
        self.takes("-");
        if !self.takes("0") {
            self.digits()?;
        }
        let is_short_integer = text.len() - self.rest.len() <= 18;
        let has_fraction = self.takes(".");
        if has_fraction {
            self.digits()?;
        }
        let has_exponent = self.takes("e") || self.takes("E");
        if has_exponent {
            let _ = self.takes("+") || self.takes("-");
            self.digits()?;
        }
        let (text, _) = text
            .split_at_checked(text.len() - self.rest.len())
            .ok_or(JsonError::Syntax)?;
        let is_finite = (is_short_integer && !has_fraction && !has_exponent)
            || text.parse::<f64>().is_ok_and(f64::is_finite);
        is_finite.then_some(Number(text)).ok_or(JsonError::Syntax)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        match self.length_of(|byte| byte.is_ascii_digit()) {
            0 => Err(JsonError::Syntax),
            length => self.take(length).map(drop),
        }
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn expect(&mut self, token: &str) -> Result<(), JsonError> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(JsonError::Syntax)
        }
    }

    fn takes(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a str, JsonError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(JsonError::Syntax)?;
        self.rest = rest;
        Ok(taken)
    }

    /// How many bytes from here on are such bytes.
    fn length_of(&self, mut is_such: impl FnMut(u8) -> bool) -> usize {
        let mut bytes = self.rest.bytes();
        bytes
            .position(|byte| !is_such(byte))
            .unwrap_or(self.rest.len())
    }
}

fn deeper(depth: usize) -> Result<usize, JsonError> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(JsonError::TooDeep)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let object = parse_object(
            br#" { "s":"a\u0062\n", "u":18446744073709551615, "i":-5, "f":1.5, "z":0, "big":1e300,
                   "t":true, "f2":false, "n":null, "a":[1,[],{}], "o":{"x":{"y":"z"}} } "#,
        )
        .unwrap();
        let number = |name| object.get(name).and_then(Value::as_number).unwrap();
        assert_eq!(object.get("s").and_then(Value::as_str), Some("ab\n"));
        assert_eq!(number("u").as_f64(), u64::MAX as f64);
        assert_eq!(number("i").as_i64(), Some(-5));
        assert_eq!((number("f").as_i64(), number("f").as_f64()), (None, 1.5));
        assert_eq!((number("z").as_i64(), number("z").as_f64()), (Some(0), 0.0));
        assert_eq!(number("big").as_f64(), 1e300);
        assert_eq!(object.get("t"), Some(&Value::Bool(true)));
        assert_eq!(object.get("f2"), Some(&Value::Bool(false)));
        assert_eq!(object.get("n"), Some(&Value::Null));
        assert!(matches!(object.get("a"), Some(Value::Array(items)) if items.len() == 3));
        let inner = object.get("o").and_then(Value::as_object).unwrap();
        let inner = inner.get("x").and_then(Value::as_object).unwrap();
        assert_eq!(inner.get("y").and_then(Value::as_str), Some("z"));
        assert!(!inner.contains("x") && inner.get("x").is_none());
    }

    #[test]
    fn a_member_is_removed_once() {
        let mut object = parse_object(br#"{"b":1,"a":2,"c":3}"#).unwrap();
        assert_eq!(object.remove("b"), Some(Value::Number(Number("1"))));
        assert_eq!(object.remove("b"), None);
        assert!(object.contains("a") && object.contains("c"));
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
        assert!(parse_object(b"\r\n\t {} \r\n\t").is_ok_and(|object| object.members.is_empty()));
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

    // What serde_json shows as the number 5 under `arbitrary_precision`.
    #[test]
    fn no_object_passes_for_a_number() {
        for name in ["Number", "RawValue"] {
            let text = format!(r#"{{"exp":{{"$serde_json::private::{name}":"5"}}}}"#);
            let object = parse_object(text.as_bytes()).unwrap();
            assert!(object.get("exp").and_then(Value::as_object).is_some());
        }
    }

    /// Words of JSON in an order that is mostly, but not always, JSON.
    fn text() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"a\"",
            "\"b\":",
            "\"\\u0061\":",
            "\"\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\\\\"",
            "\"\u{e9}\"",
            "\"\u{7f}\"",
            "\"\t\"",
            "0",
            "-0",
            "01",
            "-",
            "1.5",
            "1.",
            ".5",
            "1e5",
            "1E+5",
            "1e-400",
            "1e400",
            "123456789012345678",
            "-12345678901234567890",
            "true",
            "false",
            "null",
            "nul",
            " ",
            "\n",
            "\u{a0}",
            "\u{feff}",
            "\0",
        ]);
        let nested = prop::collection::vec(word.clone(), 0..4).prop_map(|words| words.concat());
        let value = word
            .prop_map(str::to_owned)
            .prop_recursive(4, 24, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4)
                        .prop_map(|items| format!("[{}]", items.join(","))),
                    prop::collection::vec(("[abc]", inner), 0..4).prop_map(|members| {
                        let members = members
                            .iter()
                            .map(|(name, value)| format!("\"{name}\" : {value}"));
                        format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
                    }),
                ]
            });
        (nested.clone(), value, nested, 0..8_u8).prop_map(|(before, value, after, kind)| match kind
        {
            0 => format!("{before}{value}{after}"),
            1 => format!("{{\"x\":{before}{value}}}"),
            _ => format!("{{\"x\":{value}}}"),
        })
    }

    /// What is read here, in serde_json's types.
    fn as_serde_json(text: &str) -> Option<serde_json::Value> {
        fn same(value: &Value<'_>) -> serde_json::Value {
            match value {
                Value::Null => serde_json::Value::Null,
                Value::Bool(value) => (*value).into(),
                Value::Number(number) => serde_json::from_str(number.0).unwrap(),
                Value::String(text) => serde_json::Value::from(&**text),
                Value::Array(items) => items.iter().map(same).collect(),
                Value::Object(object) => {
                    let object = object.members.iter();
                    object
                        .map(|(name, value)| (name.to_string(), same(value)))
                        .collect()
                }
            }
        }
        let object = parse_object(text.as_bytes()).ok()?;
        Some(same(&Value::Object(object)))
    }

    /// Whether a name occurs twice in one object, by a reader of a quite different build.
    fn has_duplicate_name(text: &str) -> bool {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Any {
            Items(Vec<Any>),
            Members(Members),
            #[allow(dead_code, reason = "a leaf is only told from the others")]
            Leaf(serde::de::IgnoredAny),
        }
        struct Members(Vec<(String, Any)>);
        impl<'de> serde::Deserialize<'de> for Members {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = Members;
                    fn expecting(
                        &self,
                        formatter: &mut std::fmt::Formatter<'_>,
                    ) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Members, A::Error> {
                        let mut members = Vec::new();
                        while let Some(member) = map.next_entry()? {
                            members.push(member);
                        }
                        Ok(Members(members))
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }
        fn twice(value: &Any) -> bool {
            match value {
                Any::Items(items) => items.iter().any(twice),
                Any::Members(Members(members)) => {
                    let names: std::collections::BTreeSet<_> =
                        members.iter().map(|(name, _)| name).collect();
                    names.len() < members.len() || members.iter().any(|(_, value)| twice(value))
                }
                Any::Leaf(_) => false,
            }
        }
        serde_json::from_str(text).is_ok_and(|value| twice(&value))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        // T3: the grammar is serde_json's, less the objects with a name twice.
        #[test]
        fn serde_json_reads_the_same(text in text()) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let theirs = theirs.ok().filter(|value| value.is_object() && !has_duplicate_name(&text));
            prop_assert_eq!(as_serde_json(&text), theirs, "{}", text);
        }
    }
}
