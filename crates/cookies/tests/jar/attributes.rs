//! `Expires`, `Max-Age` and `Path`: WPT cookies/attributes (expires, max-age, path), cookies/path,
//! cookies/ordering, cookies/size.

use super::*;

const URL: &str = "https://example.org/a/b";
const LIMIT: u64 = 400 * 24 * 60 * 60;

/// The number of seconds for which a cookie is kept; `None` for the session.
fn lifetime(attributes: &str) -> Option<u64> {
    let mut profile = Profile::new();
    profile.set(URL, &format!("a=b; {attributes}")).unwrap();
    match profile.jar.iter().next() {
        None => Some(0),
        Some(cookie) => Some(cookie.expiry_time()?.duration_since(profile.now).unwrap().as_secs()),
    }
}

/// The path of a cookie that [`URL`] sets with these attributes.
fn path(attributes: &str) -> Result<String, Rejected> {
    let mut profile = Profile::new();
    profile.set(URL, &format!("a=b; {attributes}"))?;
    Ok(profile.jar.iter().next().unwrap().path().to_owned())
}

#[test]
fn max_age_counts_from_now() {
    assert_eq!(lifetime("Max-Age=10"), Some(10));
    assert_eq!(lifetime("max-age = 010 "), Some(10));
    assert_eq!(lifetime("Max-Age=10; Max-Age=20"), Some(20));
    assert_eq!(lifetime("Max-Age=10; Max-Age=x"), Some(10));
}

#[test]
fn a_max_age_that_is_not_positive_expires_the_cookie() {
    for value in ["0", "-1", "-0", "-20", "-9999999999999999999999"] {
        assert_eq!(lifetime(&format!("Max-Age={value}")), Some(0), "{value}");
    }
}

#[test]
fn a_max_age_that_is_not_a_number_is_ignored() {
    for value in ["", "-", "+5", "1.5", "50,399", "5s", "0x10", "--1", "1-", "\"10\"", "١"] {
        assert_eq!(lifetime(&format!("Max-Age={value}")), None, "{value}");
    }
}

#[test]
fn max_age_wins_over_expires_in_any_order() {
    let past = "Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(lifetime(&format!("Max-Age=10; {past}")), Some(10));
    assert_eq!(lifetime(&format!("{past}; Max-Age=10")), Some(10));
    assert_eq!(lifetime(&format!("Max-Age=x; {past}")), Some(0));
    assert_eq!(lifetime(&format!("{past}; Max-Age=")), Some(0));
}

#[test]
fn no_cookie_is_kept_for_more_than_400_days() {
    assert_eq!(lifetime("Max-Age=34560000"), Some(LIMIT));
    assert_eq!(lifetime("Max-Age=34560001"), Some(LIMIT));
    assert_eq!(lifetime(&format!("Max-Age={}", "1".repeat(1024))), Some(LIMIT));
    assert_eq!(lifetime("Expires=Fri, 31 Dec 9999 23:59:59 GMT"), Some(LIMIT));
    assert_eq!(lifetime("Expires=Thu, 28 May 2026 20:26:41 GMT"), Some(1));
}

#[test]
fn an_invalid_date_is_ignored() {
    assert_eq!(lifetime("Expires="), None);
    assert_eq!(lifetime("Expires=tomorrow"), None);
    assert_eq!(lifetime("Expires=Thu, 28 May 2026 20:26:41 GMT; Expires=tomorrow"), Some(1));
    // A date may contain a comma, and other text may follow it.
    assert_eq!(lifetime("Expires=Thu 28 May 2026 20:26:41 GMT, baz=qux"), Some(1));
}

#[test]
fn an_expired_cookie_removes_the_cookie_it_replaces() {
    for end in ["Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        let mut profile = Profile::new();
        profile.set(URL, "a=b").unwrap();
        profile.set(URL, "c=d").unwrap();
        profile.set(URL, &format!("a=; {end}")).unwrap();
        assert_eq!(profile.sent(URL), "c=d");
        assert_eq!(profile.jar.len(), 1);
    }
}

#[test]
fn a_cookie_is_sent_until_it_expires_and_then_forgotten() {
    let mut profile = Profile::new();
    profile.set(URL, "a=b; Max-Age=10").unwrap();
    profile.pass(9);
    assert_eq!(profile.sent(URL), "a=b");
    profile.pass(1);
    assert_eq!(profile.sent(URL), "");
    profile.set("https://other.example/", "c=d").unwrap();
    assert_eq!(profile.jar.len(), 1);
}

#[test]
fn an_expired_cookie_has_no_effect_on_a_new_one() {
    let mut profile = Profile::new();
    profile.set(URL, "a=b; Max-Age=10; HttpOnly; Secure").unwrap();
    profile.pass(10);
    profile.script_sets("http://example.org/a/b", "a=c").unwrap();
    assert_eq!(profile.sent(URL), "a=c");
    assert_eq!(profile.jar.iter().next().unwrap().creation_time(), profile.now);
}

#[test]
fn the_end_of_the_session_removes_cookies_without_an_expiry() {
    let mut profile = Profile::new();
    profile.set(URL, "a=b").unwrap();
    profile.set(URL, "c=d; Max-Age=10").unwrap();
    profile.jar.end_session();
    assert_eq!(profile.sent(URL), "c=d");
}

#[test]
fn the_last_path_attribute_wins_and_an_invalid_one_means_the_default() {
    for (attributes, expected) in [
        ("", "/a"),
        ("Path", "/a"),
        ("Path=", "/a"),
        ("Path=x", "/a"),
        ("Path=\"/x\"", "/a"),
        ("Path=/x", "/x"),
        (" \tpath\t=\t/x\t", "/x"),
        ("Path=/x/", "/x/"),
        ("Path=/x; Path=/y", "/y"),
        ("Path=; Path=/y", "/y"),
        ("Path=/x; Path=", "/a"),
    ] {
        assert_eq!(path(attributes).as_deref(), Ok(expected), "{attributes}");
    }
}

#[test]
fn a_path_outside_ascii_is_refused_if_it_wins() {
    assert_eq!(path("Path=/ä"), Err(Rejected::Path));
    assert_eq!(path("Path=/x; Path=/ä"), Err(Rejected::Path));
    assert_eq!(path("Path=/ä; Path=/x").as_deref(), Ok("/x"));
    assert_eq!(path("Path=/%C3%A4").as_deref(), Ok("/%C3%A4"));
}

#[test]
fn an_attribute_value_of_more_than_1024_bytes_is_ignored() {
    let long = "x".repeat(1024);
    assert_eq!(path(&format!("Path=/{}", &long[1..])), Ok(format!("/{}", &long[1..])));
    assert_eq!(path(&format!("Path=/{long}")).as_deref(), Ok("/a"));
    assert_eq!(path(&format!("Path=/x; Path=/{long}")).as_deref(), Ok("/x"));
    assert_eq!(path(&format!("Path=/{long}; Path=/x")).as_deref(), Ok("/x"));
    assert_eq!(lifetime(&format!("Max-Age=-{}", "1".repeat(1023))), Some(0));
    assert_eq!(lifetime(&format!("Max-Age=-{}", "1".repeat(1024))), None);
    assert_eq!(path(&format!("Domain={long}x.example")).as_deref(), Ok("/a"));
}

#[test]
fn a_default_path_that_is_too_long_is_refused() {
    let mut profile = Profile::new();
    let long = format!("https://example.org/{}/x", "x".repeat(5000));
    assert_eq!(profile.set(&long, "a=b"), Err(Rejected::PathTooLong));
    assert_eq!(profile.set(&long, "a=b; Path=/"), Ok(()));
}

#[test]
fn a_cookie_is_sent_to_its_path_and_below() {
    let mut profile = Profile::new();
    profile.set(URL, "a=b; Path=/a/b").unwrap();
    for (path, sent) in [
        ("/a/b", true),
        ("/a/b/", true),
        ("/a/b/c?d", true),
        ("/a/bc", false),
        ("/a", false),
        ("/A/b", false),
    ] {
        let expected = if sent { "a=b" } else { "" };
        assert_eq!(profile.sent(&format!("https://example.org{path}")), expected, "{path}");
    }
}

#[test]
fn longer_paths_come_first_then_older_cookies() {
    let mut profile = Profile::new();
    let host = "https://www.example.org/a/b/c";
    for cookie in [
        "z=1; Path=/a",
        "b=2; Path=/",
        "a=3; Path=/a",
        "d=4; Path=/a/b/c",
        "e=5; Path=/; Domain=example.org",
        "f=6; Path=/a/b; Domain=example.org",
    ] {
        profile.set(host, cookie).unwrap();
    }
    assert_eq!(profile.sent(host), "d=4; f=6; z=1; a=3; b=2; e=5");
}

#[test]
fn a_replaced_cookie_keeps_its_position() {
    let mut profile = Profile::new();
    profile.set(URL, "a=1").unwrap();
    profile.pass(1);
    profile.set(URL, "b=1").unwrap();
    profile.pass(1);
    profile.set(URL, "a=2").unwrap();
    assert_eq!(profile.sent(URL), "a=2; b=1");
    let cookie = profile.jar.iter().find(|cookie| cookie.name() == b"a").unwrap();
    assert_eq!(cookie.creation_time(), start());
}

#[test]
fn a_cookie_only_replaces_one_of_the_same_name_path_and_domain() {
    let mut profile = Profile::new();
    for cookie in [
        "a=1",
        "A=2",
        "a=3; Path=/",
        "a=4; Domain=example.org",
        "a=5; Domain=.EXAMPLE.org; HttpOnly; Secure; SameSite=Strict; Max-Age=5",
    ] {
        profile.set(URL, cookie).unwrap();
    }
    assert_eq!(profile.sent(URL), "a=1; A=2; a=5; a=3");
}
