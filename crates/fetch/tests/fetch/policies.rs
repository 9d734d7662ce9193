//! Policies: what they block or change at the first hop and after redirects.

use std::time::Duration;

use sendbeacon_fetch::{
    AddressSpace, CspDisposition, CspList, CspViolation, Destination, EmbedderPolicy, Mode,
    NetworkError, Nonce, Origin, fetch::Observation,
};
use sendbeacon_testkit::network::respond;

use crate::page::{PAGE, Page, cors_everywhere, header, redirects};

fn with_csp(header: &str, disposition: CspDisposition) -> Page {
    let mut page = Page::new(PAGE, redirects(307, "/to-b", "https://b.test/deep/path"));
    page.client.csp_list.push_header(header, disposition);
    page
}

fn violations(page: &Page) -> Vec<CspViolation> {
    let violation = |observation| match observation {
        Observation::CspViolation(violation) => Some(*violation),
        _ => None,
    };
    page.observations().into_iter().filter_map(violation).collect()
}

#[test]
fn connect_src_decides_and_default_src_is_its_fallback() {
    for (csp, url, is_allowed) in [
        ("connect-src 'self'", "/x", true),
        ("connect-src 'self'", "https://a.test:8443/x", false),
        ("connect-src 'self'", "https://b.test/x", false),
        ("connect-src 'none'", "/x", false),
        ("connect-src https://b.test", "https://b.test/x", true),
        ("connect-src https://b.test/deep/", "https://b.test/deep/x", true),
        ("connect-src https://b.test/deep", "https://b.test/deep/x", false),
        ("connect-src https://*.a.test:*", "https://sub.a.test:99/x", true),
        ("connect-src https://*.a.test:*", "https://a.test/x", false),
        ("connect-src *", "https://b.test/x", true),
        ("connect-src https://b.test:99999", "https://b.test/x", false),
        ("connect-src b.test:65536/x", "https://b.test/x", false),
        ("connect-src https://b.test:65536 https://b.test:*", "https://b.test/x", true),
        ("default-src 'none'", "/x", false),
        ("default-src 'none'; connect-src 'self'", "/x", true),
        ("script-src 'none'", "/x", true),
        ("connect-src 'self', connect-src https://b.test", "/x", false),
        ("connect-src", "/x", false),
        ("", "/x", true),
        (";;, ,\u{fc}", "/x", true),
    ] {
        let page = with_csp(csp, CspDisposition::Enforce);
        let result = page.beacon(url, None);
        assert_eq!(result.is_ok(), is_allowed, "{csp} {url}: {result:?}");
        assert_eq!(violations(&page).len(), usize::from(!is_allowed), "{csp} {url}");
        assert_eq!(page.log().len(), usize::from(is_allowed), "{csp} {url}");
    }
}

#[test]
fn a_violation_has_the_fields_that_a_report_needs() {
    let csp = "connect-src 'self'; report-uri /r1 /r2; report-to group";
    let page = with_csp(csp, CspDisposition::Enforce);
    let error = page.beacon("https://b.test/x?q", None).unwrap_err();
    assert!(matches!(error, NetworkError::Csp { .. }));
    let [violation] = &violations(&page)[..] else { panic!("one violation") };
    assert_eq!(&*violation.blocked_uri, "https://b.test/x?q");
    assert_eq!(violation.effective_directive, "connect-src");
    assert_eq!(*violation.original_policy, *csp);
    assert_eq!(violation.disposition, CspDisposition::Enforce);
    assert_eq!(violation.report_uri, ["/r1", "/r2"]);
    assert_eq!(violation.report_to.as_deref(), Some("group"));
}

#[test]
fn a_report_only_policy_reports_and_does_not_block() {
    let page = with_csp("connect-src 'none'", CspDisposition::Report);
    assert!(page.beacon("/x", None).is_ok());
    assert_eq!(violations(&page)[0].disposition, CspDisposition::Report);
}

#[test]
fn every_violated_policy_is_observed() {
    let mut page = with_csp("connect-src 'none', default-src 'none'", CspDisposition::Enforce);
    page.client.csp_list.push_meta("connect-src https://c.test, is-one-policy");
    page.client.csp_list.push_header("connect-src 'none'", CspDisposition::Report);
    assert!(page.beacon("/x", None).is_err());
    assert_eq!(violations(&page).len(), 4);
}

#[test]
fn a_redirect_is_checked_again_without_its_path() {
    let page = with_csp("connect-src 'self'", CspDisposition::Enforce);
    assert!(page.beacon("/to-b", None).is_err());
    assert_eq!(page.log(), ["POST https://a.test/to-b"]);
    // The violation has the URL of the script's call, not the URL that the redirect led to.
    assert_eq!(&*violations(&page)[0].blocked_uri, "https://a.test/to-b");
    let other_path = "connect-src 'self' https://b.test/other";
    assert!(with_csp(other_path, CspDisposition::Enforce).beacon("/to-b", None).is_ok());
}

#[test]
fn a_meta_policy_sets_neither_report_uri_nor_sandbox() {
    let mut page = Page::new(PAGE, cors_everywhere);
    let policy = "connect-src 'none'; report-uri /r; sandbox";
    page.client.csp_list.push_meta(policy);
    assert_eq!(page.client.csp_list.enforced_directives("sandbox").count(), 0);
    assert!(matches!(page.beacon("/x", None), Err(NetworkError::Csp { .. })));
    assert_eq!(violations(&page)[0].report_uri, [""; 0]);
}

#[test]
fn self_is_the_origin_of_the_response_even_in_a_sandbox() {
    let mut page = Page::new(PAGE, cors_everywhere);
    let mut csp = CspList::new(&page.client.origin);
    csp.push_header("connect-src 'self'; sandbox", CspDisposition::Enforce);
    assert_eq!(csp.enforced_directives("sandbox").count(), 1);
    assert_eq!(csp.enforced_directives("default-src").count(), 0);
    page.client.csp_list = csp;
    page.client.origin = Origin::Opaque(Nonce::from_u128(9));
    assert!(page.beacon("/x", None).is_ok());
    assert_eq!(header(&page.last(), "origin"), Some("null"));
}

#[test]
fn insecure_requests_are_upgraded_on_every_hop() {
    let mut page = Page::new(PAGE, redirects(307, "/x", "http://b.test:8000/y"));
    page.client.upgrade_insecure_requests = true;
    page.beacon("http://b.test/x", Some("x".into())).unwrap();
    assert_eq!(page.log(), ["POST https://b.test/x", "POST https://b.test:8000/y"]);
}

#[test]
fn mixed_images_audio_and_video_are_upgraded() {
    let load = |page_url: &str, url: &str, destination: Destination| {
        let page = Page::new(page_url, |_| respond(204, &[]));
        let mut request = page.request(url);
        request.mode = Mode::NoCors;
        request.destination = destination;
        page.fetch(request).map(|_| page.last().url.to_string())
    };
    for destination in [Destination::Image, Destination::Audio, Destination::Video] {
        let upgraded = load(PAGE, "http://b.test/x", destination).unwrap();
        assert_eq!(upgraded, "https://b.test/x");
        let kept = load("http://a.test/", "http://b.test/x", destination).unwrap();
        assert_eq!(kept, "http://b.test/x", "the page is not secure");
        let kept = load(PAGE, "http://localhost/x", destination).unwrap();
        assert_eq!(kept, "http://localhost/x", "the URL is potentially trustworthy");
        let by_address = load(PAGE, "http://203.0.113.1/x", destination);
        assert_eq!(by_address, Err(NetworkError::MixedContent));
    }
    let script = load(PAGE, "http://b.test/x", Destination::Script);
    assert_eq!(script, Err(NetworkError::MixedContent));
}

#[test]
fn a_mixed_image_of_the_local_network_is_not_upgraded() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.client.address_space = Some(AddressSpace::Public);
    let mut image = page.request("http://printer.local/x");
    (image.mode, image.destination) = (Mode::NoCors, Destination::Image);
    page.fetch(image).unwrap();
    assert_eq!(page.last().url.as_str(), "http://printer.local/x");
}

#[test]
fn a_redirect_to_mixed_content_is_blocked() {
    let page = Page::new(PAGE, redirects(307, "/x", "http://b.test/y"));
    assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::MixedContent);
    assert_eq!(page.log().len(), 1);
    let page = Page::new(PAGE, redirects(307, "/x", "http://127.0.0.1/y"));
    assert!(page.beacon("/x", None).is_ok());
    let mut page = Page::new("http://a.test/", redirects(307, "/x", "http://b.test/y"));
    assert!(page.beacon("/x", None).is_ok());
    page.client.prohibits_mixed_security_contexts = true;
    assert_eq!(page.beacon("https://a.test/x", None).unwrap_err(), NetworkError::MixedContent);
}

#[test]
fn the_policies_are_asked_about_the_url_that_hsts_has_made() {
    let secure = ("strict-transport-security", "max-age=60");
    let mut page = Page::new("http://a.test/", move |_| respond(204, &[secure]));
    page.beacon("https://a.test/learn", None).unwrap();
    page.client.csp_list.push_header("connect-src http://a.test:80", CspDisposition::Enforce);
    let blocked = page.beacon("http://a.test/", None).unwrap_err();
    assert!(matches!(blocked, NetworkError::Csp { .. }), "{blocked:?}");
    assert_eq!(page.last().url.as_str(), "https://a.test/", "the response is blocked");
}

#[test]
fn hsts_is_learnt_over_tls_and_upgrades_until_it_expires() {
    let page = Page::new("http://a.test/", |_| {
        respond(204, &[("strict-transport-security", "max-age=60; includeSubDomains")])
    });
    page.beacon("http://b.test/1", None).unwrap();
    page.beacon("http://b.test/2", None).unwrap();
    assert_eq!(page.last().url.as_str(), "http://b.test/2", "not learnt without TLS");
    page.beacon("https://b.test/3", None).unwrap();
    page.beacon("http://x.b.test/4", None).unwrap();
    assert_eq!(page.last().url.as_str(), "https://x.b.test/4");
    let upgraded: Vec<_> = page
        .observations()
        .into_iter()
        .filter_map(|observation| {
            if let Observation::Upgraded { url, .. } = observation {
                Some(url.to_string())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(upgraded, ["https://x.b.test/4"]);
    page.clock.advance(Duration::from_secs(60));
    page.beacon("http://b.test/5", None).unwrap();
    assert_eq!(page.last().url.as_str(), "http://b.test/5");
}

#[test]
fn a_cross_origin_resource_policy_blocks_an_opaque_response() {
    for (page_url, url, policy, is_allowed) in [
        (PAGE, "https://b.test/", "same-origin", false),
        (PAGE, "https://b.test/", "same-site", false),
        (PAGE, "https://b.test/", "cross-origin", true),
        (PAGE, "https://b.test/", "same-site, same-origin", true),
        (PAGE, "https://b.test/", "Same-Origin", true),
        (PAGE, "https://sub.a.test/", "same-site", true),
        (PAGE, "https://sub.a.test/", "same-origin", false),
        (PAGE, "https://a.test/", "same-origin", true),
        ("http://a.test/", "https://sub.a.test/", "same-site", false),
        ("http://a.test/", "http://sub.a.test/", "same-site", true),
    ] {
        let page =
            Page::new(page_url, move |_| respond(204, &[("cross-origin-resource-policy", policy)]));
        let result = page.beacon(url, None).map(drop);
        let blocked = Err(NetworkError::CrossOriginResourcePolicy);
        assert_eq!(result, if is_allowed { Ok(()) } else { blocked }, "{page_url} {url} {policy}");
    }
}

#[test]
fn an_embedder_policy_may_require_corp_or_omit_credentials() {
    let with = |embedder_policy| {
        let mut page = Page::new(PAGE, |_| respond(204, &[]));
        page.client.embedder_policy = embedder_policy;
        page
    };
    let blocked = NetworkError::CrossOriginResourcePolicy;
    let page = with(EmbedderPolicy::RequireCorp);
    assert_eq!(page.beacon("https://b.test/", None).unwrap_err(), blocked);
    let page = with(EmbedderPolicy::Credentialless);
    assert!(page.beacon("https://b.test/", None).is_ok());
    assert!(!page.last().connection.credentials);
    assert!(page.beacon("/same-origin", None).is_ok());
    assert!(page.last().connection.credentials);
}

#[test]
fn every_request_to_the_network_has_the_clients_address_space() {
    let mut page = Page::new(PAGE, redirects(307, "/to-b", "https://b.test/x"));
    page.client.address_space = Some(AddressSpace::Local);
    page.json("/to-b").unwrap();
    let sent = page.network.sent();
    let spaces: Vec<_> =
        sent.into_iter().map(|request| request.client.unwrap().address_space).collect();
    assert_eq!(spaces, [Some(AddressSpace::Local); 3], "{:?}", page.log());
}

#[test]
fn a_script_of_another_type_is_a_network_error() {
    for (mime_type, options, destination, is_allowed) in [
        ("text/plain", "nosniff", Destination::Script, false),
        ("text/plain", "nosniff", Destination::Empty, true),
        ("text/plain", "", Destination::Script, true),
        ("text/javascript", "nosniff", Destination::Script, true),
        ("image/png", "", Destination::Worker, false),
        ("image/png", "", Destination::Image, true),
        ("text/javascript", "nosniff", Destination::Style, false),
    ] {
        let headers = [("content-type", mime_type), ("x-content-type-options", options)];
        let page = Page::new(PAGE, move |_| respond(200, &headers));
        let mut request = page.request("https://a.test/x");
        request.destination = destination;
        match page.fetch(request) {
            Ok(_) => assert!(is_allowed, "{mime_type} {options} {destination:?}"),
            Err(error) => {
                assert_eq!(error, NetworkError::MimeType);
                assert!(!is_allowed, "{mime_type} {options} {destination:?}");
            }
        }
    }
}
