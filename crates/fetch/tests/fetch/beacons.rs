//! A beacon that uses the request of an earlier one again is fetched as a beacon whose request is made anew.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use http::HeaderValue;
use proptest::{collection::vec, option, prelude::*, sample::select};
use sendbeacon_fetch::{
    Client, CspDisposition, EmbedderPolicy, KeepaliveLimits, Ledger, NetworkError, Nonce,
    ReferrerPolicy, Request, ResponseSummary,
    beacon::send_beacon,
    fetch::{BeaconRequest, fetch, fetch_beacon},
    host::{
        Answer, CookieContext, CookieStore, NetworkRequest, ServiceWorkerAnswer, ServiceWorkers,
    },
};
use sendbeacon_testkit::{
    network::{complete, respond},
    random::Zeros,
};
use url::Url;

use crate::page::{CORS, PAGE, Page};

/// One step: a beacon, and what changes before it.
#[derive(Clone, Debug)]
struct Step {
    change: Change,
    client: usize,
    url: &'static str,
    /// The content type of the body, which is empty for a body without one.
    content_type: Option<&'static str>,
    body_length: usize,
    /// The response: its status, and a header. The status 0 is a network error.
    response: (u16, (&'static str, &'static str)),
    /// Whether the service worker fails.
    worker_fails: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Time(u64),
    ReferrerPolicy(ReferrerPolicy),
    Csp(&'static str, CspDisposition),
    EmbedderPolicy(EmbedderPolicy),
    UpgradeInsecureRequests,
    ClientHeaders,
    NewDocument,
    UserAgent(&'static str),
    AcceptLanguage(Option<&'static str>),
    BeaconPriority(Option<&'static str>),
    ExtraHeader(&'static str, &'static str),
    NoExtraHeaders,
}

fn change() -> impl Strategy<Value = Change> {
    use CspDisposition::{Enforce, Report};
    let csp = select(vec![
        ("connect-src *", Enforce),
        ("connect-src 'self'", Enforce),
        ("connect-src b.test", Report),
        ("connect-src b.test/x", Report),
        ("connect-src 'self' https://b.test/z", Enforce),
    ]);
    let policies = vec![
        ReferrerPolicy::NoReferrer,
        ReferrerPolicy::UnsafeUrl,
        ReferrerPolicy::Origin,
        ReferrerPolicy::SameOrigin,
        ReferrerPolicy::StrictOrigin,
        ReferrerPolicy::NoReferrerWhenDowngrade,
    ];
    let value = |values: &[&'static str]| select(values.to_vec());
    prop_oneof![
        12 => Just(Change::Nothing),
        2 => select(vec![1, 20, 4000]).prop_map(Change::Time),
        1 => select(policies).prop_map(Change::ReferrerPolicy),
        1 => csp.prop_map(|(policy, disposition)| Change::Csp(policy, disposition)),
        1 => select(vec![EmbedderPolicy::RequireCorp, EmbedderPolicy::Credentialless])
            .prop_map(Change::EmbedderPolicy),
        1 => Just(Change::UpgradeInsecureRequests),
        1 => Just(Change::ClientHeaders),
        1 => Just(Change::NewDocument),
        1 => value(&["one", "two"]).prop_map(Change::UserAgent),
        1 => option::of(value(&["de", "fr"])).prop_map(Change::AcceptLanguage),
        1 => option::of(value(&["u=6", "u=5"])).prop_map(Change::BeaconPriority),
        1 => value(&["dnt", "cookie", "accept-encoding"]).prop_map(|name| Change::ExtraHeader(name, "1")),
        1 => Just(Change::ExtraHeader("dnt", "0")),
        1 => Just(Change::NoExtraHeaders),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let urls = vec![
        "https://a.test/x",
        "https://a.test/x#f",
        "https://a.test/z",
        "https://b.test/x",
        "https://b.test/z?q",
        "https://user@b.test/x",
        "http://b.test/x",
        "https://c.test/x",
    ];
    let types = vec!["text/plain;charset=UTF-8", "application/json", ""];
    let headers = vec![
        ("date", "now"),
        ("set-cookie", "c=1"),
        ("strict-transport-security", "max-age=10"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("timing-allow-origin", "*"),
        ("content-type", "text/html"),
        ("location", "https://b.test/y"),
        ("server-timing", "db;dur=1"),
        ("clear-site-data", "\"cookies\""),
    ];
    let status = prop_oneof![6 => Just(204), 1 => select(vec![0, 200, 302, 307, 421, 500])];
    let of_beacon = (0..2_usize, select(urls), option::of(select(types)), 0..20_usize);
    let answers = (status, select(headers), prop::bool::weighted(0.05));
    (change(), of_beacon, answers).prop_map(|(change, of_beacon, answers)| {
        let (client, url, content_type, body_length) = of_beacon;
        let (status, header, worker_fails) = answers;
        let response = (status, header);
        Step { change, client, url, content_type, body_length, response, worker_fails }
    })
}

/// A service worker that may fail, and what it was asked.
#[derive(Default)]
struct Worker {
    fails: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl ServiceWorkers for Worker {
    fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer> {
        let Request { method, headers, referrer, mode, .. } = request;
        let url = request.current_url();
        self.asked
            .lock()
            .unwrap()
            .push(format!("{method} {url} {headers:?} {referrer:?} {mode:?}"));
        let fails = self.fails.load(SeqCst);
        Answer::Ready(if fails { ServiceWorkerAnswer::Error } else { ServiceWorkerAnswer::Network })
    }
}

/// A cookie that any response sets for all origins.
#[derive(Default)]
struct OneCookie(Mutex<Option<HeaderValue>>);

impl CookieStore for OneCookie {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        Answer::Ready(self.0.lock().unwrap().clone())
    }

    fn store(&self, _: CookieContext<'_>, mut set_cookie: Vec<HeaderValue>) -> Answer<()> {
        let mut cookie = self.0.lock().unwrap();
        // The next response that sets it removes it.
        *cookie = if cookie.is_some() { None } else { set_cookie.pop() };
        Answer::Ready(())
    }
}

/// Everything that a beacon has led to.
type Effects = (Vec<String>, Vec<String>, Result<String, NetworkError>);

/// A page whose network answers as the step says.
struct World {
    page: Page,
    response: Arc<Mutex<(u16, (&'static str, &'static str))>>,
    worker: Arc<Worker>,
}

impl World {
    fn new() -> Self {
        let response = Arc::new(Mutex::new((204, ("date", "now"))));
        let of_network = Arc::clone(&response);
        let mut page = Page::new(PAGE, move |request: &NetworkRequest| {
            let (status, header) = *of_network.lock().unwrap();
            // A redirect or a 421 has one answer only, so that the fetch ends.
            let is_second = request.url.path() == "/y" || request.force_new_connection;
            let is_preflight = request.method == "OPTIONS";
            let status = if is_second || is_preflight { 204 } else { status };
            if status == 0 {
                return Err(NetworkError::Connect("refused".into()));
            }
            respond(status, &[&CORS[..], &[header]].concat())
        });
        page.profile.cookies = Arc::new(OneCookie::default());
        let worker = Arc::new(Worker::default());
        page.profile.service_workers = Arc::clone(&worker) as _;
        Self { page, response, worker }
    }

    fn change(&mut self, change: &Change) {
        let profile = &mut self.page.profile;
        match change {
            Change::Time(seconds) => self.page.clock.advance(Duration::from_secs(*seconds)),
            Change::UserAgent(value) => profile.user_agent = HeaderValue::from_static(value),
            Change::AcceptLanguage(value) => {
                profile.accept_language = value.map(HeaderValue::from_static);
            }
            Change::BeaconPriority(value) => {
                profile.beacon_priority = value.map(HeaderValue::from_static);
            }
            Change::ExtraHeader(name, value) => {
                profile.extra_headers.insert(*name, HeaderValue::from_static(value));
            }
            Change::NoExtraHeaders => profile.extra_headers.clear(),
            _ => {}
        }
    }

    fn effects(&mut self, fetched: Result<ResponseSummary, NetworkError>) -> Effects {
        // NB: this drops their clients, so that the next change of a client may be one in its place.
        let sent = self.page.network.take_sent();
        let sent = sent.iter().map(|it| {
            let NetworkRequest { method, url, headers, body, connection, .. } = it;
            format!(
                "{method} {url} {headers:?} {body:?} {connection:?} {}",
                it.force_new_connection
            )
        });
        let observations = self.page.take_observations();
        let observations = observations.iter().map(|it| format!("{it:?}"));
        let asked = std::mem::take(&mut *self.worker.asked.lock().unwrap());
        (sent.collect(), observations.chain(asked).collect(), fetched.map(|it| format!("{it:?}")))
    }
}

/// Changes the settings object of a document.
fn change_client(client: &mut Arc<Client>, change: &Change) {
    match change {
        Change::ReferrerPolicy(policy) => Arc::make_mut(client).referrer_policy = *policy,
        Change::Csp(policy, disposition) => {
            Arc::make_mut(client).csp_list.push_header(policy, *disposition);
        }
        Change::EmbedderPolicy(policy) => Arc::make_mut(client).embedder_policy = *policy,
        Change::UpgradeInsecureRequests => Arc::make_mut(client).upgrade_insecure_requests = true,
        Change::ClientHeaders => {
            let client = Arc::make_mut(client);
            client.user_agent = Some(HeaderValue::from_static("page's"));
            client.accept_language = Some(HeaderValue::from_static("it"));
        }
        Change::NewDocument => *client = Arc::new(Client::clone(client)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_beacon_with_an_earlier_request_has_the_effects_of_one_with_its_own(
        steps in vec((step(), 1..4_usize), 1..25),
    ) {
        let page = |url: &str, nonce| {
            Arc::new(Client::new(Url::parse(url).unwrap(), Nonce::from_u128(nonce)))
        };
        let mut clients = [page(PAGE, 1), page("http://b.test/page", 2)];
        let (mut prepared, mut anew) = (World::new(), World::new());
        let repeated = steps.into_iter().flat_map(|(step, times)| {
            let again = Step { change: Change::Nothing, body_length: step.body_length * 2, ..step.clone() };
            [step].into_iter().chain(std::iter::repeat_n(again, times - 1))
        });
        for step in repeated {
            let client = &mut clients[step.client];
            change_client(client, &step.change);
            let data = step.content_type.map(|content_type| {
                sendbeacon_fetch::Blob::new("x".repeat(step.body_length), content_type)
            });
            let beacon = || {
                let ledger = Ledger::new(KeepaliveLimits::default());
                send_beacon(client, &ledger, &Zeros, step.url, data.as_ref().map(Into::into)).unwrap()
            };
            // It may be mixed content.
            let (Some(one), Some(other)) = (beacon(), beacon()) else { continue };
            for world in [&mut prepared, &mut anew] {
                world.change(&step.change);
                *world.response.lock().unwrap() = step.response;
                world.worker.fails.store(step.worker_fails, SeqCst);
            }
            let (client, url, data, _reservation) = one.into_parts();
            let (profile, observer) = (&prepared.page.profile, &prepared.page.observations);
            let fetched =
                complete(fetch_beacon(profile, observer, BeaconRequest::new(profile, &client, &url, data)));
            let effects = prepared.effects(fetched.map(|it| it.summary));
            let request = Box::new(other.into_request().0);
            let fetched = complete(fetch(&anew.page.profile, &anew.page.observations, request));
            prop_assert_eq!(effects, anew.effects(fetched.map(|it| it.summary())));
        }
    }
}

#[test]
fn a_kept_request_does_not_keep_its_client() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    let client = Arc::new(page.client.clone());
    for body in ["a", "b", "c"] {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let beacon =
            send_beacon(&client, &ledger, &Zeros, "/x", Some(body.into())).unwrap().unwrap();
        let (client, url, data, _reservation) = beacon.into_parts();
        let request = BeaconRequest::new(&page.profile, &client, &url, data);
        let fetched = complete(fetch_beacon(&page.profile, &page.observations, request));
        assert_eq!(fetched.map(|it| it.summary.status.as_u16()), Ok(204));
        assert_eq!(page.last().body, body);
    }
    assert_eq!(Arc::strong_count(&client), 4, "the network has three requests");
}
