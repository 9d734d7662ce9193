//! `Secure` and `HttpOnly`: WPT cookies/secure, cookies/attributes (secure, httponly-overwrite).

use super::*;

const HTTPS: &str = "https://example.org/login/x";
const HTTP: &str = "http://example.org/login/x";

#[test]
fn a_secure_cookie_is_only_set_and_sent_over_https() {
    let mut profile = Profile::new();
    assert_eq!(profile.set(HTTP, "a=b; Secure"), Err(Rejected::SecureFromInsecure));
    profile.set(HTTPS, "a=b; sEcUrE=false").unwrap();
    assert_eq!(profile.sent(HTTPS), "a=b");
    assert_eq!(profile.sent(HTTP), "");
    profile.set(HTTPS, "c=d").unwrap();
    assert_eq!(profile.sent(HTTP), "c=d");
}

#[test]
fn localhost_over_http_is_not_secure() {
    let mut profile = Profile::new();
    assert_eq!(profile.set("http://localhost/", "a=b; Secure"), Err(Rejected::SecureFromInsecure));
}

#[test]
fn an_insecure_cookie_does_not_overlay_a_secure_one() {
    let mut profile = Profile::new();
    profile.set(HTTPS, "a=1; Secure; Path=/login").unwrap();
    let overlays = [
        (HTTP, "a=2; Path=/login"),
        (HTTP, "a=2; Path=/login/en"),
        (HTTP, "a=2; Path=/login; Domain=example.org"),
        (HTTP, "a=; Path=/login; Max-Age=0"),
        ("http://sub.example.org/login/x", "a=2; Domain=example.org"),
        ("http://sub.example.org/login/x", "a=2"),
    ];
    for (from, cookie) in overlays {
        assert_eq!(profile.set(from, cookie), Err(Rejected::OverlaysSecure), "{from} {cookie}");
    }
    let others = [
        (HTTP, "a=2; Path=/"),
        (HTTP, "a=2; Path=/foo"),
        (HTTP, "b=2; Path=/login"),
        ("http://example.com/login/x", "a=2"),
    ];
    for (from, cookie) in others {
        assert_eq!(profile.set(from, cookie), Ok(()), "{from} {cookie}");
    }
    assert_eq!(profile.set(HTTPS, "a=3; Path=/login"), Ok(()));
    assert_eq!(profile.set(HTTP, "a=4; Path=/login"), Ok(()));
}

#[test]
fn script_neither_sees_nor_sets_nor_replaces_an_http_only_cookie() {
    let mut profile = Profile::new();
    assert_eq!(profile.script_sets(HTTPS, "a=b; HttpOnly"), Err(Rejected::HttpOnlyFromScript));
    profile.set(HTTPS, "a=1; httponly").unwrap();
    assert_eq!(profile.script_sees(HTTPS), "");
    assert_eq!(profile.script_sets(HTTPS, "a=2"), Err(Rejected::OverwritesHttpOnly));
    assert_eq!(profile.script_sets(HTTPS, "a=; Max-Age=0"), Err(Rejected::OverwritesHttpOnly));
    assert_eq!(profile.sent(HTTPS), "a=1");
    assert_eq!(profile.script_sets(HTTPS, "b=2"), Ok(()));
    assert_eq!(profile.script_sees(HTTPS), "b=2");
}

#[test]
fn http_only_can_be_added_and_removed_with_the_same_value() {
    let mut profile = Profile::new();
    profile.set(HTTPS, "a=1").unwrap();
    profile.set(HTTPS, "a=1; HttpOnly").unwrap();
    assert_eq!(profile.script_sees(HTTPS), "");
    profile.set(HTTPS, "a=1").unwrap();
    assert_eq!(profile.script_sees(HTTPS), "a=1");
}

#[test]
fn a_new_value_replaces_the_old_one_with_the_same_attributes() {
    assert_eq!(echo(HTTPS, &["a=1", "a=2"]), "a=2");
}
