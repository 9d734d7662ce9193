//! Cases about the cookie jar alone: which cookies are stored, when they expire, and who gets them.

use std::time::{Duration, SystemTime};

use sendbeacon_cookies::{AccessContext, CookieJar, SameSiteMode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::Failure;

/// The time at which every case begins, in seconds after the epoch: 2024-01-01T00:00:00Z.
const START: u64 = 1_704_067_200;

/// The operations on a new jar, in order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CookieCase {
    cookies: Vec<CookieStep>,
}

/// One operation or check.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CookieStep {
    /// Sets a cookie.
    Set(Set),
    /// Checks the cookies for a request or for script.
    Get(Get),
    /// Checks when the cookie of this name expires, in seconds after the epoch; null is the end of the
    /// session.
    Expires { name: String, at: Option<i64> },
    /// Moves the clock forward by this number of seconds.
    Advance(u64),
    /// Ends the session.
    EndSession,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// The value of `Set-Cookie`, or the string that script assigns to `document.cookie`.
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
    /// The reason why the jar rejects the cookie; null if the jar stores it.
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
    /// Whether the request is a top-level navigation with GET.
    #[serde(default)]
    navigation: bool,
    partition: Option<String>,
    #[serde(default)]
    third_parties_blocked: bool,
    /// The expected value of the `Cookie` header; null if there are no cookies.
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
        let mut jar = CookieJar::default();
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
        let mode =
            if self.cross_site { SameSiteMode::UnsetOrLess } else { SameSiteMode::StrictOrLess };
        let context = AccessContext::for_url(&self.at)?
            .with_http_only_allowed(!self.by_script)
            .with_same_site(mode)
            .with_partition(self.partition.as_deref())
            .with_unpartitioned_allowed(!self.third_parties_blocked);
        let result = jar.store(self.cookie.as_bytes(), &context, now);
        let rejected = result.err().map(|reason| format!("{reason:?}"));
        (rejected != self.rejected).then(|| {
            format!("the result of {:?} is {rejected:?}, and not {:?}", self.cookie, self.rejected)
        })
    }
}

impl Get {
    fn run(&self, jar: &mut CookieJar, now: SystemTime) -> Option<Failure> {
        let mode = match (self.cross_site, self.navigation) {
            (false, _) => SameSiteMode::StrictOrLess,
            (true, true) => SameSiteMode::LaxOrLess,
            (true, false) => SameSiteMode::UnsetOrLess,
        };
        let context = AccessContext::for_url(&self.at)?
            .with_http_only_allowed(!self.by_script)
            .with_same_site(mode)
            .with_partition(self.partition.as_deref())
            .with_unpartitioned_allowed(!self.third_parties_blocked);
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
