//! [Hyperlink auditing](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing).

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use url::{EncodingOverride, Url};

use crate::{
    Client, InitiatorType, Ledger, Request, Reservation, Weight,
    http_url::{MAX_URL_LENGTH, is_http, url_length},
    origin::same_origin,
    request::{CredentialsMode, Mode, Referrer},
};

const PING_FROM: HeaderName = HeaderName::from_static("ping-from");
const PING_TO: HeaderName = HeaderName::from_static("ping-to");
const BODY: &[u8] = b"PING";

/// An admitted ping: one URL of the `ping` attribute of a followed hyperlink.
#[derive(Debug)]
pub struct Ping {
    url: Arc<Url>,
    target_url: Url,
    client: Arc<Client>,
    reservation: Reservation,
}

/// [Hyperlink auditing](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing), up to the
/// requests: admits a ping for each URL of the `ping` attribute.
///
/// `ping` and `href` are the values of the attributes. `encoding` encodes the query of a URL in the
/// document's encoding; it is `None` for UTF-8. A URL that does not parse gets no ping, and neither does a URL
/// that [`Ping::admit`] refuses. If `href` does not parse, there are no pings.
///
/// Call it on the script thread. It takes no lock and does not block.
///
/// ```
/// use std::sync::Arc;
///
/// use sendbeacon_fetch::{
///     Client, KeepaliveLimits, Ledger, Nonce, hyperlink_auditing::hyperlink_auditing,
/// };
///
/// let client = Arc::new(Client::new("https://a.test/page".parse()?, Nonce::random()));
/// let ledger = Ledger::new(KeepaliveLimits::default());
/// // <a href="/next" ping="/audit">
/// let pings = hyperlink_auditing(&client, &ledger, "/audit", "/next", None);
/// for ping in pings {
///     let (request, _reservation) = ping.into_request();
///     assert_eq!(request.url().as_str(), "https://a.test/audit");
///     assert_eq!(request.headers["ping-to"], "https://a.test/next");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn hyperlink_auditing(
    client: &Arc<Client>,
    ledger: &Arc<Ledger>,
    ping: &str,
    href: &str,
    encoding: EncodingOverride<'_>,
) -> Vec<Ping> {
    let base = Url::options().base_url(Some(&client.api_base_url)).encoding_override(encoding);
    let Ok(target_url) = base.parse(href) else { return Vec::new() };
    ping.split_ascii_whitespace()
        .filter_map(|token| base.parse(token).ok())
        .filter_map(|url| Ping::admit(client, ledger, url, target_url.clone()))
        .collect()
}

/// The URL of the document, if a ping to `url` has it in `Ping-From`.
fn told_document_url<'a>(client: &'a Client, url: &Url) -> Option<&'a Url> {
    // NB: the creation URL of a `srcdoc` document is the URL of an ancestor.
    let document_url = &client.creation_url;
    let tells = same_origin(document_url, url) || document_url.scheme() != "https";
    tells.then_some(document_url)
}

impl Ping {
    /// Admits a ping. `None` if the ping is refused; nothing has changed then.
    ///
    /// A ping is refused if
    /// * its URL is not http(s),
    /// * its URL, its target URL or the document's URL in `Ping-From` is longer than 65,534 bytes,
    /// * `ledger` has no room for these URLs and the body, or is closed,
    /// * there is no memory for it: see [`Ledger::reserve_for`].
    ///
    /// [`hyperlink_auditing`] calls this on the script thread. The network process calls it again for a ping that
    /// a content process has admitted.
    #[must_use]
    pub fn admit(
        client: &Arc<Client>,
        ledger: &Arc<Ledger>,
        url: Url,
        target_url: Url,
    ) -> Option<Self> {
        // Step 1. The embedder does Step 2: it does not call for a user who wants no pings.
        if !is_http(&url) {
            return None;
        }
        let from_length = told_document_url(client, &url).map_or(0, |from| from.as_str().len());
        let lengths = [url_length(&url), target_url.as_str().len(), from_length];
        if lengths.iter().any(|length| *length > MAX_URL_LENGTH) {
            return None;
        }
        let url_bytes = lengths.iter().sum::<usize>() as u64;
        let weight = Weight { body_bytes: BODY.len() as u64, url_bytes, header_bytes: 0 };
        let reservation = ledger.reserve_for(client, weight)?;
        // Step 3.
        Some(Self { url: Arc::new(url), target_url, client: Arc::clone(client), reservation })
    }

    /// The ping URL.
    #[must_use]
    pub fn url(&self) -> &Arc<Url> {
        &self.url
    }

    /// The target URL, to which the hyperlink leads.
    #[must_use]
    pub fn target_url(&self) -> &Url {
        &self.target_url
    }

    /// The settings object of the element's node document.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The length of the body in bytes, the same for each ping.
    pub const BODY_LENGTH: u64 = BODY.len() as u64;

    /// Sets the guard of its reservation: see [`Reservation::with_guard`].
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.reservation = self.reservation.with_guard(guard);
        self
    }

    /// Its reservation in the ledger.
    pub fn reservation_mut(&mut self) -> &mut Reservation {
        &mut self.reservation
    }

    /// Its reservation in the ledger, for a process that lets another process make the request.
    pub fn into_reservation(self) -> Reservation {
        self.reservation
    }

    /// Makes the request to [fetch](crate::fetch::fetch), and returns it with the reservation to keep until the
    /// fetch is done.
    pub fn into_request(self) -> (Request, Reservation) {
        let Self { url, target_url, client, reservation } = self;
        (Self::request(client, url, target_url), reservation)
    }

    /// Makes the request of a ping from its parts: those of an admitted ping, or of one that an outbox has kept.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn request(client: Arc<Client>, url: Arc<Url>, target_url: Url) -> Request {
        let from = told_document_url(&client, &url).cloned().map(|from| (PING_FROM, from));
        // Step 4. NB: the use-URL-credentials flag has no effect, because after a 401 nobody is asked for
        // credentials here.
        let mut request = Request::with_shared_url(client, url);
        request.method = Method::POST;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/ping"));
        request.body = Some(Bytes::from_static(BODY).into());
        request.mode = Mode::NoCors;
        request.unsafe_request = false;
        request.credentials = CredentialsMode::Include;
        request.referrer = Referrer::NoReferrer;
        request.initiator_type = InitiatorType::Ping;
        // NB: the text does not set keepalive, so the navigation to the hyperlink would stop the ping. In all
        // three browsers the ping goes on.
        request.keepalive = true;
        // Step 5.
        for (name, url) in from.into_iter().chain([(PING_TO, target_url)]) {
            // NB: a serialised URL is always a header value: it is ASCII and has no control characters.
            request.headers.extend(HeaderValue::from_str(url.as_str()).ok().map(|it| (name, it)));
        }
        // Step 6 is the caller's.
        request
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::{KeepaliveLimits, Nonce};

    fn client() -> Arc<Client> {
        Arc::new(Client::new(Url::parse("https://a.test/d/page?q#f").unwrap(), Nonce::from_u128(0)))
    }

    fn urls(pings: &[Ping]) -> Vec<&str> {
        pings.iter().map(|ping| ping.url.as_str()).collect()
    }

    #[test]
    fn each_http_url_of_the_attribute_is_pinged_and_no_other_is() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let ping = "  x\t//b.test/?y \n ftp://c.test/ http://[ \u{c} data:, HTTP://c.test x ";
        let pings = hyperlink_auditing(&client(), &ledger, ping, "../to", None);
        let expected =
            ["https://a.test/d/x", "https://b.test/?y", "http://c.test/", "https://a.test/d/x"];
        assert_eq!(urls(&pings), expected);
        assert!(pings.iter().all(|ping| ping.target_url.as_str() == "https://a.test/to"));
    }

    #[test]
    fn only_ascii_whitespace_separates_urls() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let pings = hyperlink_auditing(&client(), &ledger, "/a\u{a0}/b", "/", None);
        assert_eq!(urls(&pings), ["https://a.test/a%C2%A0/b"]);
    }

    #[test]
    fn a_hyperlink_whose_url_does_not_parse_is_not_audited() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        assert!(hyperlink_auditing(&client(), &ledger, "/x", "http://[", None).is_empty());
        assert_eq!(hyperlink_auditing(&client(), &ledger, "/x", "javascript:0", None).len(), 1);
    }

    #[test]
    fn queries_are_encoded_in_the_documents_encoding() {
        fn latin1(text: &str) -> Cow<'_, [u8]> {
            text.chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<_>>().into()
        }
        let ledger = Ledger::new(KeepaliveLimits::default());
        let pings =
            hyperlink_auditing(&client(), &ledger, "/\u{e9}?\u{e9}", "?\u{e9}", Some(&latin1));
        assert_eq!(urls(&pings), ["https://a.test/%C3%A9?%E9"]);
        assert_eq!(pings[0].target_url.as_str(), "https://a.test/d/page?%E9");
    }

    #[test]
    fn the_urls_in_a_pings_headers_count_in_the_ledger() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let _pings = hyperlink_auditing(&client(), &ledger, "/1 https://b.test/2", "/to", None);
        let told = ["https://a.test/1", "https://a.test/to", "https://a.test/d/page?q#f"];
        let hidden = ["https://b.test/2", "https://a.test/to"];
        let lengths = told.iter().chain(&hidden).map(|url| url.len() as u64);
        assert_eq!(ledger.inflight().url_bytes, lengths.sum::<u64>());
    }

    #[test]
    fn a_ping_without_room_or_with_an_overlong_url_is_not_sent() {
        let ledger = Ledger::new(KeepaliveLimits { body_bytes: 8, ..KeepaliveLimits::default() });
        let pings = hyperlink_auditing(&client(), &ledger, "/1 /2 /3", "/", None);
        assert_eq!(urls(&pings), ["https://a.test/1", "https://a.test/2"]);
        assert_eq!(ledger.inflight().body_bytes, 8);
        drop(pings);
        let long = format!("javascript:{}", "x".repeat(MAX_URL_LENGTH));
        assert!(hyperlink_auditing(&client(), &ledger, "/1", &long, None).is_empty());
        let long = "x".repeat(MAX_URL_LENGTH);
        assert!(hyperlink_auditing(&client(), &ledger, &long, "/", None).is_empty());
        let mut client = Arc::unwrap_or_clone(client());
        client.creation_url.set_query(Some(&long));
        let client = Arc::new(client);
        // A ping to another origin does not have the document's URL.
        let pings = hyperlink_auditing(&client, &ledger, "/1 https://b.test/", "/", None);
        assert_eq!(urls(&pings), ["https://b.test/"]);
        drop(pings);
        assert_eq!(ledger.inflight().requests, 0);
    }
}
