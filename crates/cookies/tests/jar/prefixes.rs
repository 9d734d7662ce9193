//! Name prefixes: WPT cookies/prefix.

use super::*;

const URL: &str = "https://example.org/";
const SPELLINGS: [fn(&str) -> String; 3] =
    [str::to_owned, str::to_ascii_lowercase, str::to_ascii_uppercase];

fn set(cookie: &str) -> Result<(), Rejected> {
    Profile::new().set(URL, cookie)
}

#[test]
fn the_secure_prefix_needs_secure() {
    for spelling in SPELLINGS {
        let name = spelling("__Secure-a");
        assert_eq!(set(&format!("{name}=b; Path=/; HttpOnly")), Err(Rejected::PrefixSecure));
        assert_eq!(set(&format!("{name}=b; Secure")), Ok(()));
        assert_eq!(set(&format!("{name}=b; Secure; Domain=example.org")), Ok(()));
        let from_http = Profile::new().set("http://example.org/", &format!("{name}=b; Secure"));
        assert_eq!(from_http, Err(Rejected::SecureFromInsecure));
    }
}

#[test]
fn the_host_prefix_needs_secure_an_explicit_root_path_and_no_domain() {
    for spelling in SPELLINGS {
        let name = spelling("__Host-a");
        assert_eq!(set(&format!("{name}=b; Secure; Path=/")), Ok(()));
        for attributes in [
            "",
            "Path=/",
            "Secure",
            "Secure; Path",
            "Secure; Path=",
            "Secure; Path=/; Path=",
            "Secure; Path=/x",
            "Secure; Path=//",
            "Secure; Path=/; Domain=example.org",
        ] {
            let cookie = format!("{name}=b; {attributes}");
            assert_eq!(set(&cookie), Err(Rejected::PrefixHost), "{cookie}");
        }
        assert_eq!(set(&format!("{name}=b; Secure; Path=/; Domain=")), Ok(()));
    }
}

#[test]
fn the_http_prefix_needs_secure_and_http_only() {
    for spelling in SPELLINGS {
        let name = spelling("__Http-a");
        assert_eq!(set(&format!("{name}=b; Secure; HttpOnly; Path=/x")), Ok(()));
        assert_eq!(set(&format!("{name}=b; Secure; HttpOnly; Domain=example.org")), Ok(()));
        for attributes in ["", "Secure", "HttpOnly"] {
            let cookie = format!("{name}=b; {attributes}");
            assert_eq!(set(&cookie), Err(Rejected::PrefixHttp), "{cookie}");
            assert!(Profile::new().script_sets(URL, &cookie).is_err());
        }
    }
}

#[test]
fn the_host_http_prefix_needs_what_both_prefixes_need() {
    for spelling in SPELLINGS {
        let name = spelling("__Host-Http-a");
        assert_eq!(set(&format!("{name}=b; Secure; HttpOnly; Path=/")), Ok(()));
        assert_eq!(set(&format!("{name}=b; Secure; Path=/")), Err(Rejected::PrefixHttp));
        assert_eq!(set(&format!("{name}=b; Secure; HttpOnly")), Err(Rejected::PrefixHost));
    }
}

#[test]
fn a_nameless_cookie_cannot_look_prefixed() {
    for prefix in ["__Secure-", "__Host-", "__Http-", "__Host-Http-"] {
        for spelling in SPELLINGS {
            let value = spelling(prefix);
            for cookie in [format!("{value}a"), format!("={value}a=b"), format!("={value}")] {
                let cookie = format!("{cookie}; Secure; HttpOnly; Path=/");
                assert_eq!(set(&cookie), Err(Rejected::PrefixInNamelessValue), "{cookie}");
            }
        }
    }
}

#[test]
fn a_name_that_only_resembles_a_prefix_has_none() {
    for cookie in ["__Secure=b", "_Secure-a=b", "a__Host-=b", "__HostHttp-a=b", "a=__Host-b", "__"]
    {
        assert_eq!(set(cookie), Ok(()), "{cookie}");
    }
}

#[test]
fn spellings_of_a_prefix_are_different_cookies() {
    assert_eq!(
        echo(URL, &["__Secure-a=1; Secure", "__secure-a=2; Secure"]),
        "__Secure-a=1; __secure-a=2"
    );
}
