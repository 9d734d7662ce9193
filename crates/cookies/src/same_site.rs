//! Same-site modes.

/// Which cookies the relation between a request and its initiator allows: the result of
/// [determine the same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
///
/// The caller of the jar determines the mode, because it knows the request. `sendbeacon-fetch` does
/// so for its own requests. An engine does so for navigations and for `document.cookie`:
///
/// | Request or access | Mode |
/// |---|---|
/// | Beacon, ping, report, `fetch()`, subresource: the current URL, after any redirects, is same site with the origin of the client, and the client has no cross-site ancestor | `StrictOrLess` |
/// | The same, but the client has a cross-site ancestor | `UnsetOrLess` |
/// | The same, but the current URL is not same site with that origin | `UnsetOrLess` |
/// | Top-level navigation by the user (address bar, bookmark), or started by a same-site document | `StrictOrLess` |
/// | Top-level navigation with GET, started by a cross-site document | `LaxOrLess` |
/// | Top-level navigation with POST, started by a cross-site document | `UnsetOrLess` |
/// | Navigation of a frame: all ancestors and the initiator are same site with the URL | `StrictOrLess` |
/// | Navigation of a frame: any other | `UnsetOrLess` |
/// | `Set-Cookie` in the response to a top-level navigation | `StrictOrLess` |
/// | `Set-Cookie` in the response to any other request | the mode of the request |
/// | `document.cookie` in a document without a cross-site ancestor | `StrictOrLess` |
/// | `document.cookie` in a document with a cross-site ancestor | `UnsetOrLess` |
///
/// The mode and the cookie's `SameSite` attribute decide together:
///
/// | Mode | `Strict` | `Lax`, unknown or missing | `None` (needs `Secure`) |
/// |---|---|---|---|
/// | `StrictOrLess` | sent and stored | sent and stored | sent and stored |
/// | `LaxOrLess` | neither | sent, not stored | sent and stored |
/// | `UnsetOrLess` | neither | neither | sent and stored |
///
/// The enum is exhaustive, so that the compiler finds every place that has to handle a new mode.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SameSiteMode {
    /// `strict-or-less`: a same-site request. All cookies are sent and may be set.
    StrictOrLess,
    /// `lax-or-less`: a cross-site top-level navigation with a safe method. `SameSite=Strict` cookies
    /// are not sent. Only `SameSite=None` cookies may be set.
    LaxOrLess,
    /// `unset-or-less`: any other cross-site request. Only `SameSite=None` cookies are sent and may be
    /// set, because a cookie without the attribute is enforced as `Lax`.
    UnsetOrLess,
}
