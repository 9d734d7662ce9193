//! A remembered header list is the one that would be made anew.

use std::time::{Instant, SystemTime};

use http::header::{CONTENT_TYPE, COOKIE};
use proptest::{collection::vec, option, prelude::*, sample::select};
use url::Url;

use super::*;
use crate::fetch::profile::Profile;
use crate::{
    body::Body,
    client::Client,
    host::{BoxFuture, Clock, Network},
    nonce::Nonce,
    policy::referrer_policy::ReferrerPolicy,
};

/// No header depends on the services.
struct Unused;

impl Network for Unused {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        unreachable!("nothing is sent")
    }
}

impl Clock for Unused {
    fn now(&self) -> Instant {
        unreachable!("nobody asks the time")
    }

    fn wall(&self) -> SystemTime {
        unreachable!("nobody asks the time")
    }
}

/// One step: the request, and what changes before it.
#[derive(Clone, Debug)]
struct Step {
    /// Whether the request is the last one again, but for the length of its body and its cookies.
    repeats: bool,
    client: usize,
    /// Whether the client's document gets another referrer policy first.
    changes_client: bool,
    url: &'static str,
    redirect: Option<&'static str>,
    content_type: Option<&'static str>,
    header: Option<(&'static str, &'static str)>,
    body: Option<usize>,
    cookies: Option<&'static str>,
    kind: usize,
    setting: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let urls = || {
        select(vec!["https://a.test/x", "https://a.test/y", "http://b.test/x", "https://b.test/x"])
    };
    let request = (0..2_usize, prop::bool::weighted(0.1), urls(), option::weighted(0.1, urls()));
    let content_type = option::of(select(vec!["text/plain;charset=UTF-8", "application/json"]));
    let headers = select(vec![
        ("range", "bytes=0-"),
        ("cookie", "x"),
        ("content-length", "7"),
        ("if-match", "x"),
        ("user-agent", "own"),
    ]);
    let cookies = option::of(select(vec!["a=1", "a=2; b=3"]));
    let rest = (content_type, option::weighted(0.2, headers), option::of(0..2000_usize), cookies);
    let repeats = prop::bool::weighted(0.7);
    (repeats, request, rest, 0..12_usize, 0..40_usize).prop_map(
        |(repeats, request, rest, kind, setting)| {
            let (client, changes_client, url, redirect) = request;
            let (content_type, header, body, cookies) = rest;
            Step {
                repeats,
                client,
                changes_client,
                url,
                redirect,
                content_type,
                header,
                body,
                cookies,
                kind,
                setting,
            }
        },
    )
}

/// The request of a step.
fn request(client: &Arc<Client>, step: &Step) -> Request {
    let parsed = |url: &str| Url::parse(url).expect("a URL");
    let mut request = Request::new(Arc::clone(client), parsed(step.url));
    request.url_list.extend(step.redirect.map(parsed));
    request.method = if step.kind == 0 { Method::GET } else { Method::POST };
    let header = step.content_type.map(|value| (CONTENT_TYPE.as_str(), value));
    for (name, value) in header.into_iter().chain(step.header) {
        request.headers.append(name, HeaderValue::from_static(value));
    }
    request.body = step.body.map(|length| Body::from(Bytes::from(vec![0; length])));
    match step.kind {
        1 => request.mode = Mode::NoCors,
        2 => request.response_tainting = ResponseTainting::Cors,
        3 => request.referrer = Referrer::NoReferrer,
        4 => request.referrer = Referrer::Url(parsed("https://a.test/page")),
        5 => request.referrer_policy = Some(ReferrerPolicy::NoReferrer),
        6 => request.cache = CacheMode::NoStore,
        7 => request.initiator_type = InitiatorType::Beacon,
        8 => request.is_preflight = true,
        _ => {}
    }
    request
}

/// Changes a setting of the profile.
fn set(profile: &mut Profile, setting: usize) {
    match setting {
        0 => profile.user_agent = HeaderValue::from_static("other"),
        1 => profile.user_agent = HeaderValue::from_static("test"),
        2 => profile.beacon_priority = None,
        3 => {
            profile.extra_headers.insert("dnt", HeaderValue::from_static("1"));
        }
        4 => profile.extra_headers.clear(),
        5 => {
            profile.extra_headers.insert(COOKIE, HeaderValue::from_static("extra=1"));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_remembered_header_list_is_the_one_that_would_be_made_anew(steps in vec(step(), 1..40)) {
        let page = |url: &str, nonce| {
            Arc::new(Client::new(Url::parse(url).expect("a URL"), Nonce::from_u128(nonce)))
        };
        let mut clients = [page("https://a.test/page", 1), page("http://b.test/", 2)];
        let user_agent = HeaderValue::from_static("test");
        let mut profile = Profile::new(Arc::new(Unused), Arc::new(Unused), user_agent);
        let mut last: Option<Step> = None;
        for step in steps {
            let Step { setting, changes_client, cookies, .. } = step;
            let body = step.body;
            let step = match last.take().filter(|_| step.repeats) {
                Some(last) => Step {
                    setting,
                    changes_client,
                    cookies: cookies.filter(|_| last.cookies.is_some()),
                    body: last.body.and(body),
                    ..last
                },
                None => step,
            };
            last = Some(step.clone());
            let client = &mut clients[step.client];
            if step.changes_client {
                let policies = [ReferrerPolicy::SameOrigin, ReferrerPolicy::NoReferrer];
                let client = Arc::make_mut(client);
                client.referrer_policy = policies[step.kind % 2];
                client.user_agent = (step.kind > 5).then(|| HeaderValue::from_static("page's"));
            }
            set(&mut profile, step.setting);
            let request = request(client, &step);
            let cookies = step.cookies.map(HeaderValue::from_static);
            let make = || headers_of_request(profile.header_settings(), &request, cookies.is_some());
            let mut anew = make();
            append_if_any(&mut anew, COOKIE, cookies.clone());
            let list = profile.header_lists.get_or_make(profile.header_settings(), &request, cookies.clone(), make);
            prop_assert!(list.iter().eq(anew.iter()), "{list:?} instead of {anew:?}");
        }
    }
}
