//! Strict JSON, for tokens, key sets and request bodies.
//!
//! Two readers of one text must never see two documents (T3): a name that occurs twice in one object is refused at
//! every depth, however it is escaped, and the input is read to its end.
//!
//! It is read here, in one pass, rather than by serde_json. That keeps the last of two equal names. It shows a number as
//! an object with a private name, and an object with that name as a number, as soon as anyone in the dependency tree
//! switches on its `arbitrary_precision`. And a token that is seen for the first time spent more on its JSON than on all
//! else around its signature. A test holds both to the same grammar.

#[cfg(test)]
mod tests;

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
