//! `SameSite`: WPT cookies/samesite, cookies/samesite-by-default.

use super::*;

const URL: &str = "https://example.org/";

fn sent_in(profile: &mut Profile, mode: SameSiteMode) -> String {
    let url = url(URL);
    let context = cross_site(&url).with_same_site(mode);
    String::from_utf8(profile.jar.cookie_header(&context, profile.now).unwrap_or_default().into())
        .unwrap()
}

/// The modes in which a cookie with these attributes is sent.
fn modes(attributes: &str) -> Vec<SameSiteMode> {
    let mut profile = Profile::new();
    profile.set(URL, &format!("a=b; Secure; {attributes}")).unwrap();
    let modes = [SameSiteMode::StrictOrLess, SameSiteMode::LaxOrLess, SameSiteMode::UnsetOrLess];
    modes.into_iter().filter(|&mode| sent_in(&mut profile, mode) == "a=b").collect()
}

#[test]
fn a_strict_cookie_is_only_sent_same_site() {
    assert_eq!(modes("SameSite=Strict"), [SameSiteMode::StrictOrLess]);
}

#[test]
fn a_lax_cookie_is_also_sent_with_cross_site_navigations() {
    assert_eq!(modes("SameSite=lax"), [SameSiteMode::StrictOrLess, SameSiteMode::LaxOrLess]);
}

#[test]
fn a_none_cookie_is_always_sent() {
    assert_eq!(modes("samesite=NONE").len(), 3);
}

#[test]
fn without_the_attribute_or_with_an_unknown_value_a_cookie_is_lax() {
    let lax = [SameSiteMode::StrictOrLess, SameSiteMode::LaxOrLess];
    for attributes in ["", "SameSite", "SameSite=", "SameSite=Unsupported", "SameSite=\"None\""] {
        assert_eq!(modes(attributes), lax, "{attributes}");
    }
}

#[test]
fn the_last_same_site_attribute_wins_even_if_unknown() {
    let lax = [SameSiteMode::StrictOrLess, SameSiteMode::LaxOrLess];
    assert_eq!(modes("SameSite=None; SameSite=Unsupported"), lax);
    assert_eq!(modes("SameSite=Strict; SameSite=Unsupported"), lax);
    assert_eq!(modes("SameSite=Strict; SameSite=Lax"), lax);
    assert_eq!(modes("SameSite=Lax; SameSite=Strict"), lax[..1]);
    assert_eq!(modes("SameSite=Unsupported; SameSite=None").len(), 3);
}

#[test]
fn a_new_cookie_is_not_sent_with_more_requests() {
    // "Lax-allowing-unsafe" would send the cookie with a cross-site POST for two minutes.
    assert_eq!(modes("").len(), 2);
}

#[test]
fn same_site_none_needs_secure() {
    let mut profile = Profile::new();
    assert_eq!(profile.set(URL, "a=b; SameSite=None"), Err(Rejected::SameSiteNoneWithoutSecure));
    assert_eq!(
        profile.set("http://example.org/", "a=b; SameSite=None"),
        Err(Rejected::SameSiteNoneWithoutSecure)
    );
}

#[test]
fn a_cross_site_response_can_only_set_same_site_none_cookies() {
    let mut jar = CookieJar::default();
    let url = url(URL);
    for attributes in
        ["", "SameSite=Strict", "SameSite=Lax", "SameSite=x", "SameSite=None; SameSite=x"]
    {
        let cookie = format!("a=b; Secure; {attributes}");
        assert_eq!(
            jar.store(cookie.as_bytes(), &cross_site(&url), start()),
            Err(Rejected::CrossSite)
        );
    }
    assert_eq!(jar.store(b"a=b; Secure; SameSite=None", &cross_site(&url), start()), Ok(()));
}
