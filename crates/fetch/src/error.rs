//! The two kinds of errors, which never mix: the exceptions that script gets, and the reasons why a fetch failed.

use std::{io, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{AddressSpace, ErrorDetail};

/// What `sendBeacon()` throws: a JavaScript `TypeError` with this message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The URL parser returned failure.
    #[error("{url:?} is not a valid URL against {base}: {reason}")]
    InvalidUrl {
        /// What script passed, cut to 128 characters.
        url: String,
        /// The settings object's API base URL, cut likewise.
        base: String,
        /// Why.
        reason: url::ParseError,
    },
    /// The URL's scheme is not an HTTP(S) scheme.
    #[error("the scheme of {url:?} is {scheme:?}: a beacon goes to http or https only")]
    NotHttp {
        /// The parsed URL's scheme.
        scheme: String,
        /// What script passed, cut to 128 characters.
        url: String,
    },
    /// The body is a `ReadableStream`. A keepalive request cannot have one.
    #[error(
        "the body is a ReadableStream, and a keepalive request cannot have one: pass its bytes"
    )]
    StreamBody,
}

/// A [network error](https://fetch.spec.whatwg.org/#concept-network-error): why a fetch has no response.
///
/// Script does not see the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// [Port blocking](https://fetch.spec.whatwg.org/#port-blocking).
    #[error("port {0} is blocked")]
    BadPort(u16),
    /// [Mixed content](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch).
    #[error("mixed content: the URL is not trustworthy and the document is")]
    MixedContent,
    /// [Content Security Policy](https://w3c.github.io/webappsec-csp/#should-block-request).
    #[error("blocked by the content security policy {policy:?}")]
    Csp {
        /// The first policy that blocks it, serialised.
        policy: Arc<str>,
    },
    /// The response's MIME type is not that of a script or a style, which the request's destination asks for. The type
    /// decides if the response has `X-Content-Type-Options: nosniff`, or if it is that of an image, audio, video or CSV.
    #[error("the MIME type of the response does not fit the destination")]
    MimeType,
    /// The [cross-origin resource policy check](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check).
    #[error("blocked by the response's Cross-Origin-Resource-Policy")]
    CrossOriginResourcePolicy,
    /// [Subresource Integrity](https://w3c.github.io/webappsec-subresource-integrity/): the response has no body, or its
    /// body does not match the request's integrity metadata, or is larger than 256 MiB.
    #[error("the body does not match the integrity metadata")]
    Integrity,
    /// The embedder's [`Interceptor`](crate::host::Interceptor) blocked it.
    #[error("blocked by the embedder")]
    Intercepted,
    /// The response of a service worker cannot answer this request.
    #[error("the service worker's response is an error or of a type this request cannot have")]
    ServiceWorker,
    /// A 407: a proxy, or a server that acts like one, asks for authentication, and the library prompts no user.
    #[error("the proxy asks for authentication")]
    ProxyAuthentication,
    /// No proxy can be used: it refused, or the choice of a proxy failed.
    #[error("no connection through the proxy: {0}")]
    Proxy(#[source] ErrorDetail),
    /// The request's mode does not allow the request.
    #[error("the request's mode forbids it: {0}")]
    Mode(&'static str),
    /// [Local Network Access](https://wicg.github.io/local-network-access/): the server's address is less
    /// public than the client's, and the permission to reach it is missing. Or the request is mixed content, and the
    /// server's address is not local, as the URL says.
    #[error("a {client} page may not reach a {target} address")]
    LocalNetworkAccess {
        /// The client's address space.
        client: AddressSpace,
        /// The server's address space.
        target: AddressSpace,
    },
    /// The body does not have the content coding that the response names, or ends in the middle.
    #[error("the body could not be decoded: {0}")]
    ContentCoding(#[source] ErrorDetail),
    /// A `BlobSource` could not be read, or returned another number of bytes than its size.
    #[error("the body could not be read: {0}")]
    Body(String),
    /// [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch) failed.
    #[error("the CORS preflight failed: {0}")]
    CorsPreflight(#[from] PreflightFailure),
    /// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) of the response failed.
    #[error("the CORS check failed: {0}")]
    Cors(#[from] CorsFailure),
    /// [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#http-redirect-fetch) did not follow the redirect.
    #[error("the redirect was not followed: {0}")]
    Redirect(#[from] RedirectFailure),
    /// The client [is offline](https://html.spec.whatwg.org/multipage/system-state.html#is-offline).
    #[error("the user agent is offline")]
    Offline,
    /// The host name did not resolve.
    #[error("{host} did not resolve: {reason}")]
    Dns {
        /// The host.
        host: String,
        /// What the resolver said.
        #[source]
        reason: ErrorDetail,
    },
    /// [`FetchGroup::fetch`] was called with a keepalive request for which the fetch group's ledger had no room.
    ///
    /// [`FetchGroup::fetch`]: https://docs.rs/sendbeacon/latest/sendbeacon/struct.FetchGroup.html#method.fetch
    #[error("the fetch group has no room for another keepalive request")]
    KeepaliveQuota,
    /// The [`Network`](crate::host::Network) cannot send requests like this one.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// The connection could not be opened.
    #[error("could not connect: {0}")]
    Connect(#[source] ErrorDetail),
    /// The TLS handshake failed. `sendbeacon-net` gives the `rustls::Error` as the detail's source.
    #[error("TLS failed: {0}")]
    Tls(#[source] ErrorDetail),
    /// The connection broke, or the server's answer is not HTTP.
    #[error("the server's answer was cut short or was not HTTP: {0}")]
    Protocol(#[source] ErrorDetail),
    /// A time limit was reached.
    #[error("timed out: {kind} took more than {after:?}")]
    Timeout {
        /// Which limit.
        kind: TimeoutKind,
        /// The limit.
        after: Duration,
    },
    /// A network error in the network process, which does not tell content processes the reason.
    #[error("a network error in the network process")]
    OtherProcess,
    /// The library or the embedder gave the fetch up.
    #[error("abandoned: {0}")]
    Abandoned(#[from] AbandonReason),
}

impl NetworkError {
    /// What went wrong beneath HTTP. `None` for an error without such a detail, for example that of a policy.
    ///
    /// The detail of a failed preflight is that of the preflight's own fetch.
    #[must_use]
    pub fn detail(&self) -> Option<&ErrorDetail> {
        match self {
            Self::Dns { reason: detail, .. }
            | Self::Connect(detail)
            | Self::Tls(detail)
            | Self::Protocol(detail)
            | Self::Proxy(detail)
            | Self::ContentCoding(detail) => Some(detail),
            Self::CorsPreflight(PreflightFailure::Network(error)) => error.detail(),
            _ => None,
        }
    }

    /// Whether no connection to the server was made, for a reason that may pass. Then no byte of the request was sent,
    /// and the same request may be sent again.
    ///
    /// True for a name that did not resolve, a connection that could not be opened or took too long, and a TLS
    /// handshake that the other side cut off. False for the alert of a TLS library, a certificate, a policy and a
    /// proxy that refused. False also if the detail of a name that did not resolve, or of a connection, has the kind
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) or [`InvalidData`](io::ErrorKind::InvalidData): so a
    /// firewall refuses, and so a resolver tells that secure DNS has failed.
    #[must_use]
    pub fn is_unreached(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Dns { reason: detail, .. } | Self::Connect(detail) => {
                !matches!(detail.kind(), Some(Kind::PermissionDenied | Kind::InvalidData))
            }
            Self::Tls(detail) => matches!(
                detail.kind(),
                Some(
                    Kind::UnexpectedEof
                        | Kind::ConnectionReset
                        | Kind::ConnectionAborted
                        | Kind::BrokenPipe
                )
            ),
            Self::Timeout { kind, .. } => *kind == TimeoutKind::Connect,
            _ => false,
        }
    }

    /// The kind of the I/O error beneath, by which an engine can choose its own error code.
    ///
    /// A [`Timeout`](Self::Timeout) is [`io::ErrorKind::TimedOut`].
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Timeout { .. } => Some(io::ErrorKind::TimedOut),
            Self::CorsPreflight(PreflightFailure::Network(error)) => error.io_kind(),
            error => error.detail()?.kind(),
        }
    }
}

/// Why a preflight failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PreflightFailure {
    /// The preflight got no response.
    #[error("no answer: {0}")]
    Network(#[source] Box<NetworkError>),
    /// Its response does not pass the CORS check.
    #[error("{0}")]
    Cors(CorsFailure),
    /// Its status is not an ok status (200 to 299).
    #[error("its status is {0}, not 200 to 299")]
    Status(u16),
    /// `Access-Control-Allow-Methods` or `Access-Control-Allow-Headers` does not parse.
    #[error("{0} does not parse")]
    Header(&'static str),
    /// The method is not allowed.
    #[error("Access-Control-Allow-Methods does not allow {0}")]
    Method(http::Method),
    /// A header is not allowed.
    #[error("Access-Control-Allow-Headers does not allow {0}")]
    HeaderName(http::HeaderName),
}

/// Why a CORS check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CorsFailure {
    /// No `Access-Control-Allow-Origin`.
    #[error("Access-Control-Allow-Origin is missing")]
    MissingAllowOrigin,
    /// `Access-Control-Allow-Origin` names another origin, or is `*` for a request with credentials.
    #[error("Access-Control-Allow-Origin does not name the request's origin")]
    OriginMismatch,
    /// `Access-Control-Allow-Credentials` is not `true` for a request with credentials.
    #[error("Access-Control-Allow-Credentials is not \"true\"")]
    Credentials,
}

/// Why a redirect was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectFailure {
    /// There is more than one `Location`, or it is not a URL.
    #[error("Location is not one valid URL")]
    InvalidLocation,
    /// `Location`'s scheme is not an HTTP(S) scheme.
    #[error("Location is not http or https")]
    NotHttp,
    /// This is the 21st redirect.
    #[error("more than 20 redirects")]
    TooMany,
    /// `Location` has a user name or password where CORS forbids it.
    #[error("Location includes credentials")]
    Credentials,
    /// The request's redirect mode is "error".
    #[error("the request's redirect mode is \"error\"")]
    Forbidden,
}

/// A time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// Name resolution, connecting and the TLS handshake.
    #[error("connecting")]
    Connect,
    /// From the time the request is sent to the head of the response.
    #[error("the answer")]
    ResponseHead,
    /// The whole fetch, from its start to the end of the response.
    #[error("the whole fetch")]
    Fetch,
    /// The time that a fetch may take after its document is gone.
    #[error("the lifetime after the document")]
    AfterDocument,
    /// The time that a fetch may wait for the network to come back.
    #[error("waiting for the network to come back")]
    Offline,
    /// The time that a fetch may be kept in an [`Outbox`](crate::host::Outbox).
    #[error("the time in the outbox")]
    Kept,
}

/// Why a fetch was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AbandonReason {
    /// The user agent shut down: the deadline passed before the fetch was done, or the request came after the
    /// shutdown had begun, or the request has no keepalive flag.
    #[error("the user agent shut down before it was done")]
    Shutdown,
    /// The runtime or the thread of the network side ended.
    #[error("the network side has gone")]
    Dropped,
    /// The fetch ended, and the reader of its response or body was not told why. The fetch's outcome says it.
    #[error("the fetch ended before its response did")]
    CutOff,
    /// The fetch group was terminated and the request has no keepalive flag.
    #[error("its document was unloaded and it has no keepalive flag")]
    Terminated,
    /// The embedder aborted the fetch or its fetch group.
    #[error("it was aborted")]
    Aborted,
    /// The site data of the request's origin was cleared.
    #[error("the site data of its origin was cleared")]
    SiteDataCleared,
    /// The device has joined another network since the request did not reach its server, and the request may not be
    /// sent there: no document of its network partition is fully active, and the embedder does not allow it.
    #[error("the network has changed and no document of its site is open")]
    NetworkChanged,
    /// The caller dropped the response, and the request has no keepalive flag.
    #[error("nobody waits for it and it has no keepalive flag")]
    Unwanted,
    /// The code that ran the fetch panicked.
    #[error("the code that ran it panicked")]
    Panic,
}
