//! Cookie store eviction.

use sendbeacon_cookies::InvalidLimits;

use super::*;

const URL: &str = "https://example.org/";

fn names(profile: &Profile) -> Vec<String> {
    let mut names: Vec<String> = profile
        .jar
        .iter()
        .map(|cookie| String::from_utf8(cookie.name().to_vec()).unwrap())
        .collect();
    names.sort();
    names
}

fn limits(cookies_per_site: usize, cookies: usize) -> Limits {
    Limits::default().with_cookies_per_site(cookies_per_site).with_cookies(cookies)
}

#[test]
fn a_site_has_at_most_180_cookies() {
    let mut profile = Profile::new();
    for number in 0..200 {
        profile.pass(1);
        profile.set(URL, &format!("n{number:03}=v")).unwrap();
    }
    let names = names(&profile);
    assert_eq!(names.len(), 180);
    assert_eq!(names[0], "n020");
}

#[test]
fn the_hosts_of_a_site_share_its_limit() {
    let mut profile = Profile::with_limits(limits(5, 100));
    for number in 0..20 {
        profile.set(&format!("https://h{number}.example.org/"), "a=b").unwrap();
        profile.set(&format!("https://h{number}.github.io/"), "a=b").unwrap();
    }
    assert_eq!(profile.jar.len(), 5 + 20);
}

#[test]
fn a_host_with_a_trailing_dot_is_of_another_site() {
    let mut profile = Profile::with_limits(limits(1, 100));
    profile.set("https://a.example.com/", "a=1").unwrap();
    profile.set("https://a.example.com./", "b=2").unwrap();
    assert_eq!(names(&profile), ["a", "b"]);
    profile.set("https://b.example.com./", "c=3").unwrap();
    assert_eq!(names(&profile), ["a", "c"]);
}

#[test]
fn insecure_cookies_are_evicted_first_then_the_least_recently_used() {
    let mut profile = Profile::with_limits(limits(3, 100));
    for cookie in ["s1=v; Secure", "i1=v; Path=/x", "i2=v; Path=/y", "s2=v; Secure"] {
        profile.pass(1);
        profile.set(URL, cookie).unwrap();
    }
    assert_eq!(names(&profile), ["i2", "s1", "s2"]);
    for cookie in ["s3=v; Secure; Path=/z", "s4=v; Secure; Path=/z"] {
        profile.pass(1);
        profile.set(URL, cookie).unwrap();
    }
    assert_eq!(names(&profile), ["s2", "s3", "s4"]);
    // A sent cookie counts as used.
    profile.pass(1);
    assert_eq!(profile.sent(URL), "s2=v");
    profile.pass(1);
    profile.set(URL, "s5=v; Secure").unwrap();
    assert_eq!(names(&profile), ["s2", "s4", "s5"]);
    // A new insecure cookie is evicted before the secure ones.
    profile.set(URL, "i3=v").unwrap();
    assert_eq!(names(&profile), ["s2", "s4", "s5"]);
}

#[test]
fn expired_cookies_are_removed_before_any_other() {
    let mut profile = Profile::with_limits(limits(2, 100));
    profile.set(URL, "a=1").unwrap();
    profile.set(URL, "b=1; Max-Age=5; Secure").unwrap();
    profile.pass(5);
    profile.set(URL, "c=1").unwrap();
    assert_eq!(names(&profile), ["a", "c"]);
}

#[test]
fn the_jar_evicts_the_least_recently_used_cookie() {
    let mut profile = Profile::with_limits(limits(100, 3));
    for site in 0..3 {
        profile.pass(1);
        profile.set(&format!("https://site{site}.example/"), &format!("c{site}=v")).unwrap();
    }
    profile.pass(1);
    assert_eq!(profile.sent("https://site0.example/"), "c0=v");
    profile.pass(1);
    profile.set("https://site3.example/", "c3=v").unwrap();
    assert_eq!(names(&profile), ["c0", "c2", "c3"]);
}

#[test]
fn a_jar_refuses_to_keep_cookies_for_more_than_400_days() {
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(CookieJar::new(Limits::default().with_max_age(400 * day)).is_ok());
    let result = CookieJar::new(Limits::default().with_max_age(401 * day));
    assert_eq!(result.unwrap_err(), InvalidLimits::MaxAge);
}

#[test]
fn a_jar_with_limits_of_zero_keeps_nothing() {
    let mut profile = Profile::with_limits(limits(0, 0));
    assert_eq!(profile.set(URL, "a=b"), Ok(()));
    assert!(profile.jar.is_empty());
}

#[test]
fn a_site_has_10_kib_in_each_partition() {
    let mut jar = CookieJar::default();
    let url = url(URL);
    for partition in ["a", "b"] {
        let context = same_site(&url).with_partition(Some(partition));
        for name in ["a", "b", "c"] {
            let cookie = format!("{name}={}; Secure; Partitioned", "v".repeat(4095));
            jar.store(cookie.as_bytes(), &context, start()).unwrap();
        }
    }
    let kept: Vec<_> = jar.iter().map(|cookie| (cookie.partition(), cookie.name())).collect();
    assert_eq!(
        kept,
        [(Some("a"), &b"b"[..]), (Some("a"), b"c"), (Some("b"), b"b"), (Some("b"), b"c")]
    );
}

#[test]
fn partitioned_cookies_have_limits_of_their_own() {
    let limits = limits(2, 2).with_partitioned_cookies_per_site(2).with_partitioned_cookies(3);
    let mut jar = CookieJar::new(limits).unwrap();
    let url = url(URL);
    let mut now = start();
    for partition in [None, Some("a"), Some("b"), Some("a")] {
        let context = same_site(&url).with_partition(partition);
        let attribute = if partition.is_some() { "; Partitioned" } else { "" };
        for name in ["a", "b", "c"] {
            now += Duration::from_secs(1);
            let cookie = format!("{name}=v; Secure{attribute}");
            jar.store(cookie.as_bytes(), &context, now).unwrap();
        }
    }
    let count = |partition| jar.iter().filter(|cookie| cookie.partition() == partition).count();
    assert_eq!((count(None), count(Some("a")), count(Some("b"))), (2, 2, 1));
}
