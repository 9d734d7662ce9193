//! Properties that hold for all cookies, operations and clocks.

use proptest::prelude::*;
use sendbeacon_cookies::{ClearContext, Cookie, serialize_cookies};

use super::*;

/// A `Set-Cookie` value made of parts that have a meaning.
fn likely_cookie() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            "a",
            "b",
            "=",
            ";",
            " ",
            "\t",
            "Path=/",
            "Path=/a/b",
            "Domain=example.org",
            "Domain=.org",
            "Domain=",
            "Secure",
            "HttpOnly",
            "SameSite=None",
            "SameSite=Strict",
            "Partitioned",
            "Max-Age=5",
            "Max-Age=-1",
            "Max-Age=99999999999999999999",
            "__Host-",
            "__secure-x",
            "Expires=1 Jan 1601 00:00:00",
            "Expires=31 Dec 9999 23:59:59",
        ])
        .prop_map(|part| part.as_bytes().to_vec()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.join(&b';'))
}

#[derive(Clone, Debug)]
struct Operation {
    cookie: Vec<u8>,
    url: &'static str,
    partition: Option<&'static str>,
    flags: [bool; 4],
    kind: u8,
    seconds: u32,
}

fn operation() -> impl Strategy<Value = Operation> {
    let cookie = prop_oneof![
        likely_cookie(),
        "[a-h]=[a-z]{0,9}(; Secure)?(; Partitioned)?(; Max-Age=[0-9])?"
            .prop_map(String::into_bytes),
    ];
    let url = prop::sample::select(vec![
        "https://example.org/",
        "http://example.org/a/b",
        "https://www.example.org/a/",
        "https://example.com/",
        "http://127.0.0.1/",
        "http://[::1]/x",
        "https://github.io/",
    ]);
    let partition = prop::sample::select(vec![None, Some("a"), Some("b"), Some("")]);
    (cookie, url, partition, any::<[bool; 4]>(), 0_u8..16, 0_u32..4).prop_map(
        |(cookie, url, partition, flags, kind, seconds)| Operation {
            cookie,
            url,
            partition,
            flags,
            kind,
            seconds,
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_rejected_or_give_a_valid_header_value(
        cookie in prop_oneof![prop::collection::vec(any::<u8>(), 0..64), likely_cookie()],
    ) {
        let mut jar = CookieJar::default();
        let url = url("https://www.example.org/a/b/c");
        let context = same_site(&url).with_partition(Some("p"));
        let stored = jar.store(&cookie, &context, start());
        let cookies: Vec<_> = jar.iter().collect();
        prop_assert!(stored.is_ok() || cookies.is_empty());
        let value = serialize_cookies(&cookies);
        prop_assert!(value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()));
        prop_assert!(!value.contains(&b';'));
        prop_assert_eq!(value.trim_ascii(), &value[..]);
    }

    #[test]
    fn a_jar_stays_within_its_limits(operations in prop::collection::vec(operation(), 1..80)) {
        let limits = Limits::default()
            .with_cookies_per_site(4)
            .with_cookies(7)
            .with_partitioned_cookies_per_site(3)
            .with_partitioned_bytes_per_site(20)
            .with_partitioned_cookies(5)
            .with_max_age(Duration::from_secs(10));
        let mut jar = CookieJar::new(limits).unwrap();
        let mut now = start();
        for operation in operations {
            let Operation { cookie, url: from, partition, flags, kind, seconds } = operation;
            now += Duration::from_secs(seconds.into());
            let url = url(from);
            let [http_only_allowed, is_same_site, unpartitioned_allowed, _] = flags;
            let context = same_site(&url)
                .with_http_only_allowed(http_only_allowed)
                .with_partition(partition)
                .with_unpartitioned_allowed(unpartitioned_allowed);
            match kind {
                0 => {
                    let host = url.host().unwrap();
                    let before = jar.len();
                    let context = ClearContext::new(host)
                        .with_partition(partition)
                        .with_unpartitioned_allowed(unpartitioned_allowed);
                    let cleared = jar.clear(&context);
                    prop_assert_eq!(before, jar.len() + cleared);
                }
                1 => jar.end_session(),
                2..5 => {
                    for cookie in jar.retrieve(&context, now) {
                        prop_assert!(cookie.expiry_time().is_none_or(|expiry| expiry > now));
                        prop_assert!(cookie.partition().is_none() || cookie.partition() == partition);
                        prop_assert!(unpartitioned_allowed || cookie.partition().is_some());
                        prop_assert!(http_only_allowed || !cookie.http_only());
                        prop_assert!(!cookie.secure() || url.scheme() == "https");
                    }
                }
                _ => {
                    let mode = if is_same_site {
                        SameSiteMode::StrictOrLess
                    } else {
                        SameSiteMode::UnsetOrLess
                    };
                    let context = context.with_same_site(mode);
                    let is_kept = |cookie: &&Cookie| {
                        cookie.expiry_time().is_none_or(|expiry| expiry > now)
                    };
                    let before: Vec<_> = jar.iter().filter(is_kept).cloned().collect();
                    if jar.store(&cookie, &context, now).is_err() {
                        prop_assert!(jar.iter().filter(is_kept).eq(&before), "a refused cookie changes nothing");
                    }
                }
            }
            let unpartitioned = jar.iter().filter(|cookie| cookie.partition().is_none()).count();
            prop_assert!(unpartitioned <= limits.cookies);
            prop_assert!(jar.len() - unpartitioned <= limits.partitioned_cookies);
            for site in ["example.org", "example.com", "127.0.0.1", "[::1]", "github.io"] {
                for partition in [None, Some("a"), Some("b"), Some("")] {
                    let cookies = jar.iter().filter(|cookie| {
                        cookie.host().to_string().ends_with(site) && cookie.partition() == partition
                    });
                    let (count, bytes) = cookies.fold((0, 0), |(count, bytes), cookie| {
                        (count + 1, bytes + cookie.name().len() + cookie.value().len())
                    });
                    if partition.is_none() {
                        prop_assert!(count <= limits.cookies_per_site);
                    } else {
                        prop_assert!(count <= limits.partitioned_cookies_per_site);
                        prop_assert!(bytes <= limits.partitioned_bytes_per_site);
                    }
                }
            }
            let latest = now + limits.max_age;
            prop_assert!(jar.iter().all(|cookie| cookie.expiry_time().is_none_or(|e| e <= latest)));
        }
    }

    #[test]
    fn a_header_is_the_one_that_a_search_would_find(
        operations in prop::collection::vec((operation(), 0_u64..4), 1..80),
    ) {
        let limits = || Limits::default().with_cookies_per_site(4).with_cookies(7).with_partitioned_cookies(3);
        let (mut jar, mut searched) = (CookieJar::new(limits()).unwrap(), CookieJar::new(limits()).unwrap());
        let mut now = start();
        for (operation, back) in operations {
            let Operation { cookie, url: from, partition, flags, kind, seconds } = operation;
            // The clock may be set back.
            now = now + Duration::from_secs(seconds.into()) - Duration::from_secs(back / 3);
            let url = url(from);
            let [http_only_allowed, is_same_site, unpartitioned_allowed, _] = flags;
            let context = if is_same_site { same_site(&url) } else { cross_site(&url) };
            let context = context
                .with_http_only_allowed(http_only_allowed || kind > 10)
                .with_partition(partition)
                .with_unpartitioned_allowed(unpartitioned_allowed || kind > 6);
            match kind {
                0 => {
                    let context = ClearContext::new(url.host().unwrap()).with_partition(partition);
                    prop_assert_eq!(jar.clear(&context), searched.clear(&context));
                }
                1 if back == 0 => {
                    jar.end_session();
                    searched.end_session();
                }
                2 => drop((jar.retrieve(&context, now), searched.retrieve(&context, now))),
                3..7 => {
                    prop_assert_eq!(jar.store(&cookie, &context, now), searched.store(&cookie, &context, now));
                }
                // The jar remembers a header when it makes it for the second time, so the later calls may find an outdated one.
                _ => {
                    for time in [now, now, now + Duration::from_secs(3), now - Duration::from_secs(back)] {
                        let cookies = searched.retrieve(&context, time);
                        let header = (!cookies.is_empty()).then(|| serialize_cookies(&cookies));
                        let sent = jar.cookie_header(&context, time);
                        prop_assert_eq!(sent.as_deref(), header.as_deref());
                    }
                }
            }
            // Their last-access-times, too.
            prop_assert!(jar.iter().eq(searched.iter()));
        }
    }

    #[test]
    fn no_clock_makes_a_jar_panic(cookie in likely_cookie(), seconds in any::<u64>(), before in any::<bool>()) {
        let distance = Duration::from_secs(seconds);
        let now = if before {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        let mut jar = CookieJar::default();
        let url = url("https://example.org/");
        for now in [now.unwrap_or(SystemTime::UNIX_EPOCH), start(), SystemTime::UNIX_EPOCH] {
            let _ = jar.store(&cookie, &same_site(&url), now);
            let _ = jar.cookie_header(&same_site(&url), now);
        }
    }
}
