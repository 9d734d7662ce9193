//! A request before and after the protocol of its connection is known.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use sendbeacon_fetch::{NetworkError, host::NetworkRequest};
use url::{Position, Url};

use crate::{pool::key::PoolKey, request_body::RequestBody};

/// A request in the form that hyper writes to an HTTP/1.1 connection.
pub(crate) type Http1Request = Request<RequestBody>;

/// A request that waits for its connection. Boxed, so that the request's future stays small.
pub(crate) enum UnsentRequest {
    /// The request as fetch made it: the TLS handshake will choose the protocol.
    Undecided(Box<FetchedRequest>),
    /// The request in the form of HTTP/1.1: without TLS there is no other protocol. hyper also gives a
    /// request back in this form, if it finds the connection closed.
    Http1(Box<Http1Request>),
}

/// A request as fetch made it.
pub(crate) struct FetchedRequest {
    method: Method,
    url: Arc<Url>,
    uris: Arc<Uris>,
    headers: Arc<HeaderMap>,
    body: Bytes,
}

/// The URL of a request, in the forms in which it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Uris {
    /// What HTTP/1.1 asks for: the path and the query, or the whole URL for a proxy.
    http1: Uri,
    /// What HTTP/2 asks for: the whole URL. `None` if HTTP/2 is not spoken, or cannot have such a host.
    http2: Option<Uri>,
}

impl Uris {
    /// The forms of `url` on connections of this key. Fails if the URL is too long to be sent, so that no connection is made
    /// for the request.
    pub(crate) fn of(url: &Url, key: &PoolKey) -> Result<Self, NetworkError> {
        let http1 = if key.is_to_proxy() { absolute_target(url)? } else { target(url)? };
        let http2 = key.tls.then(|| with_authority(http1.clone(), host(url).as_bytes())).flatten();
        Ok(Self { http1, http2 })
    }
}

impl UnsentRequest {
    /// Takes the parts of a request that are sent.
    pub(crate) fn new(
        request: NetworkRequest,
        uris: Arc<Uris>,
        is_over_tls: bool,
    ) -> Result<Self, NetworkError> {
        let NetworkRequest { method, url, headers, body, .. } = request;
        let headers = combined(headers);
        let request = FetchedRequest { method, url, uris, headers, body };
        if is_over_tls {
            Ok(Self::Undecided(Box::new(request)))
        } else {
            request.into_http1().map(Self::Http1)
        }
    }

    /// The request that was written to an HTTP/1.1 connection with this head. `None` if that is not a head as hyper
    /// writes it.
    pub(crate) fn written(head: &[u8], body: Bytes) -> Option<Self> {
        let lines = head.split(|byte| *byte == b'\n').count();
        let mut fields = vec![httparse::EMPTY_HEADER; lines];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(head).ok()?;
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in &*parsed.headers {
            let value = HeaderValue::from_bytes(field.value).ok()?;
            headers.append(HeaderName::from_bytes(field.name.as_bytes()).ok()?, value);
        }
        let mut request = Request::new(RequestBody::new(body));
        *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
        *request.uri_mut() = Uri::try_from(parsed.path?).ok()?;
        *request.headers_mut() = headers;
        Some(Self::Http1(Box::new(request)))
    }

    /// The request as it goes on an HTTP/1.1 connection.
    pub(crate) fn into_http1(self) -> Result<Box<Http1Request>, NetworkError> {
        match self {
            Self::Undecided(request) => request.into_http1(),
            Self::Http1(request) => Ok(request),
        }
    }

    /// The head of the request as it goes on an HTTP/2 connection, and its body. The host is the
    /// `:authority` of an absolute URI
    /// ([RFC 9113, section 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
    ///
    /// The head is a copy: `h2` does not give a head back, and a request that the server did not process
    /// is sent again.
    pub(crate) fn to_http2(&self) -> Result<(Request<()>, Bytes), NetworkError> {
        let (method, uri, headers, body) = match self {
            Self::Undecided(request) => {
                let FetchedRequest { method, uris, headers, body, .. } = &**request;
                (method, uris.http2.clone(), &**headers, body)
            }
            Self::Http1(request) => {
                let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
                let uri = host.and_then(|host| with_authority(request.uri().clone(), host));
                (request.method(), uri, request.headers(), &request.body().bytes)
            }
        };
        let no_host = || NetworkError::Unsendable("HTTP/2 cannot have such a host".into());
        let mut head = Request::new(());
        *head.method_mut() = method.clone();
        *head.uri_mut() = uri.ok_or_else(no_host)?;
        *head.headers_mut() = without_connection_headers(headers);
        Ok((head, body.clone()))
    }
}

impl FetchedRequest {
    /// The request as it goes on an HTTP/1.1 connection: an origin-form target, or an absolute-form one
    /// to a proxy, and a `Host` header before all others
    /// ([RFC 9110, section 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)).
    fn into_http1(self) -> Result<Box<Http1Request>, NetworkError> {
        let Self { method, url, uris, headers, body } = self;
        let mut headers = Arc::unwrap_or_clone(headers);
        if !is_ready_for_http1(&headers, &url) {
            headers = with_host_first(headers, host_header(&url)?);
        }
        let mut request = Request::new(RequestBody::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uris.http1.clone();
        *request.headers_mut() = headers;
        Ok(Box::new(request))
    }
}

/// Makes one header of those that have the same name, as all browsers do
/// ([combine](https://fetch.spec.whatwg.org/#concept-header-list-combine)).
fn combined(headers: Arc<HeaderMap>) -> Arc<HeaderMap> {
    if headers.len() == headers.keys_len() {
        return headers;
    }
    let mut combined = HeaderMap::with_capacity(headers.keys_len());
    for name in headers.keys() {
        let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        // Values stay valid when they are joined.
        let value = HeaderValue::from_bytes(&values.join(&b", "[..])).ok();
        combined.extend(value.map(|value| (name.clone(), value)));
    }
    Arc::new(combined)
}

/// Whether the list begins with the URL's host and has no other header of the connection. The list of a
/// fetch does.
fn is_ready_for_http1(headers: &HeaderMap, url: &Url) -> bool {
    let first = headers.iter().next();
    first.is_some_and(|(name, value)| *name == HOST && value == host(url))
        && !headers.keys().skip(1).any(belongs_to_connection)
}

fn with_host_first(given: HeaderMap, host: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    headers.insert(HOST, host);
    let mut is_kept = true;
    headers.extend(given.into_iter().filter(|(name, _)| {
        // The iterator gives the name of a header only with the first of its values.
        is_kept = name.as_ref().map_or(is_kept, |name| !belongs_to_connection(name));
        is_kept
    }));
    headers
}

/// Whether the network sets the header, whatever the request says. `Host` comes from the URL, and the
/// others concern one connection only
/// ([RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
fn belongs_to_connection(name: &HeaderName) -> bool {
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

/// The headers of a request as they go on an HTTP/2 connection. NB: a clone costs less than a new list.
/// `HeaderMap::remove` then puts the last header in the place of `Host`.
fn without_connection_headers(headers: &HeaderMap) -> HeaderMap {
    let mut own = headers.clone();
    own.remove(HOST);
    if !own.keys().any(belongs_to_connection) {
        return own;
    }
    let mut own = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !belongs_to_connection(name)) {
        own.append(name, value.clone());
    }
    own
}

/// The whole URL of a target on this host. `None` if HTTP/2 cannot have such a host.
fn with_authority(target: Uri, host: &[u8]) -> Option<Uri> {
    let mut uri = target.into_parts();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = Some(Authority::try_from(host).ok()?);
    Uri::from_parts(uri).ok()
}

/// The path and the query, without the fragment and the credentials.
fn target(url: &Url) -> Result<Uri, NetworkError> {
    uri(&url[Position::BeforePath..Position::AfterQuery])
}

/// The scheme, the host, the port, the path and the query.
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

/// The host and the port, with an IPv6 address in brackets and without a default port.
fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

fn host_header(url: &Url) -> Result<HeaderValue, NetworkError> {
    HeaderValue::from_str(host(url))
        .map_err(|error| NetworkError::Unsendable(format!("cannot send the URL's host: {error}")))
}

#[cfg(test)]
mod tests {
    use foldhash::quality::RandomState;
    use http::header::{ACCEPT, CONTENT_LENGTH};
    use sendbeacon_fetch::{Nonce, PartitionKey, Site, host::ConnectionKey};

    use super::*;

    fn request(url: &str, headers: &[(HeaderName, &'static str)]) -> UnsentRequest {
        let partition =
            PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(0)), second_key: None };
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let connection = ConnectionKey::new(partition, false);
        let request = NetworkRequest::new(Method::POST, Url::parse(url).unwrap(), connection)
            .with_headers(headers.collect())
            .with_body(Bytes::from_static(b"body"));
        let key = PoolKey::of(&request, None, &RandomState::default()).unwrap();
        let uris = Arc::new(Uris::of(&request.url, &key).unwrap());
        UnsentRequest::new(request, uris, key.tls).unwrap()
    }

    #[test]
    fn a_target_of_the_longest_length_is_sent_over_both_protocols() {
        let path = "x".repeat(65_530);
        let (head, _) =
            request(&format!("https://a-long-host.test/{path}"), &[]).to_http2().unwrap();
        assert_eq!(head.uri().path().len(), 1 + path.len());
        assert_eq!(head.uri().host(), Some("a-long-host.test"));
    }

    #[test]
    fn a_host_that_http2_cannot_have_is_sent_over_http1() {
        let error = request("https://a`b.test/", &[]).to_http2().unwrap_err();
        assert!(error.to_string().contains("HTTP/2 cannot have such a host"), "{error}");
        let request = request("https://a`b.test/", &[]).into_http1().unwrap();
        assert_eq!(request.headers()[HOST], "a`b.test");
    }

    #[test]
    fn request_that_hyper_gave_back_has_the_same_form_on_http2() {
        let make = || {
            request(
                "https://u:p@a.test:8443/path?query#fragment",
                &[(HOST, "evil.test"), (ACCEPT, "*/*"), (CONTENT_LENGTH, "4")],
            )
        };
        let (fetched, body) = make().to_http2().unwrap();
        assert_eq!(fetched.uri(), "https://a.test:8443/path?query");
        let mut names: Vec<_> = fetched.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, [ACCEPT.as_str(), CONTENT_LENGTH.as_str()]);
        assert_eq!(body, "body");

        let given_back = UnsentRequest::Http1(make().into_http1().unwrap());
        let (head, body) = given_back.to_http2().unwrap();
        assert_eq!((head.method(), head.uri()), (fetched.method(), fetched.uri()));
        assert_eq!(head.headers(), fetched.headers());
        assert_eq!(body, "body");
    }

    fn host_of(url: &str) -> HeaderValue {
        host_header(&Url::parse(url).unwrap()).unwrap()
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
    fn every_path_and_query_that_the_url_parser_accepts_can_be_sent() {
        let mut text: String = (0x20..0x7F_u8).map(char::from).filter(|c| *c != '#').collect();
        text.push_str("\u{e4}%zz%");
        let url = Url::parse(&format!("http://a.test//{text}?{text}#fragment")).unwrap();
        let uri = target(&url).unwrap();
        assert_eq!(uri.to_string(), url[Position::BeforePath..Position::AfterQuery]);
        let head = format!("POST {uri} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let written = UnsentRequest::written(head.as_bytes(), Bytes::new()).unwrap();
        assert_eq!(*written.into_http1().unwrap().uri(), uri);
        assert_eq!(target(&Url::parse("http://a.test?").unwrap()).unwrap().to_string(), "/?");
        let uri = absolute_target(&url).unwrap();
        assert_eq!(uri.to_string(), url[..Position::AfterQuery]);
    }
}
