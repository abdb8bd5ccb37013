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
fn a_string_ends_where_it_ends_wherever_that_is() {
    let object = |text: &str, after: &str| {
        let json = format!("{{\"{text}\":0}}{after}");
        parse_object(json.as_bytes()).map(|object| object.contains(text))
    };
    for length in 0..50 {
        let text: String = "\u{7f}é~ !".chars().cycle().take(length).collect();
        for after in ["", &" ".repeat(40)] {
            assert_eq!(object(&text, after), Ok(true), "{length}");
            for inside in ["\0", "\u{1f}", "\n", "\"", "\\x"] {
                for (at, _) in text.char_indices() {
                    let mut broken = text.clone();
                    broken.insert_str(at, inside);
                    assert_eq!(object(&broken, after), Err(JsonError::Syntax), "{broken:?}");
                }
            }
        }
    }
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
    (nested.clone(), value, nested, 0..8_u8).prop_map(|(before, value, after, kind)| match kind {
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

    // T3: the grammar is serde_json's, less the objects with a name twice.
    #[test]
    fn serde_json_reads_the_same(text in text()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let theirs = theirs.ok().filter(|value| value.is_object() && !has_duplicate_name(&text));
        prop_assert_eq!(as_serde_json(&text), theirs, "{}", text);
    }
}
