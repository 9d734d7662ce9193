use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Uri,
    header::{HOST, TRANSFER_ENCODING},
};
use http_body_util::Full;
use sendbeacon_fetch::{NetworkError, host::NetworkRequest};
use url::{Position, Url};

use crate::WireRequest;

/// The request as it goes on an HTTP/1.1 connection: an origin-form target, or an absolute-form one
/// to a proxy, and a `Host` header before all others
/// ([RFC 9110, section 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)).
pub(crate) fn wire_request(
    request: NetworkRequest,
    is_to_proxy: bool,
) -> Result<WireRequest, NetworkError> {
    let NetworkRequest { method, url, headers: mut given, body, .. } = request;
    // Host is the URL's, whatever the headers say, and framing is ours.
    given.remove(HOST);
    given.remove(TRANSFER_ENCODING);
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    headers.insert(HOST, host(&url)?);
    headers.extend(given);

    let mut wire = Request::new(Full::<Bytes>::new(body));
    *wire.method_mut() = method;
    *wire.uri_mut() = if is_to_proxy { absolute_target(&url) } else { target(&url) }?;
    *wire.headers_mut() = headers;
    Ok(wire)
}

/// Path and query: neither the fragment nor the credentials are part of either.
fn target(url: &Url) -> Result<Uri, NetworkError> {
    uri(&url[Position::BeforePath..Position::AfterQuery])
}

/// The same behind scheme, host and port.
fn absolute_target(url: &Url) -> Result<Uri, NetworkError> {
    let before = &url[..Position::AfterScheme];
    uri(&format!("{before}://{}", &url[Position::BeforeHost..Position::AfterQuery]))
}

fn uri(target: &str) -> Result<Uri, NetworkError> {
    Uri::try_from(target).map_err(|error| {
        let length = target.len();
        NetworkError::Unsendable(format!("cannot send a URL of {length} bytes: {error}"))
    })
}

/// Host and port, IPv6 addresses in brackets, without a default port.
fn host(url: &Url) -> Result<HeaderValue, NetworkError> {
    HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|error| NetworkError::Unsendable(format!("cannot send the URL's host: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(url: &str) -> HeaderValue {
        host(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn host_has_brackets_and_only_a_port_that_is_not_the_default() {
        assert_eq!(host_of("http://[::1]:8080/x"), "[::1]:8080");
        assert_eq!(host_of("https://[::1]:443/"), "[::1]");
        assert_eq!(host_of("http://u:p@A.test:80/"), "a.test");
        assert_eq!(host_of("https://a.test:80"), "a.test:80");
        assert_eq!(host_of("http://b\u{fc}cher.test/"), "xn--bcher-kva.test");
    }

    #[test]
    fn absolute_target_is_the_url_without_credentials_and_fragment() {
        for (url, target) in [
            ("http://u:p@a.test/x?y#z", "http://a.test/x?y"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
        ] {
            assert_eq!(absolute_target(&Url::parse(url).unwrap()).unwrap().to_string(), target);
        }
    }

    #[test]
    fn every_path_and_query_the_url_parser_lets_through_can_be_sent() {
        let mut text: String = (0x20..0x7F_u8).map(char::from).filter(|c| *c != '#').collect();
        text.push_str("\u{e4}%zz%");
        let url = Url::parse(&format!("http://a.test//{text}?{text}#fragment")).unwrap();
        let uri = target(&url).unwrap();
        assert_eq!(uri.to_string(), url[Position::BeforePath..Position::AfterQuery]);
        assert_eq!(target(&Url::parse("http://a.test?").unwrap()).unwrap().to_string(), "/?");
        let uri = absolute_target(&url).unwrap();
        assert_eq!(uri.to_string(), url[..Position::AfterQuery]);
    }
}
