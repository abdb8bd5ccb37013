//! Strict JSON, for tokens, key sets and request bodies.
//!
//! Two readers of one text must never see two documents (T3): a name that occurs twice in one object is refused at
//! every depth, however it is escaped, and the input is read to its end.
//!
//! It is read here, in one pass, rather than by serde_json. That keeps the last of two equal names. It shows a number as
//! an object with a private name, and an object with that name as a number, as soon as anyone in the dependency tree
//! switches on its `arbitrary_precision`. And a token that is seen for the first time spent more on its JSON than on all
//! else around its signature. A test holds both to the same grammar.

#![cfg_attr(
    not(feature = "jwt"),
    allow(dead_code, reason = "tokens ask for more than request bodies do")
)]

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashSet};

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
    let mut reader = Reader { text, at: 0 };
    reader.expect(b'{')?;
    let object = reader.object(1)?;
    reader.skip_white_space();
    if reader.rest().is_empty() {
        Ok(object)
    } else {
        Err(JsonError::Syntax)
    }
}

/// The members of one object, each name once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<'a> {
    members: Vec<Member<'a>>,
}

type Member<'a> = (Cow<'a, str>, Value<'a>);

/// Up to so many members, one that may be there already is looked for among them. Beyond, that is what an attacker would
/// have us do.
const FEW: usize = 32;

impl<'a> Object<'a> {
    fn from_members(members: Vec<Member<'a>>) -> Result<Self, JsonError> {
        let has_duplicate = if members.len() <= FEW {
            let mut marks = 0_u64;
            members.iter().enumerate().any(|(at, (name, _))| {
                let mark = mark(name);
                let may_be_there = marks & mark != 0;
                marks |= mark;
                may_be_there && members.iter().take(at).any(|(other, _)| other == name)
            })
        } else {
            let mut seen = HashSet::with_capacity(members.len());
            !members.iter().all(|(name, _)| seen.insert(&**name))
        };
        if has_duplicate {
            Err(JsonError::DuplicateName)
        } else {
            Ok(Self { members })
        }
    }

    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let mut members = self.members.iter();
        let (_, value) = members.find(|(member, _)| *member == name)?;
        Some(value)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Value<'a>> {
        let mut members = self.members.iter();
        let position = members.position(|(member, _)| *member == name)?;
        Some(self.members.swap_remove(position).1)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// One bit, the same for equal names and mostly another for others.
#[inline]
fn mark(name: &str) -> u64 {
    let letter = |letter: Option<&u8>| usize::from(letter.copied().unwrap_or_default());
    let bytes = name.as_bytes();
    1 << ((bytes.len() * 5 + letter(bytes.first()) * 3 + letter(bytes.last()) * 11) % 64)
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

    /// The number, where it is whole, however it is written: `60`, `60.0`, `6e1`. What only rounding makes whole is not.
    pub(crate) fn as_whole(self) -> Option<f64> {
        /// As many decimal digits an `f64` tells apart.
        const EXACT: usize = 15;

        let (whole, fraction) = self.0.split_once('.').unwrap_or((self.0, ""));
        let has_none = fraction.bytes().all(|digit| digit == b'0');
        let plain: Option<i64> = has_none.then(|| whole.parse().ok()).flatten();
        let exact = || (self.0.len() <= EXACT).then(|| self.as_f64());
        let number = plain.map(|number| number as f64).or_else(exact);
        number.filter(|number| number.fract() == 0.0)
    }

    /// The nearest `f64`.
    pub(crate) fn as_f64(self) -> f64 {
        // What is here has been read by the same function before.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

/// A text, and how far it has been read. Every method reads on from there.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// What follows the `{`.
    fn object(&mut self, depth: usize) -> Result<Object<'a>, JsonError> {
        // Enough for what is in most tokens: to grow on the way costs as much as to read.
        let mut members = Vec::with_capacity(if depth == 1 { 16 } else { 4 });
        if self.next_is(b'}') {
            return Object::from_members(members);
        }
        loop {
            self.expect(b'"')?;
            let name = self.string()?;
            self.expect(b':')?;
            self.value(depth, |value| members.push((name, value)))?;
            if self.next_is(b'}') {
                return Object::from_members(members);
            }
            self.expect(b',')?;
        }
    }

    /// What follows the `[`.
    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, JsonError> {
        let mut items = Vec::new();
        if self.next_is(b']') {
            return Ok(items);
        }
        loop {
            self.value(depth, |value| items.push(value))?;
            if self.next_is(b']') {
                return Ok(items);
            }
            self.expect(b',')?;
        }
    }

    /// One value inside an object or an array of this depth, which goes straight to its place. Handed back it would be copied
    /// twice, each time by wider loads than the stores it was written with: none of them can be forwarded.
    #[inline(always)]
    fn value(&mut self, depth: usize, put: impl FnOnce(Value<'a>)) -> Result<(), JsonError> {
        self.skip_white_space();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                put(Value::String(self.string()?));
            }
            Some(b'{') => {
                self.at += 1;
                put(Value::Object(self.object(deeper(depth)?)?));
            }
            Some(b'[') => {
                self.at += 1;
                put(Value::Array(self.array(deeper(depth)?)?));
            }
            Some(b't') => put(self.word("true", Value::Bool(true))?),
            Some(b'f') => put(self.word("false", Value::Bool(false))?),
            Some(b'n') => put(self.word("null", Value::Null)?),
            _ => put(Value::Number(self.number()?)),
        }
        Ok(())
    }

    /// What follows the opening quote, up to the closing one.
    // Always in line, as is `value`: what comes back from a call goes through memory.
    #[inline(always)]
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        self.at += plain_len(self.rest());
        match self.peek() {
            Some(b'"') => {
                let text = self.since(start)?;
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped_string(start).map(Cow::Owned),
            _ => Err(JsonError::Syntax),
        }
    }

    /// Escapes are rare, and surrogate pairs a matter of their own: serde_json knows them.
    #[cold]
    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut is_escaped = false;
        self.at += self.length_of(|byte| {
            let goes_on = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            goes_on
        });
        let text = self.since(start)?;
        self.expect(b'"')?;
        serde_json::from_str(&format!("\"{text}\"")).map_err(|_| JsonError::Syntax)
    }

    /// `[ "-" ] int [ frac ] [ exp ]`, RFC 8259 §6.
    fn number(&mut self) -> Result<Number<'a>, JsonError> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        let is_short = self.at - start <= 18;
        let has_fraction = self.takes(b'.');
        if has_fraction {
            self.digits()?;
        }
        let has_exponent = self.takes(b'e') || self.takes(b'E');
        if has_exponent {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        let text = self.since(start)?;
        let is_short_integer = is_short && !has_fraction && !has_exponent;
        if is_short_integer || text.parse().is_ok_and(f64::is_finite) {
            Ok(Number(text))
        } else {
            Err(JsonError::Syntax)
        }
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        match self.length_of(|byte| byte.is_ascii_digit()) {
            0 => Err(JsonError::Syntax),
            length => {
                self.at += length;
                Ok(())
            }
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if self.rest().starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(JsonError::Syntax)
        }
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether this byte comes next, after white space; then it is taken.
    #[inline]
    fn next_is(&mut self, byte: u8) -> bool {
        self.skip_white_space();
        self.takes(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.next_is(byte) {
            Ok(())
        } else {
            Err(JsonError::Syntax)
        }
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.at += 1;
        }
        is_next
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// What has been read from `start` on.
    #[inline]
    fn since(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text.get(start..self.at).ok_or(JsonError::Syntax)
    }

    /// How many bytes from here on are such bytes.
    #[inline]
    fn length_of(&self, mut is_such: impl FnMut(u8) -> bool) -> usize {
        let bytes = self.rest().iter();
        bytes.take_while(|byte| is_such(**byte)).count()
    }
}

/// As many bytes as are looked at in one step.
const LANES: usize = 16;

/// How many bytes stand before the first that ends a plain string.
#[inline]
fn plain_len(text: &[u8]) -> usize {
    let (steps, _) = text.as_chunks::<LANES>();
    let mut length = 0;
    for lanes in steps {
        let ending = ending_lanes(lanes);
        if ending != 0 {
            return length + (ending.trailing_zeros() / 8) as usize;
        }
        length += LANES;
    }
    let rest = text.iter().skip(length);
    length + rest.take_while(|byte| !is_ending(**byte)).count()
}

/// A byte of ones for each lane that ends a plain string: vector comparisons give masks, not booleans.
#[inline]
fn ending_lanes(lanes: &[u8; LANES]) -> u128 {
    let mut ending = [0; LANES];
    for (ending, byte) in ending.iter_mut().zip(lanes) {
        *ending = u8::from(is_ending(*byte)).wrapping_neg();
    }
    u128::from_le_bytes(ending)
}

/// A quote, a backslash, or a control byte.
#[inline]
const fn is_ending(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < b' ')
}

fn deeper(depth: usize) -> Result<usize, JsonError> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(JsonError::TooDeep)
    }
}
