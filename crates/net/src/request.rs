use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use sendbeacon_fetch::{NetworkError, host::NetworkRequest};
use url::{Position, Url};

use crate::body::RequestBody;

/// A request as it goes on an HTTP/1.1 connection to its origin, and what HTTP/2 makes its own of.
pub(crate) type WireRequest = Request<RequestBody>;

/// The request as it goes on an HTTP/1.1 connection: an origin-form target, or an absolute-form one
/// to a proxy, and a `Host` header before all others
/// ([RFC 9110, section 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)).
pub(crate) fn wire_request(
    request: NetworkRequest,
    is_to_proxy: bool,
) -> Result<WireRequest, NetworkError> {
    let NetworkRequest { method, url, mut headers, body, .. } = request;
    if !is_as_it_goes(&headers, &url) {
        headers = with_host_first(headers, host(&url)?);
    }

    let mut wire = Request::new(RequestBody::new(body));
    *wire.method_mut() = method;
    *wire.uri_mut() = if is_to_proxy { absolute_target(&url) } else { target(&url) }?;
    *wire.headers_mut() = headers;
    Ok(wire)
}

/// Whether the list begins with the URL's host and has nothing else that is ours, as a fetch makes it.
fn is_as_it_goes(headers: &HeaderMap, url: &Url) -> bool {
    let mut headers = headers.iter();
    let host = &url[Position::BeforeHost..Position::AfterPort];
    headers.next().is_some_and(|(name, value)| *name == HOST && value == host)
        && !headers.any(|(name, _)| is_ours(name))
}

fn with_host_first(given: HeaderMap, host: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    headers.insert(HOST, host);
    let mut is_kept = true;
    headers.extend(given.into_iter().filter(|(name, _)| {
        // A header's further values come without its name.
        is_kept = name.as_ref().map_or(is_kept, |name| !is_ours(name));
        is_kept
    }));
    headers
}

/// Whether the header is ours, whatever the request says: Host is the URL's, and what concerns one
/// connection only is decided with the connection
/// ([RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The same request for an HTTP/2 connection: its host is the `:authority` of an absolute URI
/// ([RFC 9113, section 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
///
/// A copy, since what `h2` was given it does not give back, and a request that the server did not
/// process is sent again.
pub(crate) fn http2_request(wire: &WireRequest) -> Result<(Request<()>, Bytes), NetworkError> {
    let unsendable = |error: http::Error| {
        NetworkError::Unsendable(format!("HTTP/2 cannot have such a host: {error}"))
    };
    let mut uri = wire.uri().clone().into_parts();
    uri.scheme = Some(Scheme::HTTPS);
    if let Some(host) = wire.headers().get(HOST) {
        let authority = Authority::try_from(host.as_bytes());
        uri.authority = Some(authority.map_err(|error| unsendable(error.into()))?);
    }
    let mut headers = HeaderMap::with_capacity(wire.headers().len());
    for (name, value) in wire.headers().iter().filter(|(name, _)| *name != HOST) {
        headers.append(name, value.clone());
    }

    let mut request = Request::new(());
    *request.method_mut() = wire.method().clone();
    *request.uri_mut() = Uri::from_parts(uri).map_err(|error| unsendable(error.into()))?;
    *request.headers_mut() = headers;
    Ok((request, wire.body().bytes.clone()))
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
