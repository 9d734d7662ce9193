//! Tests of the messages: what is malformed is refused, and nothing panics.

use proptest::prelude::*;

use super::*;

const DOCUMENT: &str = "00000000000000ff";

fn parse(secret: &Secret, rest: &str) -> Result<Message, MessageError> {
    Message::parse(secret, &format!("{}{rest}", secret.as_str()))
}

#[test]
fn a_message_has_the_secret_the_version_the_document_and_the_news() {
    let secret = Secret::random();
    let message = parse(&secret, r#"100000000000000ff{"op":"pagehide","persisted":true}"#).unwrap();
    assert_eq!(message.document, DocumentKey(255));
    assert!(matches!(message.news, News::Pagehide { persisted: true }));
}

#[test]
fn a_message_without_the_secret_is_a_strangers() {
    let secret = Secret::random();
    let text = r#"100000000000000ff{"op":"pagehide","persisted":true}"#;
    let other = Secret::random();
    for text in ["", "é", text, &format!("{}{text}", other.as_str()), &"é".repeat(40)] {
        assert!(matches!(Message::parse(&secret, text), Err(MessageError::Stranger)), "{text}");
    }
}

#[test]
fn a_message_that_is_wrong_after_the_secret_is_refused() {
    let secret = Secret::random();
    let pagehide = r#"{"op":"pagehide","persisted":true}"#;
    assert!(matches!(parse(&secret, ""), Err(MessageError::Version)));
    let version = format!("2{DOCUMENT}{pagehide}");
    assert!(matches!(parse(&secret, &version), Err(MessageError::Version)));
    for document in ["", "00", "+0000000000000ff", "éééééééé"] {
        let text = format!("1{document}{pagehide}");
        assert!(matches!(parse(&secret, &text), Err(MessageError::Field("document"))), "{text}");
    }
    for json in [
        "",
        "{}",
        "[]",
        r#"{"op":"unload"}"#,
        r#"{"op":"pagehide"}"#,
        r#"{"op":"pagehide","persisted":1}"#,
        r#"{"op":"pagehide","persisted":true,"more":1}"#,
        r#"{"op":"pagehide","persisted":true}{}"#,
        r#"{"op":"visibility","state":"prerender"}"#,
        r#"{"op":"beacon","sending":{"url":"u","bytes":-1,"urlBytes":0,"body":null}}"#,
        r#"{"op":"beacon","sending":{"url":"u","bytes":0,"urlBytes":0,"body":{"kind":"x"}}}"#,
    ] {
        let text = format!("1{DOCUMENT}{json}");
        assert!(matches!(parse(&secret, &text), Err(MessageError::Malformed(_))), "{json}");
    }
    let long = format!("1{DOCUMENT}{}", " ".repeat(MAX_LENGTH));
    assert!(matches!(parse(&secret, &long), Err(MessageError::TooLong)));
}

#[test]
fn the_largest_body_fits_into_a_message() {
    let secret = Secret::random();
    let text = r"\u0000".repeat(65_536);
    let url = "x".repeat(65_534);
    let json = format!(
        r#"{{"op":"beacon","sending":{{"url":"{url}","bytes":65536,"urlBytes":65534,"body":{{"kind":"text","text":"{text}"}}}}}}"#
    );
    assert!(parse(&secret, &format!("1{DOCUMENT}{json}")).is_ok());
}

#[test]
fn the_secret_is_not_shown() {
    let secret = Secret::random();
    assert!(!format!("{secret:?}").contains(secret.as_str()));
    assert!(secret.is(secret.as_str()) && !secret.is(&secret.as_str()[1..]) && !secret.is(""));
    assert_ne!(secret.as_str(), Secret::random().as_str());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", json in json()) {
        let secret = Secret::random();
        assert!(Message::parse(&secret, &text).is_err());
        let _ = parse(&secret, &text);
        let _ = parse(&secret, &format!("1{DOCUMENT}{text}"));
        let _ = parse(&secret, &format!("1{DOCUMENT}{json}"));
    }
}

/// Objects that are nearly messages.
fn json() -> impl Strategy<Value = String> {
    let ops = ["hello", "settings", "beacon", "fetch", "visibility", "pagehide", "pageshow", "x"];
    let names = ["sending", "state", "persisted", "url", "base", "body", "policies", "origin"];
    let values = ["true", "null", "-1", "1e99", "[]", "{}", "\"\"", "\"hidden\"", "[[[[[[[["];
    let field = (prop::sample::select(names.to_vec()), prop::sample::select(values.to_vec()));
    let fields = prop::collection::vec(field, 0..4);
    (prop::sample::select(ops.to_vec()), fields).prop_map(|(op, fields)| {
        let fields = fields.iter().map(|(name, value)| format!(r#","{name}":{value}"#));
        format!(r#"{{"op":"{op}"{}}}"#, fields.collect::<String>())
    })
}
