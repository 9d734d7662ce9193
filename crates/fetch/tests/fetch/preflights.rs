//! CORS preflights: which requests need one, and what its response allows.

use std::time::Duration;

use http::{HeaderValue, Method};
use sendbeacon_fetch::{
    CorsFailure, CredentialsMode, Destination, NetworkError, PreflightFailure, ResponseType,
};
use sendbeacon_testkit::network::respond;

use crate::page::{CORS, PAGE, Page, cors_everywhere, header, lines};

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
fn a_preflight_has_the_destination_of_its_request_and_names_no_forbidden_header() {
    let page = Page::new(PAGE, cors_everywhere);
    let mut request = page.request("https://b.test/x");
    request.destination = Destination::Script;
    request.headers.insert("dnt", HeaderValue::from_static("1"));
    page.fetch(request.clone()).unwrap();
    assert_eq!(page.log(), ["GET https://b.test/x"]);
    request.headers.insert("x-a", HeaderValue::from_static("1"));
    page.fetch(request).unwrap_err();
    let preflight = &page.last();
    assert_eq!(header(preflight, "sec-fetch-dest"), Some("script"));
    assert_eq!(header(preflight, "access-control-request-headers"), Some("x-a"));
}

#[test]
fn json_same_origin_is_not_preflighted() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    page.json("/x").unwrap();
    assert_eq!(page.log(), ["POST https://a.test/x"]);
    assert_eq!(header(&page.last(), "sec-fetch-mode"), Some("cors"));
}

/// The result of a JSON beacon whose preflight is answered with `status` and `headers`.
fn preflight(status: u16, headers: &[(&'static str, &'static str)]) -> Result<(), NetworkError> {
    let headers = headers.to_vec();
    let page = Page::new(PAGE, move |request| match request.method {
        Method::OPTIONS => respond(status, &headers),
        _ => respond(204, &CORS),
    });
    let result = page.json("https://b.test/x").map(drop);
    let requests = if result.is_ok() { 2 } else { 1 };
    assert_eq!(page.log().len(), requests, "a POST only after a successful preflight");
    result
}

#[test]
fn a_failed_preflight_stops_the_post() {
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
fn the_response_to_a_cors_beacon_must_pass_the_cors_check() {
    let page = Page::new(PAGE, |request| match request.method {
        Method::OPTIONS => respond(204, &CORS),
        _ => respond(204, &[]),
    });
    let error = page.json("https://b.test/x").unwrap_err();
    assert_eq!(error, NetworkError::Cors(CorsFailure::MissingAllowOrigin));
    assert_eq!(page.log().len(), 2);
}

/// A page whose preflights are answered with this `Access-Control-Max-Age`.
fn caches_for(max_age: Option<&'static str>) -> Page {
    Page::new(PAGE, move |_| {
        let mut headers = CORS.to_vec();
        headers.extend(max_age.map(|value| ("access-control-max-age", value)));
        respond(204, &headers)
    })
}

#[test]
fn a_preflight_is_cached_for_its_max_age_or_for_five_seconds() {
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
fn the_preflight_cache_is_keyed_by_partition_url_and_credentials() {
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

    // An entry of a request without credentials does not match a request with them. The reverse does.
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
fn an_unsafe_method_is_preflighted_by_default() {
    let page = Page::new(PAGE, cors_everywhere);
    let mut request = page.request("https://b.test/x");
    request.method = http::Method::DELETE;
    page.fetch(request).unwrap_err();
    assert_eq!(page.log(), ["OPTIONS https://b.test/x"]);
}
