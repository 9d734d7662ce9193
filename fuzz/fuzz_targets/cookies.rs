//! Cookies from servers and from scripts, over time: `Set-Cookie`, `document.cookie` and what is sent.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sendbeacon_cookies::{AccessContext, CookieJar, Limits, SameSiteMode, serialize_cookies};
use url::Url;

const HOSTS: [&str; 6] = ["a.test", "x.a.test", "b.test", "co.uk", "127.0.0.1", "localhost"];

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    host: usize,
    path: &'a str,
    is_secure: bool,
    is_script: bool,
    same_site: u8,
    partition: Option<bool>,
    /// The cookie to store. `None`: cookies are retrieved.
    set_cookie: Option<&'a [u8]>,
    seconds: u32,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let limits = Limits::default().with_cookies_per_site(5).with_cookies(8);
    let mut jar = CookieJar::new(limits).expect("limits within bounds");
    let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    for step in steps {
        now += Duration::from_secs(step.seconds.into());
        let scheme = if step.is_secure { "https" } else { "http" };
        let mut url =
            Url::parse(&format!("{scheme}://{}/", HOSTS[step.host % HOSTS.len()])).expect("a URL");
        url.set_path(step.path);
        let same_site = match step.same_site % 3 {
            0 => SameSiteMode::StrictOrLess,
            1 => SameSiteMode::LaxOrLess,
            _ => SameSiteMode::UnsetOrLess,
        };
        let context = AccessContext::for_url(&url)
            .expect("the URL has a host")
            .with_http_only_allowed(!step.is_script)
            .with_same_site(same_site)
            .with_partition(step.partition.map(|it| if it { "https://a.test" } else { "x" }));
        if let Some(set_cookie) = step.set_cookie {
            let _ = jar.store(set_cookie, &context, now);
            let unpartitioned = jar.iter().filter(|cookie| cookie.partition().is_none());
            assert!(unpartitioned.count() <= 8);
            continue;
        }
        let cookies = jar.retrieve(&context, now);
        for cookie in &cookies {
            assert!(step.is_secure || !cookie.secure());
            assert!(!step.is_script || !cookie.http_only());
            assert!(cookie.expiry_time().is_none_or(|at| at > now));
            assert!(cookie.partition() == context.partition || cookie.partition().is_none());
        }
        let sent = serialize_cookies(&cookies);
        assert!(!sent.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)), "{sent:?}");
        let header = jar.cookie_header(&context, now);
        assert_eq!(header.unwrap_or_default(), sent);
    }
});
