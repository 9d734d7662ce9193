//! Tests what servers and scripts see of a jar. A file names the web platform tests of the same
//! behaviour.

mod attributes;
mod auto_traits;
mod domains;
mod limits;
mod partitions;
mod prefixes;
mod properties;
mod same_site;
mod secure;
mod syntax;

use std::time::{Duration, SystemTime};

use sendbeacon_cookies::{AccessContext, CookieJar, Limits, Rejected, SameSiteMode};
use url::Url;

/// The time at which each test begins: a day in 2026.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000)
}

fn url(input: &str) -> Url {
    Url::parse(input).unwrap()
}

/// A request to `url` or its response, whose initiator is on another site.
fn cross_site(url: &Url) -> AccessContext<'_> {
    AccessContext::for_url(url).unwrap()
}

/// A request to `url` or its response, whose initiator is on the same site.
fn same_site(url: &Url) -> AccessContext<'_> {
    cross_site(url).with_same_site(SameSiteMode::StrictOrLess)
}

/// A script in a document at `url`.
fn script(url: &Url) -> AccessContext<'_> {
    same_site(url).with_http_only_allowed(false)
}

/// A jar with a clock, and shortcuts for requests and scripts.
struct Profile {
    jar: CookieJar,
    now: SystemTime,
}

impl Profile {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        Self { jar: CookieJar::new(limits).unwrap(), now: start() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// A same-site response from `from` sets a cookie.
    fn set(&mut self, from: &str, set_cookie: &str) -> Result<(), Rejected> {
        self.jar.store(set_cookie.as_bytes(), &same_site(&url(from)), self.now)
    }

    /// A document at `from` sets `document.cookie`.
    fn script_sets(&mut self, from: &str, set_cookie: &str) -> Result<(), Rejected> {
        let url = url(from);
        self.jar.store(set_cookie.as_bytes(), &script(&url), self.now)
    }

    /// The `Cookie` header of a same-site request to `to`.
    fn sent(&mut self, to: &str) -> String {
        let header = self.jar.cookie_header(&same_site(&url(to)), self.now);
        String::from_utf8(header.unwrap_or_default().into()).unwrap()
    }

    /// The value of `document.cookie` in a document at `at`.
    fn script_sees(&mut self, at: &str) -> String {
        let url = url(at);
        let value = self.jar.cookie_header(&script(&url), self.now);
        String::from_utf8(value.unwrap_or_default().into()).unwrap()
    }
}

/// The `Cookie` header of a request to `url`, after its responses have set `cookies`. Some of them may be
/// rejected.
fn echo(url: &str, cookies: &[&str]) -> String {
    let mut profile = Profile::new();
    for cookie in cookies {
        let _ = profile.set(url, cookie);
    }
    profile.sent(url)
}
