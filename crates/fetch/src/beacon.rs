//! The [Beacon processing model](https://w3c.github.io/beacon/#sec-processing-model).

use std::{any::Any, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use url::Url;

use crate::{
    Body, BodyInit, Client, InitiatorType, Ledger, Request, Reservation, TypeError, Weight,
    body::extract,
    headers::safelist::is_cors_safelisted,
    host::Random,
    http_url::{MAX_URL_LENGTH, is_http, url_length},
    policy::mixed_content,
    request::{CredentialsMode, Mode},
    url_memo,
};

/// The extracted body of a beacon and its content type. `None` is null.
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub type BeaconData = Option<(Body, Option<HeaderValue>)>;

/// An admitted beacon: a call of `sendBeacon()` that returns true, until its request is made.
#[derive(Debug)]
pub struct Beacon {
    url: Arc<Url>,
    data: BeaconData,
    client: Arc<Client>,
    reservation: Reservation,
}

/// The [`sendBeacon(url, data)`](https://w3c.github.io/beacon/#dom-navigator-sendbeacon) method
/// steps, up to the return of the method.
///
/// `url` is the `USVString` of the call, and `data` is the body after the Web IDL conversion.
/// `Ok(Some(_))` means that the method returns `true`: the beacon is admitted and has reserved its room in
/// `ledger`. `Ok(None)` means `false`: [`Beacon::admit`] has refused the beacon.
///
/// Call it on the script thread. It takes no lock, does not block and copies the body once, after the body is
/// known to fit.
///
/// ```
/// use std::sync::Arc;
///
/// use sendbeacon_fetch::{Client, KeepaliveLimits, Ledger, Nonce, beacon::send_beacon, host::Random};
///
/// // Only the boundary of a `FormData` body needs random bytes.
/// struct Unused;
/// impl Random for Unused {
///     fn fill(&self, _: &mut [u8]) {
///         unreachable!()
///     }
/// }
///
/// let client = Arc::new(Client::new("https://a.test/page".parse()?, Nonce::random()));
/// let ledger = Ledger::new(KeepaliveLimits::default());
/// let beacon = send_beacon(&client, &ledger, &Unused, "/collect", Some("bye".into()))?;
/// let (request, reservation) = beacon.expect("3 of 65,536 bytes").into_request();
/// assert_eq!(request.url().as_str(), "https://a.test/collect");
///
/// // The room is given back when the fetch is done.
/// assert_eq!(ledger.inflight().body_bytes, 3);
/// drop(reservation);
/// assert_eq!(ledger.inflight().body_bytes, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The `TypeError` to throw, if the URL does not parse or is not http(s), or if the body is a stream.
pub fn send_beacon(
    client: &Arc<Client>,
    ledger: &Arc<Ledger>,
    random: &dyn Random,
    url: &str,
    data: Option<BodyInit<'_>>,
) -> Result<Option<Beacon>, TypeError> {
    send(client, random, url, data, |weight| ledger.reserve_for(client, weight))
}

/// Does the same as [`send_beacon`] for a beacon that was answered `true` already, by a mirror of the ledger in another
/// place: a script in a webview, for example. So it takes room in `ledger` even if the ledger is full or
/// closed ([`Ledger::reserve_accepted`]), and counts in no memory share.
///
/// `Ok(None)`: the URL is too long, or the beacon is mixed content. A mirror has to answer `false` to these, too. The
/// caller limits how much it lets be answered elsewhere.
///
/// # Errors
/// Those of [`send_beacon`].
pub fn send_answered_beacon(
    client: &Arc<Client>,
    ledger: &Arc<Ledger>,
    random: &dyn Random,
    url: &str,
    data: Option<BodyInit<'_>>,
) -> Result<Option<Beacon>, TypeError> {
    send(client, random, url, data, |weight| Some(ledger.reserve_accepted(weight)))
}

fn send(
    client: &Arc<Client>,
    random: &dyn Random,
    url: &str,
    data: Option<BodyInit<'_>>,
    reserve: impl FnOnce(Weight) -> Option<Reservation>,
) -> Result<Option<Beacon>, TypeError> {
    // Steps 1 and 3. Step 2's origin is the client's.
    let base = &client.api_base_url;
    let parsed_url = url_memo::join(base, url).map_err(|reason| TypeError::InvalidUrl {
        url: excerpt(url),
        base: excerpt(base.as_str()),
        reason,
    })?;
    if !is_http(&parsed_url) {
        let scheme = parsed_url.scheme().to_owned();
        return Err(TypeError::NotHttp { scheme, url: excerpt(url) });
    }
    // Step 6.1. Steps 4 and 5 come later, in `Beacon::into_request`.
    let extracted = data.map(|data| extract(data, random)).transpose()?;
    // Steps 6.2 and 7: the return value. The rest of Step 7 is in `Beacon::into_request`.
    let body_length = extracted.as_ref().map_or(0, |extracted| extracted.length);
    Ok(Beacon::admit_http(client, parsed_url, body_length, reserve, || {
        extracted.map(|mut extracted| {
            let content_type = extracted.content_type.take();
            (extracted.into_body(), content_type)
        })
    }))
}

impl Beacon {
    /// Admits a beacon. `None` if the beacon is refused; nothing has changed then.
    ///
    /// A beacon is refused if
    /// * its URL is not http(s) or is longer than 65,534 bytes,
    /// * it is mixed content,
    /// * `ledger` has no room for its URL and a body of `body_length` bytes, or is closed,
    /// * there is no memory for it: see [`Ledger::reserve_for`].
    ///
    /// `data` returns the body and its content type. It is called once there is room, so that a refused body is
    /// not copied.
    ///
    /// [`send_beacon`] calls this on the script thread. The network process calls it again for a beacon that a
    /// content process has admitted.
    pub fn admit(
        client: &Arc<Client>,
        ledger: &Arc<Ledger>,
        url: Url,
        body_length: u64,
        data: impl FnOnce() -> Option<(Body, Option<HeaderValue>)>,
    ) -> Option<Self> {
        if !is_http(&url) {
            return None;
        }
        let reserve = |weight| ledger.reserve_for(client, weight);
        Self::admit_http(client, Arc::new(url), body_length, reserve, data)
    }

    /// Does the same for a URL that is known to be http(s).
    fn admit_http(
        client: &Arc<Client>,
        url: Arc<Url>,
        body_length: u64,
        reserve: impl FnOnce(Weight) -> Option<Reservation>,
        data: impl FnOnce() -> Option<(Body, Option<HeaderValue>)>,
    ) -> Option<Self> {
        let url_length = url_length(&url);
        if url_length > MAX_URL_LENGTH {
            return None;
        }
        // NB: a beacon that is mixed content is refused here, as in all three browsers. By the text it would be
        // admitted and would fail in main fetch. With upgrade-insecure-requests it is not mixed content.
        if mixed_content::is_blocked(client, &url) && !client.upgrade_insecure_requests {
            return None;
        }
        // Step 6.2. NB: the room is reserved here. The text counts here and once more in HTTP-network-or-cache
        // fetch, where an admitted beacon could still fail. The limits on the number of requests, on URL bytes and on
        // memory are our own (docs/SPEC-MAP.md).
        let url_bytes = url_length as u64;
        let weight = Weight { body_bytes: body_length, url_bytes, header_bytes: 0 };
        let reservation = reserve(weight)?;
        Some(Self { url, data: data(), client: Arc::clone(client), reservation })
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Arc<Url> {
        &self.url
    }

    /// The body and its content type.
    #[must_use]
    pub fn data(&self) -> Option<&(Body, Option<HeaderValue>)> {
        self.data.as_ref()
    }

    /// The settings object of the document that sent it.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The length of the body in bytes.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.data.as_ref().map_or(0, |(body, _)| body.length())
    }

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
    /// fetch is done. These are the steps that the standard runs in parallel.
    pub fn into_request(self) -> (Request, Reservation) {
        (Self::request(self.client, self.url, self.data), self.reservation)
    }

    /// Its settings object, its URL, its body with the content type, and the reservation to keep until the fetch is done.
    /// For [`fetch_beacon`](crate::fetch::fetch_beacon).
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    pub fn into_parts(self) -> (Arc<Client>, Arc<Url>, BeaconData, Reservation) {
        (self.client, self.url, self.data, self.reservation)
    }

    /// Makes the request of a beacon from its parts: those of an admitted beacon, or of one that an outbox has kept.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn request(client: Arc<Client>, url: Arc<Url>, data: BeaconData) -> Request {
        let mut request = Request::with_shared_url(client, url);
        // Content-Type, and two that fetch adds: Accept and Accept-Language.
        request.headers = HeaderMap::with_capacity(3);
        // Step 5.
        request.mode = Mode::NoCors;
        if let Some((body, content_type)) = data {
            // Step 6.3.
            if let Some(content_type) = content_type {
                if !is_cors_safelisted(&CONTENT_TYPE, &content_type) {
                    request.mode = Mode::Cors;
                }
                // Step 4. The list is made above.
                request.headers.insert(CONTENT_TYPE, content_type);
            }
            request.body = Some(body);
        }
        // Step 7.1.
        request.method = Method::POST;
        request.keepalive = true;
        request.credentials = CredentialsMode::Include;
        request.initiator_type = InitiatorType::Beacon;
        // NB: by the Beacon text a type that is not safelisted makes a preflight. But the text does not set the
        // unsafe-request flag, without which Fetch makes no preflight. Every browser makes it.
        request.unsafe_request = true;
        request
    }
}

/// The first 128 characters of a URL, for a message.
fn excerpt(url: &str) -> String {
    url.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeepaliveLimits, Nonce, host::Zeros};

    fn send(
        ledger: &Arc<Ledger>,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<Beacon>, TypeError> {
        let client = Arc::new(Client::new(
            Url::parse("https://a.test/d/page").unwrap(),
            Nonce::from_u128(0),
        ));
        send_beacon(&client, ledger, &Zeros, url, data)
    }

    fn ledger() -> Arc<Ledger> {
        Ledger::new(KeepaliveLimits::default())
    }

    #[test]
    fn the_url_is_parsed_against_the_base_url() {
        for (url, expected) in [
            ("b", "https://a.test/d/b"),
            ("", "https://a.test/d/page"),
            ("//b.test/x", "https://b.test/x"),
            ("?q", "https://a.test/d/page?q"),
            ("null", "https://a.test/d/null"),
            ("  sp ace\t\n?a b  ", "https://a.test/d/sp%20ace?a%20b"),
            ("HTTPS://u:p@B.test:443", "https://u:p@b.test/"),
        ] {
            assert_eq!(send(&ledger(), url, None).unwrap().unwrap().url.as_str(), expected);
        }
    }

    #[test]
    fn a_type_error_says_what_was_wrong() {
        for (url, part) in [
            ("http://a b/", "\"http://a b/\" is not a valid URL"),
            ("http://[", "invalid IPv6 address"),
            ("http://a.test:99999/", "invalid port number"),
            ("ftp://a.test/x", "scheme of \"ftp://a.test/x\" is \"ftp\""),
            ("data:,x", "is \"data\""),
            ("ws://a.test/", "is \"ws\""),
            ("blob:https://a.test/0", "is \"blob\""),
        ] {
            let message = send(&ledger(), url, None).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = send(&ledger(), "b", Some(BodyInit::ReadableStream)).unwrap_err().to_string();
        assert!(message.contains("ReadableStream"), "{message}");
    }

    #[test]
    fn the_url_is_checked_before_the_body_and_both_before_the_quota() {
        let ledger = ledger();
        ledger.close();
        let stream = || Some(BodyInit::ReadableStream);
        assert!(matches!(send(&ledger, "ftp:x", stream()), Err(TypeError::NotHttp { .. })));
        assert!(matches!(send(&ledger, "b", stream()), Err(TypeError::StreamBody)));
        assert!(send(&ledger, "b", None).unwrap().is_none());
    }

    #[test]
    fn mixed_content_is_refused_unless_it_will_be_upgraded() {
        let send = |url: &str, upgrade: bool| {
            let mut client =
                Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(0));
            client.upgrade_insecure_requests = upgrade;
            send_beacon(&Arc::new(client), &ledger(), &Zeros, url, None).unwrap().is_some()
        };
        assert!(!send("http://b.test/", false));
        assert!(send("http://b.test/", true));
        assert!(send("http://localhost/", false));
        assert!(send("https://b.test/", false));
    }

    #[test]
    fn two_beacons_of_40_000_bytes_do_not_fit_together() {
        let ledger = ledger();
        let body = "x".repeat(40_000);
        let first = send(&ledger, "b", Some((&*body).into())).unwrap();
        assert!(first.is_some());
        assert!(send(&ledger, "b", Some((&*body).into())).unwrap().is_none());
        drop(first);
        assert!(send(&ledger, "b", Some((&*body).into())).unwrap().is_some());
    }

    #[test]
    fn an_overlong_url_is_refused() {
        let fits = format!("/{}#{}", "x".repeat(MAX_URL_LENGTH - 15), "f".repeat(100));
        let beacon = send(&ledger(), &fits, None).unwrap().unwrap();
        assert_eq!(url_length(&beacon.url), MAX_URL_LENGTH);
        assert!(send(&ledger(), &format!("/x{}", &fits[1..]), None).unwrap().is_none());
    }

    #[test]
    fn the_mode_is_cors_only_for_a_type_that_is_not_safelisted() {
        let mode = |data: BodyInit<'_>| {
            let beacon = send(&ledger(), "b", Some(data)).unwrap().unwrap();
            beacon.into_request().0.mode
        };
        assert_eq!(mode("x".into()), Mode::NoCors);
        assert_eq!(mode((&b"x"[..]).into()), Mode::NoCors);
        assert_eq!(mode(BodyInit::FormData(&[])), Mode::NoCors);
        assert_eq!(mode(BodyInit::UrlSearchParams(&[])), Mode::NoCors);
        assert_eq!(mode((&crate::Blob::new("x", "")).into()), Mode::NoCors);
        assert_eq!(mode((&crate::Blob::new("{}", "application/json")).into()), Mode::Cors);
    }
}
