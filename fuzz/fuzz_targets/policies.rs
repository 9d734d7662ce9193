//! The policies of a page: Content Security Policy, Permissions Policy and the `allow` attribute.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::{
    ContainerPolicy, CspDisposition, CspList, Nonce, Origin, PermissionsPolicy, PolicyFeature,
};
use url::Url;

const DIRECTIVES: [&str; 5] =
    ["connect-src", "img-src", "frame-src", "script-src-elem", "font-src"];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    csp: &'a str,
    permissions_policy: Vec<&'a [u8]>,
    allow: &'a str,
    url: &'a str,
    directive: usize,
}

fuzz_target!(|input: Input<'_>| {
    let page = Url::parse("https://a.test/d/page").expect("a URL");
    let Ok(url) = page.join(input.url) else { return };
    let origin = Origin::of(&page, Nonce::from_u128(1));
    let directive = DIRECTIVES[input.directive % DIRECTIVES.len()];

    let mut list = CspList::new(&origin);
    list.push_header(input.csp, CspDisposition::Enforce);
    let violations = list.violations_of(directive, &url);
    for violation in &violations {
        // What a report says of the policy is a policy that blocks the same.
        let mut again = CspList::new(&origin);
        again.push_header(&violation.original_policy, CspDisposition::Enforce);
        assert_eq!(again.violations_of(directive, &url).len(), 1, "{violation:?}");
    }
    let mut meta = CspList::new(&origin);
    meta.push_meta(input.csp);
    assert!(meta.violations_of(directive, &url).len() <= 1, "a <meta> has one policy");

    let mut headers = HeaderMap::new();
    for value in input.permissions_policy {
        headers.extend(
            HeaderValue::from_bytes(value)
                .ok()
                .map(|value| (http::HeaderName::from_static("permissions-policy"), value)),
        );
    }
    let policy = PermissionsPolicy::top_level(&origin, &headers);
    let other = Origin::of(&url, Nonce::from_u128(2));
    let container = ContainerPolicy::new(&policy, &origin, input.allow, &other);
    let nested = container.permissions_policy(&other, &HeaderMap::new());
    for feature in [PolicyFeature::DeferredFetch, PolicyFeature::LocalNetwork] {
        // A document never has more than its container.
        let in_page = policy.get_feature_value_for_origin(feature, &origin);
        assert!(in_page || !nested.get_feature_value_for_origin(feature, &other));
    }
});
