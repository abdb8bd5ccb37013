use proptest::prelude::*;

use super::*;

#[test]
fn each_kind_of_value_is_read() {
    let object = parse_object(
        br#" { "s":"a\u0062\n", "u":18446744073709551615, "i":-5, "f":1.5, "z":0, "big":1e300,
               "t":true, "f2":false, "n":null, "a":[1,[],{}], "o":{"x":{"y":"z"}} } "#,
    )
    .unwrap();
    let number = |name| object.get(name).unwrap();
    assert_eq!(object.get("s").and_then(Value::as_str), Some("ab\n"));
    assert_eq!(number("u").as_f64(), Some(u64::MAX as f64));
    assert_eq!(number("i").as_i64(), Some(-5));
    assert_eq!(
        (number("f").as_i64(), number("f").as_f64()),
        (None, Some(1.5))
    );
    assert_eq!(
        (number("z").as_i64(), number("z").as_f64()),
        (Some(0), Some(0.0))
    );
    assert_eq!(number("big").as_f64(), Some(1e300));
    assert_eq!(object.get("t"), Some(&Value::Bool(true)));
    assert_eq!(object.get("f2"), Some(&Value::Bool(false)));
    assert_eq!(object.get("n"), Some(&Value::Null));
    assert!(matches!(object.get("a"), Some(Value::Array(items)) if items.len() == 3));
    let inner = object.get("o").and_then(Value::as_object).unwrap();
    let inner = inner.get("x").and_then(Value::as_object).unwrap();
    assert_eq!(inner.get("y").and_then(Value::as_str), Some("z"));
    assert!(!inner.contains_key("x"));
}

// The same numbers are read with `arbitrary_precision` and without.
#[test]
fn number_is_integer_or_finite_float() {
    for (text, integer, float) in [
        ("0", Some(0), 0.0),
        ("-7", Some(-7), -7.0),
        ("9223372036854775807", Some(i64::MAX), i64::MAX as f64),
        ("-9223372036854775808", Some(i64::MIN), i64::MIN as f64),
        ("9223372036854775808", None, 9_223_372_036_854_775_808.0),
        ("99999999999999999999", None, 1e20),
        ("-99999999999999999999", None, -1e20),
        ("-0", None, 0.0),
        ("1.5", None, 1.5),
        ("60.0", None, 60.0),
        ("6e1", None, 60.0),
        ("6E+1", None, 60.0),
        ("1e-400", None, 0.0),
    ] {
        let json = format!("{{\"n\":{text}}}");
        let object = parse_object(json.as_bytes()).unwrap();
        let number = (object["n"].as_i64(), object["n"].as_f64());
        assert_eq!(number, (integer, Some(float)), "{text}");
    }
}

// T3
#[test]
fn duplicate_name_is_rejected_at_every_depth_and_in_every_spelling() {
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
fn text_that_is_not_one_object_is_rejected() {
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
fn deep_nesting_is_rejected() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"a\":{open}{close}}}")
    };
    assert!(parse_object(nested(127).as_bytes()).is_ok());
    for depth in [128, 100_000] {
        let json = nested(depth);
        assert_eq!(parse_object(json.as_bytes()), Err(JsonError::Syntax));
    }
}

// With `arbitrary_precision`, serde_json's own types read these objects as the number 5.
#[test]
fn object_is_never_read_as_a_number() {
    for name in ["Number", "RawValue", "\\u004eumber"] {
        for value in [
            "\"5\"",
            "5",
            "1.5",
            "{\"$serde_json::private::Number\":1.5}",
        ] {
            let json = format!(r#"{{"exp":{{"$serde_json::private::{name}":{value}}}}}"#);
            let object = parse_object(json.as_bytes()).unwrap();
            let inner = object["exp"].as_object().unwrap();
            assert_eq!(inner.len(), 1, "{json}");
            assert_eq!(
                inner.values().all(|value| value.is_number()),
                !value.starts_with(['"', '{'])
            );
        }
    }
}

/// Words of JSON in an order that is mostly JSON.
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
    (nested.clone(), value, nested, 0..8_u8).prop_map(|(before, value, after, kind)| match kind {
        0 => format!("{before}{value}{after}"),
        1 => format!("{{\"x\":{before}{value}}}"),
        _ => format!("{{\"x\":{value}}}"),
    })
}

/// Whether serde_json has read the same value.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => {
            // With `arbitrary_precision` serde_json reads `-0` as an integer.
            let same_integer = |integer| theirs.as_i64() == Some(integer);
            ours.as_i64().is_none_or(same_integer) && ours.as_f64() == theirs.as_f64()
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let same = |(name, ours): (&String, _)| {
                theirs.get(name).is_some_and(|theirs| is_same(ours, theirs))
            };
            ours.len() == theirs.len() && ours.iter().all(same)
        }
        _ => ours == theirs,
    }
}

/// Whether a name occurs twice in one object, by an independent reader.
fn has_duplicate_name(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Any {
        Items(Vec<Self>),
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
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

    // T3: the grammar is serde_json's, without the objects with duplicate names.
    #[test]
    fn grammar_equals_serde_json(text in text()) {
        let ours = parse_object(text.as_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
        // With `arbitrary_precision` serde_json reads numbers that no `f64` holds.
        let theirs = theirs.filter(|value| value.is_object() && !has_duplicate_name(&text) && !text.contains("1e400"));
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => prop_assert!(is_same(&Value::Object(ours), &theirs), "{}", text),
            (ours, theirs) => prop_assert_eq!(ours.is_ok(), theirs.is_some(), "{}", text),
        }
    }
}
