//! What grows, and how a page of each size is made.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use benches::{COLLECTOR, client, cookies, user_agent};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, LINK, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    },
};
use sendbeacon::{
    Client, ContainerPolicy, CspDisposition, DeferredRequestInit, Document, MemoryCookieStore,
    MemoryHstsStore, Nonce, Origin, PermissionsPolicy, PolicyFeature, Request, ThirdPartyCookies,
    UserAgent, UserAgentBuilder, VisibilityState,
    cookie_jar::{CookieJar, Limits},
    host::{HstsEntry, HstsStore},
};
use url::Url;

use crate::{
    destinations::{CLOSE, Server, network},
    networks::{cookie_setter, setter_of_many_cookies, with_header, with_headers},
};

/// What grows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    /// Sources of the page's policy; beacons go to 64 allowed origins in turn.
    CspAllowed,
    /// Sources with paths; half of the beacons are blocked, and no two have the same URL.
    CspHalfBlocked,
    /// Sources with wildcards and ports.
    CspWildcards,
    /// Sources; each beacon is redirected once.
    CspRedirects,
    /// Sources with paths of each of 64 pages, which send in turn. No two beacons have the same URL.
    CspPagesInTurn,
    /// Deferred fetches of another page whose time has come, and whose ledger is full.
    DeferredRipe,
    /// Known HSTS hosts of other sites.
    HstsHosts,
    /// The same, and each beacon goes to a new site whose response has `Strict-Transport-Security`.
    HstsNewHosts,
    /// The same, to a known site.
    HstsKnownHosts,
    /// The same, and the response ends the site's entry.
    HstsEndedHosts,
    /// Cookies of other sites.
    OtherCookies,
    /// Cookies of the own site with another path.
    OtherPaths,
    /// Cookies of other sites; responses set a cookie, replace it and let it expire in turn.
    CookieChanges,
    /// The most cookies of a full jar; each beacon goes to a new site whose response sets a cookie.
    CookiesFull,
    /// Destinations in turn, with a connection open to each.
    OpenDestinations,
    /// Destinations in turn, more than there may be connections. At 1, the server closes each connection.
    NewDestinations,
    /// URLs in turn that need a preflight, more than the cache has room for.
    Preflights,
    /// Origins in the page's permissions policy; the page makes a frame before each beacon.
    PolicyOrigins,
    /// Frames of the page; it makes another one before each beacon.
    Frames,
    /// Documents that are open.
    Documents,
    /// The same; one is hidden, shown and frozen before each beacon.
    HiddenDocuments,
    /// Bytes of the `Referrer-Policy` of a redirect.
    ReferrerPolicy,
    /// Bytes of a `Permissions-Policy` that is parsed before each beacon.
    PermissionsPolicy,
    /// Bytes of many `Set-Cookie`.
    SetCookie,
    /// Bytes of one `Set-Cookie` with many attributes.
    SetCookieAttributes,
    /// Bytes of `Link`.
    Link,
    /// Bytes of `Server-Timing`.
    ServerTiming,
    /// Bytes of the `Access-Control-Allow-Headers` of a preflight.
    AllowHeaders,
}

/// Each case with its two sizes, and the ratio of the costs that is allowed.
///
/// A header that is four times as long costs four times as much, and the limit allows for slower memory.
pub(crate) const CASES: [(Case, usize, usize, f64); 28] = [
    (Case::CspAllowed, 1, 1_000, 1.5),
    (Case::CspHalfBlocked, 1, 1_000, 1.5),
    (Case::CspWildcards, 1, 1_000, 1.5),
    (Case::CspRedirects, 1, 1_000, 1.5),
    (Case::CspPagesInTurn, 1, 1_000, 1.5),
    (Case::DeferredRipe, 1, 4_096, 1.5),
    (Case::HstsHosts, 1, 1_000_000, 1.5),
    (Case::HstsNewHosts, 1, 1_000_000, 1.5),
    (Case::HstsKnownHosts, 1, 1_000_000, 1.5),
    (Case::HstsEndedHosts, 1, 1_000_000, 1.5),
    (Case::OtherCookies, 1, 10_000, 1.5),
    (Case::OtherPaths, 1, 170, 2.0),
    (Case::CookieChanges, 1, 10_000, 1.5),
    (Case::CookiesFull, 1, 10_000, 1.5),
    (Case::OpenDestinations, 1, 10_000, 1.5),
    (Case::NewDestinations, 1, 10_000, 1.5),
    (Case::Preflights, 1, 640, 1.5),
    (Case::PolicyOrigins, 1, 1_000, 1.5),
    (Case::Frames, 1, 10_000, 1.5),
    (Case::Documents, 1, 100_000, 1.5),
    (Case::HiddenDocuments, 1, 100_000, 1.5),
    (Case::ReferrerPolicy, 1 << 16, 1 << 18, 8.0),
    (Case::PermissionsPolicy, 1 << 16, 1 << 18, 8.0),
    (Case::SetCookie, 1 << 16, 1 << 18, 8.0),
    (Case::SetCookieAttributes, 1 << 16, 1 << 18, 8.0),
    (Case::Link, 1 << 16, 1 << 18, 8.0),
    (Case::ServerTiming, 1 << 16, 1 << 18, 8.0),
    (Case::AllowHeaders, 1 << 16, 1 << 18, 8.0),
];

/// The URL to which the beacon with a number goes.
pub(crate) type Target = Box<dyn Fn(usize) -> String>;
/// What happens before the beacon with a number.
pub(crate) type Turn = Box<dyn FnMut(&UserAgent, &[Document], usize)>;
type MakeTurn = Box<dyn FnOnce(&UserAgent, &[Document]) -> Result<Turn, Box<dyn Error>>>;

/// How to make a page with a case of some size.
pub(crate) struct Setup {
    pub(crate) builder: UserAgentBuilder,
    pub(crate) cookies: MemoryCookieStore,
    /// The clients of the documents that send in turn.
    pub(crate) clients: Vec<Client>,
    pub(crate) target: Target,
    pub(crate) turn: MakeTurn,
    /// Whether the beacons need a preflight.
    pub(crate) is_json: bool,
    /// How many beacons are sent before the measurements.
    pub(crate) beacons_before: usize,
    /// How many beacons are sent before their outcomes are waited for.
    pub(crate) at_once: usize,
}

impl Setup {
    pub(crate) fn new(case: Case, n: usize) -> Result<Self, Box<dyn Error>> {
        let mut setup = Self {
            builder: user_agent(),
            cookies: cookies(),
            clients: vec![client(); 4],
            target: Box::new(|_| COLLECTOR.to_owned()),
            turn: Box::new(|_, _| Ok(Box::new(|_, _, _| {}))),
            is_json: false,
            beacons_before: 0,
            at_once: 1,
        };
        match case {
            Case::CspAllowed
            | Case::CspHalfBlocked
            | Case::CspWildcards
            | Case::CspRedirects
            | Case::CspPagesInTurn => setup.csp(case, n),
            Case::DeferredRipe => setup.turn = deferred(n),
            Case::HstsHosts => setup.builder = setup.builder.hsts(Arc::new(hsts_store(n))),
            Case::HstsNewHosts | Case::HstsKnownHosts | Case::HstsEndedHosts => setup.hsts(case, n),
            Case::OtherCookies | Case::CookieChanges | Case::CookiesFull => {
                setup.cookies(case, n)?;
            }
            Case::OtherPaths => {
                for i in 0..n {
                    let cookie = format!("c{i}=x; Max-Age=36000; Path=/other");
                    setup.cookies.set_document_cookie(&client(), &cookie);
                }
            }
            Case::OpenDestinations | Case::NewDestinations => setup.destinations(case, n)?,
            Case::Preflights => {
                setup.is_json = true;
                setup.clients = vec![with_policy(1, |_| "https:".to_owned()); 4];
                setup.target = Box::new(move |i| format!("https://collect.example.net/{}", i % n));
                setup.beacons_before = 4 * n;
            }
            Case::PolicyOrigins => {
                let allowed = (0..n).map(|i| format!("\"https://f{i}.example.net\""));
                let header = format!("deferred-fetch=({})", allowed.collect::<Vec<_>>().join(" "));
                for client in &mut setup.clients {
                    client.permissions_policy = permissions_policy(&client.origin, &header);
                }
                setup.turn = Box::new(|_, _| frames());
            }
            Case::Frames => {
                setup.turn = Box::new(move |agent, documents| {
                    let mut turn = frames()?;
                    (0..n).for_each(|i| turn(agent, documents, i));
                    Ok(turn)
                });
            }
            Case::Documents => setup.clients = vec![client(); n.max(4)],
            Case::HiddenDocuments => {
                setup.turn = Box::new(move |agent, _| {
                    let documents: Vec<_> = (0..n).map(|_| agent.document(client())).collect();
                    Ok(Box::new(move |_, _, i| {
                        let document = &documents[i % documents.len()];
                        document.visibility_change(VisibilityState::Hidden);
                        document.visibility_change(VisibilityState::Visible);
                        document.freeze();
                        document.resume();
                    }))
                });
            }
            _ => setup.header(case, n),
        }
        Ok(setup)
    }

    fn csp(&mut self, case: Case, n: usize) {
        let page = match case {
            Case::CspAllowed | Case::CspRedirects => {
                let path = if let Case::CspRedirects = case { "redirect" } else { "c" };
                self.target =
                    Box::new(move |i| format!("https://c{}.example.net/{path}", i % 64 % n));
                with_policy(n, |i| format!("https://c{i}.example.net"))
            }
            Case::CspWildcards => {
                self.target = Box::new(move |i| {
                    let i = i % 64 % n;
                    format!("https://x.c{i}.example.net:{}/c", 1_000 + i)
                });
                with_policy(n, |i| format!("https://*.c{i}.example.net:{}", 1_000 + i))
            }
            _ => {
                self.target = Box::new(move |i| {
                    let (host, path) = (i % 64 % n, i % 2 * n + i % 64 % n);
                    format!("https://c{host}.example.net/{path}/{i}")
                });
                with_policy(n, |i| format!("https://c{}.example.net/{i}/", i % 64))
            }
        };
        self.clients = if let Case::CspPagesInTurn = case {
            // Each client has a policy of its own.
            let page = |_| with_policy(n, |i| format!("https://c{}.example.net/{i}/", i % 64));
            (0..64).map(page).collect()
        } else {
            vec![page; 4]
        };
    }

    fn hsts(&mut self, case: Case, n: usize) {
        let max_age =
            if let Case::HstsEndedHosts = case { "max-age=0" } else { "max-age=31536000" };
        let network = with_header(STRICT_TRANSPORT_SECURITY, max_age);
        self.builder = user_agent().network(network).hsts(Arc::new(hsts_store(n)));
        self.clients = vec![with_policy(1, |_| "https:".to_owned()); 4];
        self.target = if let Case::HstsNewHosts = case {
            Box::new(|i| format!("https://www.new{i}.com/c"))
        } else {
            // The store has the last ones.
            Box::new(move |i| format!("https://www.site{}.com/c", n - 1 - i % n.min(5_000)))
        };
    }

    fn cookies(&mut self, case: Case, n: usize) -> Result<(), Box<dyn Error>> {
        // In a full jar, each further cookie pushes another out.
        let is_full = matches!(case, Case::CookiesFull);
        let cookies = if is_full { n.max(10) } else { n + 1_000 };
        let jar = CookieJar::new(Limits::default().with_cookies(cookies))?;
        self.cookies = MemoryCookieStore::new(ThirdPartyCookies::Allow).with_jar(jar);
        for i in 0..n {
            let url = Url::parse(&format!("https://www.site{}.com/", i / 10))?;
            let client = Client::new(url, Nonce::from_u128(1));
            self.cookies.set_document_cookie(&client, &format!("c{i}=x; Max-Age=36000"));
        }
        match case {
            Case::CookieChanges => self.builder = user_agent().network(cookie_setter()),
            Case::CookiesFull => {
                let cookie = "n=x; SameSite=None; Secure; Max-Age=36000";
                self.builder = user_agent().network(with_header(SET_COOKIE, cookie));
                self.clients = vec![with_policy(1, |_| "https:".to_owned()); 4];
                self.target = Box::new(|i| format!("https://www.new{i}.com/c"));
                // At the small size, too, the jar is full when the measurements begin.
                self.beacons_before = 10;
            }
            _ => {}
        }
        Ok(())
    }

    fn destinations(&mut self, case: Case, n: usize) -> Result<(), Box<dyn Error>> {
        let server = Server::start()?;
        let port = server.port;
        let is_open = matches!(case, Case::OpenDestinations);
        let network = network(is_open.then_some(n.max(384)))?;
        let page = Client::new(Url::parse("http://www.example.com/")?, Nonce::from_u128(1));
        self.builder = user_agent().network(Arc::new(network));
        self.clients = vec![page; 4];
        let path = if is_open || n > 1 { "/" } else { CLOSE };
        self.target = Box::new(move |i| format!("http://d{}.example.net:{port}{path}", i % n));
        self.beacons_before = if is_open { n } else { n.min(500) };
        // So this thread seldom sleeps until the server answers. To be woken costs more than a beacon.
        self.at_once = 16;
        self.turn = Box::new(move |_, _| {
            Ok(Box::new(move |_, _, _| {
                let _keep = &server;
            }))
        });
        Ok(())
    }

    fn header(&mut self, case: Case, length: usize) {
        let list = |item: &str| item.repeat(length / item.len());
        let value = |text: String| HeaderValue::try_from(text).expect("a header value");
        let network = match case {
            Case::ReferrerPolicy => {
                let value = value(list("origin,x,"));
                self.target = Box::new(|_| "/redirect".to_owned());
                // Only the redirect needs the header.
                with_headers(move |n| match n % 2 {
                    0 => vec![(REFERRER_POLICY, value.clone())],
                    _ => Vec::new(),
                })
            }
            Case::PermissionsPolicy => {
                let allowed = (0..length / 32).map(|n| format!("\"https://f{n:06}.example.net\""));
                let header = format!("deferred-fetch=({})", allowed.collect::<Vec<_>>().join(" "));
                let origin = client().origin;
                self.turn = Box::new(|_, _| {
                    Ok(Box::new(move |_, _, _| {
                        let policy = permissions_policy(&origin, &header);
                        let feature = PolicyFeature::DeferredFetch;
                        assert!(!policy.get_feature_value_for_origin(feature, &origin));
                    }))
                });
                return;
            }
            Case::SetCookie => setter_of_many_cookies(length),
            Case::SetCookieAttributes => {
                with_header(SET_COOKIE, &format!("many=x{}", list("; Path=/a")))
            }
            Case::Link => with_header(LINK, &list("</a>;rel=preload,")),
            Case::ServerTiming => {
                with_header(HeaderName::from_static("server-timing"), &list("a;dur=1,"))
            }
            _ => {
                self.is_json = true;
                self.clients = vec![with_policy(1, |_| "https:".to_owned()); 4];
                self.target = Box::new(|i| format!("https://collect.example.net/{i}"));
                let names: Vec<_> = (0..length / 8).map(|n| format!("x{n:06}")).collect();
                with_header(ACCESS_CONTROL_ALLOW_HEADERS, &names.join(","))
            }
        };
        self.builder = user_agent().network(network);
    }
}

/// The client of [`client`] with a policy of `n` sources.
fn with_policy(n: usize, source: impl Fn(usize) -> String) -> Client {
    let mut client = Client::new(client().creation_url, Nonce::from_u128(1));
    let sources: Vec<_> = (0..n).map(source).collect();
    let policy = format!("default-src 'self'; connect-src 'self' {}", sources.join(" "));
    client.csp_list.push_header(&policy, CspDisposition::Enforce);
    client
}

fn permissions_policy(origin: &Origin, header: &str) -> PermissionsPolicy {
    let value = HeaderValue::from_str(header).expect("a header value");
    let name = HeaderName::from_static("permissions-policy");
    PermissionsPolicy::top_level(origin, &HeaderMap::from_iter([(name, value)]))
}

/// A store with `n` known hosts, of `n` sites.
fn hsts_store(n: usize) -> MemoryHstsStore {
    let store = MemoryHstsStore::default();
    let expires = SystemTime::now() + Duration::from_secs(100_000);
    for i in 0..n {
        let entry = HstsEntry::new(expires + Duration::from_millis(i as u64), true);
        store.set(&format!("www.site{i}.com"), Some(entry));
    }
    store
}

/// Another page whose engine uses its whole keepalive quota, and which has `n` deferred fetches.
fn deferred(n: usize) -> MakeTurn {
    Box::new(move |agent, _| {
        let page = agent.document(client());
        let quota = page.fetch_group().reserve_keepalive(65_536, 0).ok_or("the ledger is empty")?;
        for i in 0..n {
            let url = Url::parse(&format!("https://d{}.example.net/", i % 64))?;
            let mut request = Request::new(page.client(), url);
            request.method = Method::POST;
            request.body = Some(bytes::Bytes::from_static(b"x").into());
            page.fetch_later(request, DeferredRequestInit::after(Duration::ZERO))?;
        }
        Ok(Box::new(move |_, _, _| {
            let _keep = (&page, &quota);
        }))
    })
}

/// Makes a frame in the first document at each turn.
fn frames() -> Result<Turn, Box<dyn Error>> {
    let url = Url::parse("https://f0.example.net/")?;
    let origin = Origin::of(&url, Nonce::from_u128(1));
    let child = Client::new(url, Nonce::from_u128(1));
    let mut frames = Vec::new();
    Ok(Box::new(move |agent, documents, _| {
        let (top, container) = (documents[0].client(), documents[0].navigable_container());
        let policy = ContainerPolicy::new(&top.permissions_policy, &top.origin, "", &origin);
        container.reserve_deferred_fetch_quota(&policy, &origin);
        let mut client = child.clone();
        client.permissions_policy = policy.permissions_policy(&origin, &HeaderMap::new());
        frames.push((agent.nested_document(client, &container), container));
    }))
}
