//! Tests of the permissions policy.

use http::HeaderValue;

use super::*;

const FULL: PolicyFeature = PolicyFeature::DeferredFetch;
const MINIMAL: PolicyFeature = PolicyFeature::DeferredFetchMinimal;

fn origin(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap(), Nonce::from_u128(7))
}

fn top(header: &str) -> PermissionsPolicy {
    let mut headers = HeaderMap::new();
    headers.insert("permissions-policy", HeaderValue::from_bytes(header.as_bytes()).unwrap());
    PermissionsPolicy::top_level(&origin("https://top.test"), &headers)
}

fn allows(header: &str, feature: PolicyFeature, url: &str) -> bool {
    top(header).get_feature_value_for_origin(feature, &origin(url))
}

#[test]
fn a_header_lists_the_origins_that_may_use_a_feature() {
    for (header, url, allowed) in [
        ("", "https://top.test", true),
        ("deferred-fetch=()", "https://top.test", false),
        ("deferred-fetch=(self)", "https://top.test", true),
        ("deferred-fetch=self", "https://top.test", true),
        ("deferred-fetch=self", "https://b.test", false),
        ("deferred-fetch=*", "https://b.test", true),
        ("deferred-fetch=(*)", "data:,x", true),
        ("deferred-fetch=(\"https://b.test\")", "https://b.test", true),
        ("deferred-fetch=(\"https://b.test\")", "https://top.test", false),
        ("deferred-fetch=(self \"https://b.test\")", "https://b.test:8443", false),
        ("deferred-fetch=(\"https://b.test:8443\")", "https://b.test:8443", true),
        ("deferred-fetch=(\"https://b.test:99999\")", "https://b.test", false),
        ("deferred-fetch=(\"https://*.b.test\")", "https://x.b.test", true),
        ("deferred-fetch=(\"https://*.b.test\")", "https://b.test", false),
        ("deferred-fetch=(\"https:\")", "https://b.test", true),
        ("deferred-fetch=(\"'self'\" \"*; x\" \"a b\")", "https://top.test", false),
        ("deferred-fetch=\"https://b.test\"", "https://b.test", true),
        ("deferred-fetch=(1 \"https://b.test\" ?1);report-to=\"x\"", "https://b.test", true),
        ("deferred-fetch=none", "https://top.test", true),
        ("deferred-fetch", "https://top.test", true),
        ("deferred-fetch=()x", "https://top.test", true),
        ("deferred-fetch=(), deferred-fetch=(self)", "https://top.test", true),
        ("geolocation=()", "https://top.test", true),
    ] {
        assert_eq!(allows(header, FULL, url), allowed, "{header} {url}");
    }
    assert!(allows("deferred-fetch=()", MINIMAL, "https://top.test"));
    assert!(!allows("deferred-fetch-minimal=()", MINIMAL, "https://top.test"));
}

#[test]
fn two_headers_are_one_dictionary() {
    let values = ["deferred-fetch=()", "deferred-fetch-minimal=()"];
    let named = |value| ("permissions-policy".parse().unwrap(), HeaderValue::from_static(value));
    let top = origin("https://top.test");
    let policy = PermissionsPolicy::top_level(&top, &values.into_iter().map(named).collect());
    assert!(!policy.get_feature_value_for_origin(FULL, &top));
    assert!(!policy.get_feature_value_for_origin(MINIMAL, &top));
}

fn inherits(header: &str, allow: &str, feature: PolicyFeature, url: &str) -> bool {
    let (document, src) = (origin("https://top.test"), origin("https://src.test"));
    let policy = ContainerPolicy::new(&top(header), &document, allow, &src);
    policy.define_an_inherited_policy(feature, &origin(url))
}

#[test]
fn a_container_allows_no_more_than_its_own_document_may() {
    let all = "deferred-fetch=*";
    for (header, allow, url, allowed) in [
        ("", "", "https://top.test", true),
        ("", "", "https://src.test", false),
        (all, "", "https://src.test", false),
        (all, "deferred-fetch", "https://src.test", true),
        (all, " DEFERRED-FETCH ", "https://src.test", false),
        (all, "geolocation; deferred-fetch", "https://src.test", true),
        (all, "deferred-fetch", "https://else.test", false),
        (all, "deferred-fetch 'src'", "https://src.test", true),
        (all, "deferred-fetch 'SELF'", "https://top.test", true),
        (all, "deferred-fetch 'self'", "https://src.test", false),
        (all, "deferred-fetch *", "https://else.test", true),
        (all, "deferred-fetch 'none'", "https://top.test", false),
        (all, "deferred-fetch https://else.test/path", "https://else.test", true),
        (all, "deferred-fetch else.test data:,x", "https://else.test", false),
        (all, "deferred-fetch 'none'; deferred-fetch *", "https://src.test", true),
        ("deferred-fetch=self", "deferred-fetch", "https://src.test", false),
        ("", "deferred-fetch", "https://src.test", true),
        ("deferred-fetch=(\"https://src.test\")", "deferred-fetch", "https://src.test", false),
        ("deferred-fetch=()", "deferred-fetch *", "https://top.test", false),
    ] {
        assert_eq!(inherits(header, allow, FULL, url), allowed, "{header} {allow} {url}");
    }
    assert!(inherits("", "", MINIMAL, "https://src.test"));
    assert!(inherits("", "", MINIMAL, "data:,x"));
    assert!(!inherits("", "deferred-fetch-minimal 'none'", MINIMAL, "https://src.test"));
    assert!(!inherits("deferred-fetch-minimal=self", "", MINIMAL, "https://src.test"));
}

#[test]
fn containers_share_the_list_of_their_document() {
    let allowed = (0..1_000).map(|n| format!("\"https://{n}.test\"")).collect::<Vec<_>>();
    let policy = top(&format!("deferred-fetch=({})", allowed.join(" ")));
    let list = |policy: &PermissionsPolicy| match &policy.declared[FULL as usize] {
        Some(Allowlist::Some(list)) => Arc::clone(list),
        other => panic!("{other:?}"),
    };
    let document = origin("https://top.test");
    let container = ContainerPolicy::new(&policy, &document, "", &document);
    assert!(Arc::ptr_eq(&list(&policy), &list(&container.document_policy)));
    for (url, expected) in [("https://999.test", true), ("https://1000.test", false)] {
        assert_eq!(policy.get_feature_value_for_origin(FULL, &origin(url)), expected, "{url}");
    }
}

#[test]
fn a_nested_document_cannot_declare_a_feature_it_did_not_inherit() {
    let (document, src) = (origin("https://top.test"), origin("https://src.test"));
    let container = ContainerPolicy::new(&top(""), &document, "", &src);
    let mut headers = HeaderMap::new();
    let all = HeaderValue::from_static("deferred-fetch=*, deferred-fetch-minimal=(self)");
    headers.insert("permissions-policy", all);
    let policy = container.permissions_policy(&src, &headers);
    assert!(!policy.get_feature_value_for_origin(FULL, &src));
    assert!(policy.get_feature_value_for_origin(MINIMAL, &src));
    assert!(!policy.get_feature_value_for_origin(MINIMAL, &document));
}
