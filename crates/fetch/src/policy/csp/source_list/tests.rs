//! Tests of source lists: by example, and against a matcher that goes through the expressions one by one.

use proptest::prelude::*;

use super::*;
use crate::nonce::Nonce;

fn matches_in(list: &str, url: &str, page: &str, is_redirected: bool) -> bool {
    let origin = Origin::of(&Url::parse(page).unwrap(), Nonce::from_u128(1));
    let list = SourceList::new(list.split_ascii_whitespace());
    list.matches(&Url::parse(url).unwrap(), &origin, is_redirected)
}

#[track_caller]
fn check(page: &str, list: &str, urls: &[(&str, bool)]) {
    for (url, expected) in urls {
        let is_matched = matches_in(list, url, page, false);
        assert_eq!(is_matched, *expected, "{url} in {list:?} on {page}");
    }
}

const PAGE: &str = "https://a.test/";

#[test]
fn a_list_without_a_matching_expression_matches_nothing() {
    for list in ["", "'none'", "'NONE'", "'unsafe-inline' 'nonce-x'", "[::1]", "a_b.test"] {
        check(PAGE, list, &[("https://a.test/", false), ("data:,x", false)]);
    }
    check(PAGE, "'none' https://b.test", &[("https://b.test/", true)]);
}

#[test]
fn a_star_matches_http_and_the_scheme_of_the_page() {
    check(
        PAGE,
        "*",
        &[
            ("https://b.test/", true),
            ("http://b.test:81/", true),
            ("data:,x", false),
            ("https://127.0.0.2/", true),
        ],
    );
    check("ftp://a.test/", "*", &[("ftp://b.test/", true), ("https://b.test/", true)]);
}

#[test]
fn a_scheme_matches_its_secure_upgrade() {
    check(
        PAGE,
        "http:",
        &[("http://b.test/", true), ("https://b.test/", true), ("wss://b.test/", false)],
    );
    check(PAGE, "https:", &[("http://b.test/", false), ("https://[::1]/", true)]);
    check(
        PAGE,
        "ws:",
        &[("ws://b.test/", true), ("wss://b.test/", true), ("https://b.test/", true)],
    );
    check(
        PAGE,
        "wss:",
        &[("wss://b.test/", true), ("ws://b.test/", false), ("http://b.test/", false)],
    );
    check(PAGE, "DATA: x-y:", &[("data:,x", true), ("x-y://b.test/", true), ("x-z:", false)]);
}

#[test]
fn self_is_the_own_origin_and_its_secure_upgrade() {
    check(
        "http://a.test/",
        "'self'",
        &[
            ("http://a.test/x", true),
            ("https://a.test/x", true),
            ("wss://a.test/x", true),
            ("ws://a.test/x", true),
            ("http://a.test:81/", false),
            ("https://a.test:81/", false),
            ("http://sub.a.test/", false),
            ("blob:http://a.test/0", false),
        ],
    );
    check(PAGE, "'self'", &[("http://a.test/", false), ("https://a.test:444/", false)]);
    check(
        "http://a.test:81/",
        "'self'",
        &[("https://a.test:81/", true), ("https://a.test/", false)],
    );
    check(
        "https://127.0.0.2/",
        "'self'",
        &[("https://127.0.0.2/x", true), ("https://127.0.0.3/", false)],
    );
    check(
        "https://[::1]:444/",
        "'self'",
        &[("https://[::1]:444/x", true), ("https://[::1]/", false)],
    );
    check("data:,x", "'self'", &[("https://a.test/", false), ("data:,x", false)]);
}

#[test]
fn a_host_is_a_domain_without_regard_to_case() {
    check(
        PAGE,
        "B.test *.C.test 1.2.3.4.nip.io ip-10-0-0-1.test",
        &[
            ("https://b.test/", true),
            ("https://x.b.test/", false),
            ("https://b.test./", false),
            ("https://c.test/", false),
            ("https://x.c.test/", true),
            ("https://y.x.c.test/", true),
            ("https://xc.test/", false),
            ("https://1.2.3.4.nip.io/", true),
            ("https://5.1.2.3.4.nip.io/", false),
            ("https://ip-10-0-0-1.test/", true),
        ],
    );
    check(PAGE, "127.0.0.1 *://* *", &[("https://127.0.0.1/", true)]);
    check(
        PAGE,
        "127.0.0.1 https://*:*",
        &[("https://127.0.0.1/", false), ("https://b.test/", true)],
    );
    check(PAGE, "b.test.", &[("https://b.test./", true), ("https://b.test/", false)]);
    check(PAGE, "b.test", &[("http://b.test/", false), ("wss://b.test/", false)]);
    check("http://a.test/", "b.test", &[("http://b.test/", true), ("https://b.test/", true)]);
    check(
        "data:,x",
        "b.test https://c.test",
        &[("https://b.test/", false), ("https://c.test/", true)],
    );
}

#[test]
fn a_port_is_the_default_port_a_number_or_any() {
    check(
        PAGE,
        "b.test c.test:444 d.test:* e.test:443 http://f.test:80",
        &[
            ("https://b.test:443/", true),
            ("https://b.test:444/", false),
            ("https://c.test:444/", true),
            ("https://c.test/", false),
            ("https://d.test:9/", true),
            ("https://d.test/", true),
            ("https://e.test/", true),
            ("http://f.test/", true),
            ("https://f.test/", false),
        ],
    );
}

#[test]
fn a_path_is_exact_or_a_directory() {
    let list = "b.test/x b.test/dir/ b.test/%41%2f?/no c.test/ d.test/a//b";
    let list = list.replace("%41%2f?/no", "%41%2fz/");
    check(
        PAGE,
        &list,
        &[
            ("https://b.test/x", true),
            ("https://b.test/x?q#f", true),
            ("https://b.test/X", false),
            ("https://b.test/x/", false),
            ("https://b.test/x/y", false),
            ("https://b.test/dir", false),
            ("https://b.test/dir/", true),
            ("https://b.test/dir/a/b", true),
            ("https://b.test/d%69r/a", true),
            ("https://b.test/A%2Fz/q", true),
            ("https://b.test/A/z/q", false),
            ("https://b.test/", false),
            ("https://c.test/", true),
            ("https://c.test/any", true),
            ("https://d.test/a//b", true),
            ("https://d.test/a/b", false),
        ],
    );
    assert!(matches_in(&list, "https://b.test/other", PAGE, true), "a redirect hides the path");
    assert!(!matches_in(&list, "https://x.test/x", PAGE, true));
}

/// Match a URL to an expression, step by step as the standard has it.
fn matches_expression(expression: &str, url: &Url, origin: &Origin, is_redirected: bool) -> bool {
    let Origin::Tuple { scheme: origin_scheme, .. } = origin else { panic!("an opaque origin") };
    let scheme_matches = |part: &str| match &*part.to_ascii_lowercase() {
        part if part == url.scheme() => true,
        "http" | "wss" => url.scheme() == "https",
        "ws" => matches!(url.scheme(), "wss" | "http" | "https"),
        _ => false,
    };
    let source = match SourceExpression::parse(expression) {
        None => return false,
        Some(SourceExpression::Any) => return any_matches(url, origin),
        Some(SourceExpression::SelfOrigin) => return self_matches(url, origin),
        Some(SourceExpression::Scheme(scheme)) => return scheme_matches(scheme),
        Some(SourceExpression::Host(source)) => source,
    };
    let Some(Host::Domain(host)) = url.host() else { return false };
    let host_matches = match source.host_part {
        HostPart::Any => true,
        HostPart::Domain(domain) => domain.eq_ignore_ascii_case(host),
        HostPart::SubdomainsOf(domain) => {
            host.to_ascii_lowercase().ends_with(&format!(".{}", domain.to_ascii_lowercase()))
        }
    };
    let port_matches = match source.port_part {
        PortPart::Any => true,
        PortPart::Default => url.port().is_none(),
        PortPart::Number(number) => url.port_or_known_default() == Some(number),
    };
    let decoded = |path: &str| -> Vec<Vec<u8>> {
        path.split('/').map(|piece| percent_decode(piece.as_bytes()).collect()).collect()
    };
    let (mut path, of_url) = (decoded(source.path_part), decoded(url.path()));
    let path_matches = if is_redirected || source.path_part.is_empty() {
        true
    } else if source.path_part.ends_with('/') {
        let is_long_enough = path.len() <= of_url.len();
        path.pop();
        is_long_enough && of_url.starts_with(&path)
    } else {
        path == of_url
    };
    scheme_matches(source.scheme_part.unwrap_or(origin_scheme))
        && host_matches
        && port_matches
        && path_matches
}

/// A source expression or a URL, made of few parts, so that many pairs match.
fn text(
    scheme: &'static str,
    host: &'static str,
    port: &'static str,
    path: &'static str,
) -> impl Strategy<Value = String> {
    let one_of =
        |parts: &'static str| proptest::sample::select(parts.split(' ').collect::<Vec<_>>());
    (one_of(scheme), one_of(host), one_of(port), one_of(path))
        .prop_map(|(scheme, host, port, path)| format!("{scheme}{host}{port}{path}"))
}

proptest! {
    #[test]
    fn an_index_matches_what_one_of_its_expressions_matches(
        expressions in proptest::collection::vec(
            prop_oneof![
                text(
                    " http:// https:// WS:// x://",
                    "a.test b.test *.test *.a.test *.b.a.test * A.test. 1.2.3.4 localhost",
                    " :443 :80 :81 :*",
                    " / /x /x/ /x/y /X /%78 /x%2Fy /x//",
                ),
                proptest::sample::select(vec!["*", "'self'", "https:", "ws:", "x:", "'none'"])
                    .prop_map(str::to_owned),
            ],
            0..4,
        ),
        url in text(
            "http:// https:// wss:// x://",
            "a.test b.test b.a.test c.b.a.test a.test. 1.2.3.4 test",
            " :443 :80 :81",
            " / /x /x/ /x/y /x/y/z /X /x%2fy /x//y",
        ),
        is_redirected: bool,
    ) {
        let url = Url::parse(&url).unwrap();
        for page in ["https://a.test/", "http://a.test:81/", "http://1.2.3.4/"] {
            let origin = Origin::of(&Url::parse(page).unwrap(), Nonce::from_u128(1));
            let expected =
                expressions.iter().any(|it| matches_expression(it, &url, &origin, is_redirected));
            let list = SourceList::new(expressions.iter().map(String::as_str));
            prop_assert_eq!(list.matches(&url, &origin, is_redirected), expected);
        }
    }
}
