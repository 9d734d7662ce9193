//! Tests of the settings object that is made of what a script says and what a response had.

use super::*;

fn beginning(origin: &str) -> Beginning {
    Beginning {
        origin: origin.to_owned(),
        is_secure: true,
        referrer: "https://b.test/".to_owned(),
        languages: "en-GB,en,de".to_owned(),
        ancestors: vec![],
        nonce: Nonce::from_u128(1),
    }
}

fn settings(url: &str) -> Settings {
    let url = Url::parse(url).unwrap();
    Settings { base: url.clone(), url, referrer_policies: vec![], policies: vec![] }
}

fn head(url: &str, headers: &[(&'static str, &'static str)]) -> Head {
    let headers = headers.iter().map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    Head { url: Url::parse(url).unwrap(), status: Some(StatusCode::OK), headers: headers.collect() }
}

#[test]
fn a_document_has_the_policies_of_its_response() {
    let head = head(
        "https://a.test/page",
        &[
            ("referrer-policy", "origin"),
            ("content-security-policy", "connect-src 'none'; upgrade-insecure-requests"),
            ("content-security-policy-report-only", "connect-src 'none'"),
        ],
    );
    let settings = settings("https://a.test/page#fragment");
    let client = settings.client(&beginning("https://a.test"), Some(&head), None).unwrap();
    assert_eq!(client.referrer_policy, ReferrerPolicy::Origin);
    assert!(client.upgrade_insecure_requests);
    let url = Url::parse("https://c.test/").unwrap();
    let violations = client.csp_list.violations_of("connect-src", &url);
    assert_eq!(violations.len(), 2, "one of each disposition");
    assert_eq!(client.document_status, Some(StatusCode::OK));
    assert_eq!(client.document_referrer.unwrap().as_str(), "https://b.test/");
    assert_eq!(client.accept_language.unwrap(), "en-GB, en;q=0.9, de;q=0.8");
}

#[test]
fn no_number_of_headers_of_a_response_panics() {
    let mut headers = HeaderMap::new();
    for number in 0..40_000 {
        add_policy(&mut headers, &format!("x-{number}"), "x");
        add_policy(&mut headers, "Referrer-Policy", "origin");
    }
    add_policy(&mut headers, "set-cookie", "session=1");
    add_policy(&mut headers, "Content-Security-Policy", "\n");
    assert_eq!(headers.keys_len(), 1);
    let settings = settings("https://a.test/page");
    let head = Head { url: settings.url.clone(), status: None, headers };
    let client = settings.client(&beginning("https://a.test"), Some(&head), None).unwrap();
    assert_eq!(client.referrer_policy, ReferrerPolicy::Origin);
}

#[test]
fn a_document_does_not_have_the_policies_of_another_response() {
    let head = head("https://a.test/other", &[("referrer-policy", "no-referrer")]);
    assert!(!settings("https://a.test/page").is_of(&head));
    assert!(settings("https://a.test/other#fragment").is_of(&head));
}

#[test]
fn the_policies_of_meta_elements_are_added() {
    let mut settings = settings("https://a.test/page");
    settings.policies = vec!["connect-src 'none'".to_owned()];
    settings.referrer_policies = ["no-referrer", "nonsense"].map(str::to_owned).to_vec();
    let client = settings.client(&beginning("https://a.test"), None, None).unwrap();
    assert_eq!(client.referrer_policy, ReferrerPolicy::NoReferrer);
    let url = Url::parse("https://c.test/").unwrap();
    assert_eq!(client.csp_list.violations_of("connect-src", &url).len(), 1);
}

#[test]
fn a_script_cannot_name_an_origin_that_its_url_does_not_have() {
    for (url, origin) in [
        ("https://a.test/", "https://b.test"),
        ("https://a.test/", "http://a.test"),
        ("https://a.test:8443/", "https://a.test"),
        ("https://a.test/", ""),
        ("tauri://localhost/", "https://a.test"),
        ("tauri://localhost/", "tauri://other"),
        ("data:,x", "https://a.test"),
    ] {
        let client = settings(url).client(&beginning(origin), None, None);
        assert!(matches!(client, Err(MessageError::Field("origin"))), "{url} {origin}");
    }
}

#[test]
fn a_scheme_of_the_apps_own_has_an_origin_and_is_secure() {
    let client = settings("tauri://localhost/index.html");
    let client = client.client(&beginning("tauri://localhost"), None, None).unwrap();
    assert_eq!(client.origin.serialize(), "tauri://localhost");
    assert!(client.is_secure_context && client.prohibits_mixed_security_contexts);
}

#[test]
fn a_sandboxed_document_has_an_opaque_origin() {
    let client = settings("https://a.test/").client(&beginning("null"), None, None).unwrap();
    assert_eq!(client.origin, Origin::Opaque(Nonce::from_u128(1)));
}

#[test]
fn a_page_of_the_machine_may_send_to_http() {
    let client = settings("http://127.0.0.1/").client(&beginning("http://127.0.0.1"), None, None);
    let client = client.unwrap();
    assert!(client.is_secure_context && !client.prohibits_mixed_security_contexts);
}
