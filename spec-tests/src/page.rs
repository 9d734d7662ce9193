//! Cases about one page, and the page with its profile.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use sendbeacon::{MemoryCookieStore, ThirdPartyCookies};
use sendbeacon_fetch::{
    Client, CspViolation, Ledger, Nonce,
    fetch::{Observation, Observer, Profile},
    host::{Answer, CookieContext, CookieStore, SameSiteMode},
};
use sendbeacon_testkit::{clock::VirtualClock, network::ScriptedNetwork};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Failure,
    server::{Rule, script},
    setup::{PageSetup, header_value},
    step::{Held, Step},
};

/// The fields of a case that do not belong to its step, if it has one step only.
const CASE_FIELDS: [&str; 6] =
    ["page", "jar", "third_party_cookies", "servers", "steps", "cookies_after"];

/// A case: a page, and the steps that are taken on it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageCase {
    page: PageSetup,
    /// Cookies that are in the jar at the start.
    #[serde(default)]
    jar: Vec<SetCookie>,
    #[serde(default)]
    third_party_cookies: bool,
    #[serde(default)]
    servers: Vec<Rule>,
    steps: Vec<Step>,
    #[serde(default)]
    cookies_after: Vec<CookieAfter>,
}

/// Cookies that the server of `url` has set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetCookie {
    url: Url,
    /// The top-level site under which the cookies are set. Default: that of `url`.
    top_level: Option<Url>,
    set: Vec<String>,
}

/// The cookies that a request to `url` must have after the last step.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CookieAfter {
    url: Url,
    top_level: Option<Url>,
    cookie: Option<String>,
}

impl std::fmt::Debug for PageCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageCase({} steps)", self.steps.len())
    }
}

impl PageCase {
    /// Parses a case. A case with one step only may have the step's fields beside its own.
    pub(crate) fn parse(fields: Map<String, Value>) -> Result<Self, Failure> {
        let (mut case, step): (Map<_, _>, Map<_, _>) =
            fields.into_iter().partition(|(key, _)| CASE_FIELDS.contains(&key.as_str()));
        if !step.is_empty() {
            if case.contains_key("steps") {
                return Err(format!(
                    "the case has steps, and {:?} beside them",
                    step.keys().collect::<Vec<_>>()
                ));
            }
            case.insert("steps".to_owned(), vec![Value::Object(step)].into());
        }
        let case: Self = serde_json::from_value(case.into()).map_err(|error| error.to_string())?;
        if case.cookies_after.is_empty() && !case.steps.iter().any(Step::checks) {
            return Err("the case checks nothing".to_owned());
        }
        Ok(case)
    }

    pub(crate) fn run(&self, failures: &mut Vec<Failure>) {
        let mut page = Page::new(&self.page, self.servers.clone(), self.third_party_cookies);
        for SetCookie { url, top_level, set } in &self.jar {
            page.set_cookies(url, top_level.as_ref().unwrap_or(url), set);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let mut of_step = Vec::new();
            step.run(&mut page, &mut of_step);
            let numbered = |failure| format!("step {}: {failure}", at + 1);
            failures.extend(of_step.into_iter().map(numbered));
        }
        for CookieAfter { url, top_level, cookie } in &self.cookies_after {
            let now = page.cookies_for(url, top_level.as_ref().unwrap_or(url));
            if now != *cookie {
                failures.push(format!("{url} has the cookies {now:?}, expected {cookie:?}"));
            }
        }
    }
}

/// A page with a profile, a network and a clock of its own.
pub(crate) struct Page {
    pub(crate) client: Arc<Client>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) network: Arc<ScriptedNetwork>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) profile: Profile,
    pub(crate) observations: Observations,
    /// The requests that were admitted and are held back. Finished ones leave `None`.
    pub(crate) held: Vec<Held>,
    cookies: Arc<MemoryCookieStore>,
}

impl Page {
    pub(crate) fn new(setup: &PageSetup, servers: Vec<Rule>, third_party_cookies: bool) -> Self {
        let network = Arc::new(ScriptedNetwork::new(script(servers)));
        let clock = Arc::new(VirtualClock::default());
        let mut profile = Profile::new(
            Arc::clone(&network) as _,
            Arc::clone(&clock) as _,
            HeaderValue::from_static("test"),
        );
        let third_party =
            if third_party_cookies { ThirdPartyCookies::Allow } else { ThirdPartyCookies::Block };
        let cookies = Arc::new(MemoryCookieStore::new(third_party));
        profile.cookies = Arc::clone(&cookies) as _;
        profile.content_codings = true;
        Self {
            client: Arc::new(setup.client()),
            ledger: setup.ledger(),
            network,
            clock,
            profile,
            observations: Observations::default(),
            held: Vec::new(),
            cookies,
        }
    }

    /// Changes the settings object of the document.
    pub(crate) fn change(&mut self, setup: &PageSetup) {
        self.client = Arc::new(setup.client());
    }

    /// Replaces the document by another one, with a ledger of its own.
    pub(crate) fn navigate(&mut self, setup: &PageSetup) {
        self.change(setup);
        self.ledger = setup.ledger();
    }

    /// Stores cookies of the server of `url`.
    fn set_cookies(&self, url: &Url, top_level: &Url, set: &[String]) {
        let client = Client::new(top_level.clone(), Nonce::from_u128(4));
        let context = CookieContext::new(url, &client, SameSiteMode::StrictOrLess);
        let values = set.iter().map(|value| header_value(value)).collect();
        let _ = self.cookies.store(context, values);
    }

    /// The `Cookie` header of a request to `url`.
    fn cookies_for(&self, url: &Url, top_level: &Url) -> Option<String> {
        let client = Client::new(top_level.clone(), Nonce::from_u128(4));
        let context = CookieContext::new(url, &client, SameSiteMode::StrictOrLess);
        match self.cookies.retrieve(context) {
            Answer::Ready(value) => Some(String::from_utf8_lossy(value?.as_bytes()).into_owned()),
            Answer::Later(_) => None,
        }
    }
}

/// Keeps the observations of fetches.
#[derive(Default)]
pub(crate) struct Observations(Mutex<Vec<Observation>>);

impl Observations {
    /// Returns the violations since the last call.
    pub(crate) fn take_violations(&self) -> Vec<CspViolation> {
        let observed = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let violation = |observation| match observation {
            Observation::CspViolation(violation) => Some(*violation),
            _ => None,
        };
        observed.into_iter().filter_map(violation).collect()
    }
}

impl Observer for Observations {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    fn document_is_gone(&self) -> bool {
        true
    }
}
