//! [Reports](https://w3c.github.io/webappsec-csp/#reporting) of violations to the endpoints of `report-uri`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::json;

use super::{
    policy::CspDisposition,
    violation::{CspViolation, strip_url_for_use_in_reports},
};
use crate::{
    client::Client,
    destination::Destination,
    request::{InitiatorType, Mode, RedirectMode, Request},
};

/// [Report a violation](https://w3c.github.io/webappsec-csp/#report-violation): one request for each endpoint in the
/// `report-uri` of the violated policy, for the caller to fetch. Nobody reads the responses.
///
/// The engine fires the event and handles `report-to`.
pub fn report_violation(
    violation: &CspViolation,
    client: &Arc<Client>,
) -> impl Iterator<Item = Request> {
    // Step 3.4.1.
    let is_replaced = violation.report_to.is_some();
    let tokens: &[String] = if is_replaced { &[] } else { &violation.report_uri };
    let body = match tokens {
        [] => Bytes::new(),
        _ => deprecated_serialization(violation, client),
    };
    // Step 3.4.2.
    tokens.iter().filter_map(move |token| {
        // Steps 3.4.2.1 and 3.4.2.2.
        let endpoint = client.creation_url.join(token).ok()?;
        // Step 3.4.2.3.
        let mut request = Request::new(Arc::clone(client), endpoint);
        request.method = Method::POST;
        request.destination = Destination::Report;
        request.initiator_type = InitiatorType::Null;
        request.keepalive = true;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/csp-report"));
        request.body = Some(body.clone().into());
        request.redirect = RedirectMode::Error;
        request.mode = Mode::NoCors;
        request.unsafe_request = false;
        // The caller does Step 3.4.2.4.
        Some(request)
    })
}

/// [Obtain the deprecated serialization of violation](https://w3c.github.io/webappsec-csp/#deprecated-serialize-violation).
fn deprecated_serialization(violation: &CspViolation, client: &Client) -> Bytes {
    // Step 1.
    let mut body = json!({
        "document-uri": strip_url_for_use_in_reports(client.creation_url.clone()),
        "referrer": client.document_referrer.clone().map(strip_url_for_use_in_reports).unwrap_or_default(),
        "blocked-uri": &*violation.blocked_uri,
        "effective-directive": violation.effective_directive,
        "violated-directive": violation.effective_directive,
        "original-policy": &*violation.original_policy,
        "disposition": match violation.disposition {
            CspDisposition::Enforce => "enforce",
            CspDisposition::Report => "report",
        },
        "status-code": client.document_status.map_or(0, |status| status.as_u16()),
        "script-sample": violation.sample,
    });
    // Step 2.
    if let Some(source_file) = violation.source_file.clone() {
        body["source-file"] = strip_url_for_use_in_reports(source_file).into();
        body["line-number"] = violation.line_number.into();
        body["column-number"] = violation.column_number.into();
    }
    // Step 4.
    json!({ "csp-report": body }).to_string().into()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::Value;
    use url::Url;

    use super::*;
    use crate::Nonce;

    fn client() -> Arc<Client> {
        let mut client =
            Client::new(Url::parse("https://u:p@a.test/d/page?q#f").unwrap(), Nonce::from_u128(0));
        client.document_referrer = Some(Url::parse("http://b.test/from#f").unwrap());
        client.document_status = Some(StatusCode::NOT_FOUND);
        Arc::new(client)
    }

    fn violation(policy: &str) -> CspViolation {
        CspViolation::new(policy, CspDisposition::Report, "script-src-elem", "inline")
    }

    fn report(violation: &CspViolation) -> Value {
        serde_json::from_slice(&deprecated_serialization(violation, &client())).unwrap()
    }

    #[test]
    fn a_report_has_the_fields_of_the_standard() {
        let policy = "script-src 'self'; report-uri /r";
        let mut violation = violation(policy);
        violation.sample = "alert(\"\u{e9}\")".into();
        let mut expected = json!({ "csp-report": {
            "document-uri": "https://a.test/d/page?q",
            "referrer": "http://b.test/from",
            "blocked-uri": "inline",
            "effective-directive": "script-src-elem",
            "violated-directive": "script-src-elem",
            "original-policy": policy,
            "disposition": "report",
            "status-code": 404,
            "script-sample": "alert(\"\u{e9}\")",
        }});
        assert_eq!(report(&violation), expected);
        violation.source_file = Some(Url::parse("blob:https://a.test/0").unwrap());
        (violation.line_number, violation.column_number) = (7, 39);
        let body = &mut expected["csp-report"];
        body["source-file"] = "blob".into();
        body["line-number"] = 7.into();
        body["column-number"] = 39.into();
        assert_eq!(report(&violation), expected);
    }

    #[test]
    fn each_valid_endpoint_gets_a_report() {
        let client = client();
        let endpoints = |policy: &str| -> Vec<String> {
            let violation = violation(policy);
            let requests = report_violation(&violation, &client);
            requests.map(|request| request.url().to_string()).collect()
        };
        let expected = ["https://u:p@a.test/1", "https://b.test/2?x"];
        assert_eq!(endpoints("report-uri /1 http://[ //b.test/2?x"), expected);
        assert_eq!(endpoints("report-uri /1; report-uri /2"), expected[..1]);
        assert!(endpoints("script-src 'none'").is_empty());
        assert!(endpoints("report-uri").is_empty());
        assert!(endpoints("report-uri /1; report-to group").is_empty());
        assert!(endpoints("report-uri /1; report-to").is_empty());
    }
}
