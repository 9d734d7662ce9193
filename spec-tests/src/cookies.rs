//! Cases about the cookie jar alone: which cookies are stored, until when, and which requests get them.

use std::time::{Duration, SystemTime};

use sendbeacon_cookies::{CookieJar, Limits, RetrieveContext, SameSiteMode, StoreContext};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::Failure;

/// The start of each case's clock, 2024-01-01T00:00:00Z, in seconds since 1970.
const START: u64 = 1_704_067_200;

/// A case: the steps that are taken with an empty jar.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CookieCase {
    cookies: Vec<CookieStep>,
}

/// One step of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CookieStep {
    /// Sets a cookie.
    Set(Set),
    /// Checks the cookies for a request or for script.
    Get(Get),
    /// Checks when the cookie with this name expires, in seconds since 1970. `null` means with the session.
    Expires { name: String, at: Option<i64> },
    /// Lets this many seconds pass.
    Advance(u64),
    /// Ends the session.
    EndSession,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// The value of `Set-Cookie`, or the value that script assigns to `document.cookie`.
    cookie: String,
    #[serde(default = "page")]
    at: Url,
    #[serde(default)]
    by_script: bool,
    #[serde(default)]
    cross_site: bool,
    partition: Option<String>,
    #[serde(default)]
    third_parties_blocked: bool,
    /// The reason for which the jar must not store the cookie; `null` if it must store it.
    rejected: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    #[serde(default = "page")]
    at: Url,
    #[serde(default)]
    by_script: bool,
    #[serde(default)]
    cross_site: bool,
    /// Whether the request is a navigation.
    #[serde(default)]
    navigation: bool,
    partition: Option<String>,
    #[serde(default)]
    third_parties_blocked: bool,
    /// The expected `Cookie` header; `null` if there are no cookies.
    cookie: Option<String>,
}

fn page() -> Url {
    Url::parse("https://www.example.test/dir/page").expect("a valid URL")
}

impl CookieCase {
    pub(crate) fn parse(fields: Map<String, Value>) -> Result<Self, Failure> {
        let case: Self =
            serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
        let checks =
            |step: &CookieStep| matches!(step, CookieStep::Get(_) | CookieStep::Expires { .. });
        if case.cookies.iter().any(checks) {
            Ok(case)
        } else {
            Err("the case checks nothing".to_owned())
        }
    }

    pub(crate) fn run(&self, failures: &mut Vec<Failure>) {
        let mut jar = CookieJar::new(Limits::default());
        let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
        for step in &self.cookies {
            let failure = match step {
                CookieStep::Set(set) => set.run(&mut jar, now),
                CookieStep::Get(get) => get.run(&mut jar, now),
                CookieStep::Expires { name, at } => check_expiry(&jar, name, *at),
                CookieStep::Advance(seconds) => {
                    now += Duration::from_secs(*seconds);
                    None
                }
                CookieStep::EndSession => {
                    jar.end_session();
                    None
                }
            };
            failures.extend(failure);
        }
    }
}

impl Set {
    fn run(&self, jar: &mut CookieJar, now: SystemTime) -> Option<Failure> {
        let for_url = StoreContext::for_url(&self.at)?;
        let context = StoreContext {
            http_only_allowed: !self.by_script,
            same_site_strict_or_lax_allowed: !self.cross_site,
            partition: self.partition.as_deref(),
            unpartitioned_allowed: !self.third_parties_blocked,
            ..for_url
        };
        let result = jar.store(self.cookie.as_bytes(), &context, now);
        let rejected = result.err().map(|reason| format!("{reason:?}"));
        (rejected != self.rejected).then(|| {
            format!("{:?} is rejected for {rejected:?}, expected {:?}", self.cookie, self.rejected)
        })
    }
}

impl Get {
    fn run(&self, jar: &mut CookieJar, now: SystemTime) -> Option<Failure> {
        let for_url = RetrieveContext::for_url(&self.at)?;
        let context = RetrieveContext {
            http_only_allowed: !self.by_script,
            same_site: match (self.cross_site, self.navigation) {
                (false, _) => SameSiteMode::StrictOrLess,
                (true, true) => SameSiteMode::LaxOrLess,
                (true, false) => SameSiteMode::UnsetOrLess,
            },
            partition: self.partition.as_deref(),
            unpartitioned_allowed: !self.third_parties_blocked,
            ..for_url
        };
        let cookie = jar.cookie_header(&context, now);
        let cookie = cookie.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (cookie != self.cookie)
            .then(|| format!("{} gets {cookie:?}, expected {:?}", self.at, self.cookie))
    }
}

fn check_expiry(jar: &CookieJar, name: &str, at: Option<i64>) -> Option<Failure> {
    let Some(cookie) = jar.iter().find(|cookie| cookie.name() == name.as_bytes()) else {
        return Some(format!("there is no cookie {name}"));
    };
    let seconds =
        cookie.expiry_time().map(|time| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_secs().cast_signed(),
            Err(before) => -before.duration().as_secs().cast_signed(),
        });
    (seconds != at).then(|| format!("{name} expires at {seconds:?}, expected {at:?}"))
}
