//! The fetch algorithms over a scripted network: what goes to the wire, hop by hop.

mod hostile;
mod page;
mod policies;
mod services;
mod timing;

use std::time::Duration;

use http::Method;
use sendbeacon_fetch::{
    CorsFailure, CredentialsMode, Mode, NetworkError, PreflightFailure, RedirectFailure,
    RedirectMode, ReferrerPolicy, ResponseType,
};
use sendbeacon_testkit::network::{respond, respond_with_body};

use page::{CORS, PAGE, Page, cors_everywhere, header, lines, redirects};

#[test]
fn a_same_origin_string_has_exactly_these_headers() {
    let page = Page::new(PAGE, |_| respond(200, &[]));
    let response = page.beacon("/b", Some("héllo".into())).unwrap();
    assert_eq!(response.response_type, ResponseType::Basic);
    let sent = page.last();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://a.test/b"));
    assert_eq!(sent.body, "héllo");
    assert!(sent.connection.credentials);
    assert_eq!(
        lines(&sent.headers),
        [
            "host: a.test",
            "content-type: text/plain;charset=UTF-8",
            "accept: */*",
            "content-length: 6",
            "referer: https://a.test/d/page?q",
            "origin: https://a.test",
            "sec-fetch-dest: empty",
            "sec-fetch-mode: no-cors",
            "sec-fetch-site: same-origin",
            "user-agent: test/1",
            "accept-encoding: gzip, deflate, br, zstd",
            "priority: u=6",
        ]
    );
}

#[test]
fn what_old_proxies_do_not_know_is_asked_for_only_where_there_can_be_none() {
    for (url, codings) in [
        ("http://a.test/", "gzip, deflate"),
        ("http://localhost/", "gzip, deflate, br, zstd"),
        ("https://b.test/", "gzip, deflate, br, zstd"),
    ] {
        let page = Page::new("http://a.test/", |_| respond(204, &[]));
        page.beacon(url, None).unwrap();
        assert_eq!(header(&page.last(), "accept-encoding"), Some(codings), "{url}");
    }
}

#[test]
fn no_body_is_content_length_0_and_no_type() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    page.beacon("", None).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "content-length"), Some("0"));
    assert_eq!(header(&sent, "content-type"), None);
}

#[test]
fn a_cross_origin_safelisted_type_is_not_preflighted_and_needs_no_cors() {
    let page = Page::new(PAGE, |_| respond(500, &[("set-cookie", "a=b")]));
    let response = page.beacon("https://b.test/x", Some("x".into())).unwrap();
    assert_eq!(response.response_type, ResponseType::Opaque);
    assert_eq!(response.status, 500);
    assert!(response.headers.is_empty());
    let sent = page.last();
    assert_eq!(header(&sent, "origin"), Some("https://a.test"));
    assert_eq!(header(&sent, "referer"), Some("https://a.test/"));
    assert_eq!(header(&sent, "sec-fetch-site"), Some("cross-site"));
    assert_eq!(page.log(), ["POST https://b.test/x"]);
}

#[test]
fn plain_http_gets_no_fetch_metadata() {
    let page = Page::new("http://a.test/", |_| respond(204, &[]));
    page.beacon("x", None).unwrap();
    assert_eq!(header(&page.last(), "sec-fetch-site"), None);
    page.beacon("http://localhost/x", None).unwrap();
    assert_eq!(header(&page.last(), "sec-fetch-site"), Some("cross-site"));
}

#[test]
fn json_cross_origin_is_preflighted() {
    let page = Page::new(PAGE, cors_everywhere);
    let response = page.json("https://b.test/x").unwrap();
    assert_eq!(response.response_type, ResponseType::Cors);
    assert_eq!(page.log(), ["OPTIONS https://b.test/x", "POST https://b.test/x"]);
    let preflight = &page.network.sent()[0];
    assert!(!preflight.connection.credentials);
    assert_eq!(
        lines(&preflight.headers),
        [
            "host: b.test",
            "accept: */*",
            "access-control-request-method: POST",
            "access-control-request-headers: content-type",
            "referer: https://a.test/",
            "origin: https://a.test",
            "sec-fetch-dest: empty",
            "sec-fetch-mode: cors",
            "sec-fetch-site: cross-site",
            "user-agent: test/1",
        ]
    );
}

#[test]
fn json_same_origin_is_not_preflighted() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    page.json("/x").unwrap();
    assert_eq!(page.log(), ["POST https://a.test/x"]);
    assert_eq!(header(&page.last(), "sec-fetch-mode"), Some("cors"));
}

/// What a preflight answered with `status` and `headers` makes of a JSON beacon.
fn preflight(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(), NetworkError> {
    let headers = headers.to_vec();
    let page = Page::new(PAGE, move |request| match request.method {
        Method::OPTIONS => respond(status, &headers),
        _ => respond(204, &CORS),
    });
    let result = page.json("https://b.test/x").map(drop);
    assert_eq!(page.log().len(), if result.is_ok() { 2 } else { 1 }, "POST only after a yes");
    result
}

#[test]
fn a_preflight_that_does_not_say_yes_stops_the_post() {
    use PreflightFailure as P;
    let [origin, credentials, headers] = CORS;
    let failed = |failure: P| Err(NetworkError::CorsPreflight(failure));
    assert_eq!(preflight(204, &CORS), Ok(()));
    assert_eq!(
        preflight(
            200,
            &[origin, credentials, ("access-control-allow-headers", "X-A, CONTENT-TYPE")]
        ),
        Ok(())
    );
    assert_eq!(preflight(404, &CORS), failed(P::Status(404)));
    assert_eq!(preflight(302, &CORS), failed(P::Status(302)));
    assert_eq!(preflight(204, &[]), failed(P::Cors(CorsFailure::MissingAllowOrigin)));
    let star = ("access-control-allow-origin", "*");
    assert_eq!(
        preflight(204, &[star, credentials, headers]),
        failed(P::Cors(CorsFailure::OriginMismatch))
    );
    assert_eq!(
        preflight(204, &[origin, origin, credentials, headers]),
        failed(P::Cors(CorsFailure::OriginMismatch))
    );
    assert_eq!(preflight(204, &[origin, headers]), failed(P::Cors(CorsFailure::Credentials)));
    let upper = ("access-control-allow-credentials", "True");
    assert_eq!(
        preflight(204, &[origin, upper, headers]),
        failed(P::Cors(CorsFailure::Credentials))
    );
    let content_type = http::header::CONTENT_TYPE;
    assert_eq!(preflight(204, &[origin, credentials]), failed(P::HeaderName(content_type.clone())));
    let any = ("access-control-allow-headers", "*");
    assert_eq!(preflight(204, &[origin, credentials, any]), failed(P::HeaderName(content_type)));
    let invalid = ("access-control-allow-headers", "content-type, a b");
    assert_eq!(
        preflight(204, &[origin, credentials, invalid]),
        failed(P::Header("Access-Control-Allow-Headers"))
    );
}

#[test]
fn the_answer_to_a_cors_beacon_must_pass_the_cors_check() {
    let page = Page::new(PAGE, |request| match request.method {
        Method::OPTIONS => respond(204, &CORS),
        _ => respond(204, &[]),
    });
    let error = page.json("https://b.test/x").unwrap_err();
    assert_eq!(error, NetworkError::Cors(CorsFailure::MissingAllowOrigin));
    assert_eq!(page.log().len(), 2);
}

fn caches_for(max_age: Option<&'static str>) -> Page {
    Page::new(PAGE, move |_| {
        let mut headers = CORS.to_vec();
        headers.extend(max_age.map(|value| ("access-control-max-age", value)));
        respond(204, &headers)
    })
}

#[test]
fn a_preflight_is_cached_as_long_as_it_says_and_five_seconds_without_word() {
    for (max_age, seconds) in
        [(Some("60"), 60), (None, 5), (Some("x"), 5), (Some("0"), 0), (Some("999999"), 7200)]
    {
        let page = caches_for(max_age);
        page.json("https://b.test/x").unwrap();
        if seconds > 0 {
            page.clock.advance(Duration::from_millis(seconds * 1000 - 1));
            page.json("https://b.test/x").unwrap();
            assert_eq!(page.log().len(), 3, "{max_age:?}: still fresh");
            page.clock.advance(Duration::from_millis(1));
        }
        let before = page.log().len();
        page.json("https://b.test/x").unwrap();
        assert_eq!(page.log().len(), before + 2, "{max_age:?}: expired");
    }
}

#[test]
fn the_preflight_cache_is_by_partition_origin_url_and_credentials() {
    let mut page = caches_for(Some("60"));
    let preflights = |page: &Page| page.log().iter().filter(|line| line.starts_with('O')).count();
    page.json("https://b.test/x").unwrap();
    page.json("https://b.test/x").unwrap();
    assert_eq!(preflights(&page), 1);
    page.json("https://b.test/y").unwrap();
    assert_eq!(preflights(&page), 2, "another URL");
    page.client.network_partition_key.second_key = Some(1);
    page.json("https://b.test/x").unwrap();
    assert_eq!(preflights(&page), 3, "another partition");

    // An entry made without credentials does not serve a request with them; the reverse does.
    let json = |credentials| {
        let mut request = page.request("https://b.test/z");
        request.method = Method::POST;
        request.unsafe_request = true;
        request.credentials = credentials;
        let json = http::HeaderValue::from_static("application/json");
        request.headers.insert("content-type", json);
        page.fetch(request).unwrap();
        preflights(&page)
    };
    assert_eq!(json(CredentialsMode::Omit), 4);
    assert_eq!(json(CredentialsMode::Include), 5);
    assert_eq!(json(CredentialsMode::Omit), 5);
}

#[test]
fn a_cors_failure_clears_the_preflight_cache() {
    let mut posts = 0;
    let page = Page::new(PAGE, move |request| {
        posts += u32::from(request.method == Method::POST);
        if request.method == Method::POST && posts == 2 {
            respond(204, &[])
        } else {
            respond(204, &CORS)
        }
    });
    page.json("https://b.test/x").unwrap();
    page.json("https://b.test/x").unwrap_err();
    page.json("https://b.test/x").unwrap();
    let methods: String = page.log().iter().map(|line| &line[..1]).collect();
    assert_eq!(methods, "OPPOP");
}

#[test]
fn redirects_307_and_308_send_the_body_again() {
    for status in [307, 308] {
        let page = Page::new(PAGE, redirects(status, "/x", "/y"));
        let response = page.beacon("/x", Some("body".into())).unwrap();
        assert_eq!(page.log(), ["POST https://a.test/x", "POST https://a.test/y"]);
        let sent = page.last();
        assert_eq!(sent.body, "body");
        assert_eq!(header(&sent, "content-type"), Some("text/plain;charset=UTF-8"));
        assert_eq!(response.url_list.len(), 2);
    }
}

#[test]
fn redirects_301_302_and_303_become_get_without_body() {
    for status in [301, 302, 303] {
        let page = Page::new(PAGE, redirects(status, "/x", "/y"));
        page.beacon("/x", Some("body".into())).unwrap();
        assert_eq!(page.log(), ["POST https://a.test/x", "GET https://a.test/y"]);
        let sent = page.last();
        assert!(sent.body.is_empty());
        for absent in ["content-type", "content-length", "origin"] {
            assert_eq!(header(&sent, absent), None, "{status} {absent}");
        }
    }
}

#[test]
fn origin_is_null_only_after_another_origin_was_left() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://c.test/y"));
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "origin"), Some("https://a.test"));
    page.beacon("https://b.test/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "origin"), Some("null"));
    assert_eq!(header(&page.last(), "sec-fetch-site"), Some("cross-site"));
}

#[test]
fn a_redirect_to_another_origin_is_preflighted_anew_if_the_type_asks_for_it() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    page.json("/x").unwrap();
    assert_eq!(
        page.log(),
        ["POST https://a.test/x", "OPTIONS https://b.test/y", "POST https://b.test/y"]
    );
}

#[test]
fn the_twenty_first_redirect_is_an_error() {
    for (redirects, ok) in [(20, true), (21, false)] {
        let mut left = redirects;
        let page = Page::new(PAGE, move |_| {
            left -= 1;
            if left >= 0 { respond(307, &[("location", "")]) } else { respond(204, &[]) }
        });
        let result = page.beacon("/x", None).map(drop);
        let too_many = Err(NetworkError::Redirect(RedirectFailure::TooMany));
        assert_eq!(result, if ok { Ok(()) } else { too_many });
        assert_eq!(page.log().len(), 21);
    }
}

#[test]
fn a_redirect_that_leads_nowhere_is_the_answer_or_an_error() {
    let page = Page::new(PAGE, |_| respond(307, &[]));
    assert_eq!(page.beacon("/x", None).unwrap().status, 307);
    for (location, failure) in [
        ("ftp://a.test/", RedirectFailure::NotHttp),
        ("data:,x", RedirectFailure::NotHttp),
        ("http://[", RedirectFailure::InvalidLocation),
    ] {
        let page = Page::new(PAGE, move |_| respond(307, &[("location", location)]));
        assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::Redirect(failure));
    }
}

#[test]
fn credentials_in_location_are_refused_where_cors_is_in_play() {
    let credentials = "https://u:p@b.test/y";
    let page = Page::new(PAGE, redirects(307, "/x", credentials));
    assert!(page.beacon("/x", Some("x".into())).is_ok());
    assert_eq!(page.json("/x").unwrap_err(), NetworkError::Redirect(RedirectFailure::Credentials));
    let page = Page::new(PAGE, redirects(307, "/x", "https://u:p@a.test/y"));
    assert!(page.json("/x").is_ok(), "same origin");
    assert_eq!(
        page.json("https://b.test/x").unwrap_err(),
        NetworkError::Redirect(RedirectFailure::Credentials),
        "back from another origin"
    );
}

#[test]
fn each_referrer_policy_says_what_referer_and_origin_are() {
    use ReferrerPolicy as P;
    let (full, origin) = (Some("https://a.test/d/page?q"), Some("https://a.test/"));
    for (policy, same, cross, downgrade, origins) in [
        (P::NoReferrer, None, None, None, ["null", "null", "null"]),
        (P::NoReferrerWhenDowngrade, full, full, None, ["", "", "null"]),
        (P::SameOrigin, full, None, None, ["", "null", "null"]),
        (P::Origin, origin, origin, origin, ["", "", ""]),
        (P::StrictOrigin, origin, origin, None, ["", "", "null"]),
        (P::OriginWhenCrossOrigin, full, origin, origin, ["", "", ""]),
        (P::StrictOriginWhenCrossOrigin, full, origin, None, ["", "", "null"]),
        (P::UnsafeUrl, full, full, full, ["", "", ""]),
    ] {
        let mut page = Page::new(PAGE, |_| respond(204, &[]));
        page.client.referrer_policy = policy;
        page.client.prohibits_mixed_security_contexts = false;
        let targets = [("/x", same), ("https://b.test/", cross), ("http://b.test/", downgrade)];
        for ((url, referer), origin) in targets.into_iter().zip(origins) {
            page.beacon(url, Some("x".into())).unwrap();
            let sent = page.last();
            assert_eq!(header(&sent, "referer"), referer, "{policy:?} {url}");
            let origin = if origin.is_empty() { "https://a.test" } else { origin };
            assert_eq!(header(&sent, "origin"), Some(origin), "{policy:?} {url}");
        }
    }
}

#[test]
fn a_redirect_may_change_the_referrer_policy() {
    let page = Page::new(PAGE, |request| match request.url.path() {
        "/x" => {
            respond(307, &[("location", "/y"), ("referrer-policy", "bogus, no-referrer, bogus2")])
        }
        _ => respond(204, &[]),
    });
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "referer"), None);
    assert_eq!(header(&page.last(), "origin"), Some("null"));
}

#[test]
fn a_long_referrer_is_cut_to_its_origin_and_an_opaque_origin_has_none() {
    let page = Page::new(&format!("https://a.test/{}", "x".repeat(4096)), |_| respond(204, &[]));
    page.beacon("/x", None).unwrap();
    assert_eq!(header(&page.last(), "referer"), Some("https://a.test/"));
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.client.origin = sendbeacon_fetch::Origin::Opaque(sendbeacon_fetch::Nonce::from_u128(3));
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "referer"), None);
    assert_eq!(header(&page.last(), "origin"), Some("null"));
}

#[test]
fn credentials_and_fragment_of_the_page_are_not_in_the_referrer() {
    let page = Page::new("https://u:p@a.test/d?q#f", |_| respond(204, &[]));
    page.beacon("/x", None).unwrap();
    assert_eq!(header(&page.last(), "referer"), Some("https://a.test/d?q"));
}

#[test]
fn a_bad_port_sends_nothing_on_any_hop() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://a.test:25/y"));
    assert_eq!(page.beacon("https://a.test:6000/", None).unwrap_err(), NetworkError::BadPort(6000));
    assert!(page.log().is_empty());
    assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::BadPort(25));
    assert_eq!(page.log().len(), 1);
}

#[test]
fn modes_and_redirect_modes_of_fetch_are_kept() {
    let page = Page::new(PAGE, redirects(302, "/x", "/y"));
    let mut request = page.request("https://b.test/");
    request.mode = Mode::SameOrigin;
    assert!(matches!(page.fetch(request), Err(NetworkError::Mode(_))));
    let mut request = page.request("https://a.test/x");
    request.redirect = RedirectMode::Error;
    assert_eq!(
        page.fetch(request).unwrap_err(),
        NetworkError::Redirect(RedirectFailure::Forbidden)
    );
    let mut request = page.request("https://a.test/x");
    request.redirect = RedirectMode::Manual;
    assert_eq!(page.fetch(request).unwrap().response_type, ResponseType::OpaqueRedirect);
    let data = page.request("data:,x");
    assert!(matches!(page.fetch(data), Err(NetworkError::Mode(_))));
}

#[test]
fn a_cors_response_exposes_what_it_lists() {
    let page = Page::new(PAGE, |_| {
        let headers = [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "X-A"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("content-type", "a/b"),
            ("set-cookie", "c=d"),
        ];
        respond_with_body(200, &headers, "body")
    });
    let response = page.fetch(page.request("https://b.test/")).unwrap();
    assert_eq!(lines(&response.headers), ["x-a: 1", "content-type: a/b"]);
    let sent = page.last();
    assert_eq!(header(&sent, "origin"), Some("https://a.test"));
    assert!(!sent.connection.credentials, "credentials mode same-origin");
}

#[test]
fn the_settings_object_says_who_the_user_agent_is() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.client.user_agent = Some(http::HeaderValue::from_static("emulated"));
    page.client.accept_language = Some(http::HeaderValue::from_static("de"));
    page.beacon("/x", None).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "user-agent"), Some("emulated"));
    assert_eq!(header(&sent, "accept-language"), Some("de"));
}
