//! Names and values: WPT cookies/name, cookies/value, cookies/size, cookies/encoding,
//! cookies/attributes/invalid.

use super::*;

const URL: &str = "https://example.org/a/b";

/// A cookie with this many bytes in its name and in its value.
fn sized(name: usize, value: usize) -> String {
    format!("{}={}", "n".repeat(name), "v".repeat(value))
}

#[test]
fn a_value_is_between_the_equals_sign_and_the_semicolon() {
    for (cookie, expected) in [
        ("a=b", "a=b"),
        ("a=b; c=d", "a=b"),
        ("a=b;;;", "a=b"),
        ("a=1, b=2", "a=1, b=2"),
        ("a=\"b;c\"", "a=\"b"),
        ("a=\" b \"  ;", "a=\" b \""),
        ("a==", "a=="),
        ("a===  b", "a===  b"),
        ("a=b=c=d", "a=b=c=d"),
        ("a=%41", "a=%41"),
        ("a=", "a="),
        ("a b=c d", "a b=c d"),
        ("Ä=€", "Ä=€"),
    ] {
        assert_eq!(echo(URL, &[cookie]), expected, "{cookie}");
    }
}

#[test]
fn spaces_and_tabs_around_names_and_values_are_removed() {
    assert_eq!(echo(URL, &[" \t a \t=\t b \t ; \t"]), "a=b");
    assert_eq!(echo(URL, &["a= \t"]), "a=");
    assert_eq!(echo(URL, &["a=b\tc"]), "a=b\tc");
    // No other white space is removed.
    assert_eq!(echo(URL, &["a=\u{a0}b\u{a0}"]), "a=\u{a0}b\u{a0}");
}

#[test]
fn a_cookie_may_have_no_name() {
    assert_eq!(echo(URL, &["b"]), "b");
    assert_eq!(echo(URL, &["=b"]), "b");
    assert_eq!(echo(URL, &["==b"]), "=b");
    assert_eq!(echo(URL, &[" b c ; Path=/"]), "b c");
    // All cookies without a name are the same cookie.
    assert_eq!(echo(URL, &["b", "=c", "a=d"]), "c; a=d");
}

#[test]
fn a_cookie_with_neither_name_nor_value_is_ignored() {
    let mut profile = Profile::new();
    for cookie in ["", "=", " \t ", ";", "; a=b", " = ; Path=/"] {
        assert_eq!(profile.set(URL, cookie), Err(Rejected::Empty), "{cookie}");
    }
    assert!(profile.jar.is_empty());
}

#[test]
fn any_control_character_except_a_tab_is_refused() {
    for control in (0..0x20).chain([0x7F]).filter(|&byte| byte != b'\t') {
        let control = char::from(control);
        for cookie in [
            format!("{control}a=b"),
            format!("a{control}=b"),
            format!("a=b{control}c"),
            format!("a=b{control}"),
            format!("a=b; Path=/{control}; Path=/"),
            format!("a=b; Sec{control}ure"),
            format!("a=b; unknown={control}"),
        ] {
            assert_eq!(Profile::new().set(URL, &cookie), Err(Rejected::ControlCharacter));
        }
    }
    assert_eq!(echo(URL, &["a=b; Path=/\t;\tunknown=\t"]), "a=b");
}

#[test]
fn bytes_that_are_not_utf_8_are_kept() {
    let mut jar = CookieJar::default();
    let url = url(URL);
    jar.store(b"\xFF\x80=\xC3(", &same_site(&url), start()).unwrap();
    assert_eq!(jar.cookie_header(&same_site(&url), start()).unwrap(), &b"\xFF\x80=\xC3("[..]);
}

#[test]
fn a_name_and_a_value_have_at_most_4096_bytes_together() {
    for (name, value) in [(2048, 2048), (4096, 0), (1, 4095), (0, 4096)] {
        let cookie = sized(name, value);
        assert_eq!(echo(URL, &[&cookie]), cookie.strip_prefix('=').unwrap_or(&cookie));
    }
    for (name, value) in [(4097, 0), (4096, 1), (1, 4096), (0, 4097)] {
        assert_eq!(Profile::new().set(URL, &sized(name, value)), Err(Rejected::TooLarge));
    }
    // Neither the removed spaces nor the attributes count.
    let padded = format!("  {}  ; Path=/; x={}", sized(2048, 2048), "y".repeat(9000));
    assert_eq!(Profile::new().set(URL, &padded), Ok(()));
}

#[test]
fn unknown_attributes_change_nothing() {
    for attributes in [
        "lol",
        "'lol'",
        "lol=",
        "=",
        "=Secure",
        "\"Secure\"",
        "Secure qux",
        "Secure/",
        "version=1",
        ";;; ;=; ,,, ===,abc,=",
        "Priority=High",
    ] {
        let mut profile = Profile::new();
        profile.set("http://example.org/", &format!("a=b; {attributes}; Path=/")).unwrap();
        assert_eq!(profile.sent("http://example.org/"), "a=b", "{attributes}");
    }
}

#[test]
fn a_cookie_does_not_show_its_value_when_debugged() {
    let mut profile = Profile::new();
    profile.set(URL, "name=hush").unwrap();
    let cookie = profile.jar.iter().next().unwrap();
    assert!(format!("{cookie:?}").contains("name"));
    assert!(!format!("{cookie:?} {:?}", profile.jar).contains("hush"));
}
