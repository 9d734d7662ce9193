//! A document: what its scripts call, and what happens to it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sendbeacon_fetch::{
    BodyInit, Client, CspViolation, Request, TypeError,
    deferred::{DeferredRequestInit, FetchLaterError, NavigableContainer},
};
use url::EncodingOverride;

use super::{deferred_fetch::DeferredFetch, fetch_group::FetchGroup};
use crate::{id::FetchId, message::Flag};

/// A document that can send beacons: its settings object, its fetch group and its place in its lifecycle.
///
/// The engine keeps one beside each of its own documents. It replaces the [`Client`] when the base URL or a
/// policy changes, and calls [`visibility_change`](Self::visibility_change), [`pagehide`](Self::pagehide) and
/// so on when these things happen to its document. Dropping a `Document` equals [`unload`](Self::unload).
///
/// Every method may be called on any thread, in any order and more than once; none blocks.
#[derive(Debug)]
pub struct Document {
    /// Replaced as a whole, and read without a lock.
    client: ArcSwap<Client>,
    group: FetchGroup,
}

/// What happens to a document, as an engine tells it.
///
/// [`Document`] has the same methods of its own, so an embedder that knows its documents by type need not
/// import this trait. It is for an engine whose lifecycle code serves more than one kind of listener.
///
/// Every method may be called on any thread, in any order and more than once; none blocks. Where the page has
/// handlers for the same event (`visibilitychange`, `pagehide`, `unload`), call the method after they have
/// run: a beacon that a handler sends belongs to the document as it was before.
pub trait DocumentLifecycle {
    /// See [`Document::visibility_change`].
    fn visibility_change(&self, visibility: VisibilityState);

    /// See [`Document::pagehide`].
    fn pagehide(&self, persisted: bool);

    /// See [`Document::pageshow`].
    fn pageshow(&self, persisted: bool);

    /// See [`Document::freeze`].
    fn freeze(&self);

    /// See [`Document::resume`].
    fn resume(&self);

    /// See [`Document::unload`].
    fn unload(&self);

    /// See [`Document::process_gone`].
    fn process_gone(&self);
}

/// A document's [visibility state](https://html.spec.whatwg.org/multipage/interaction.html#page-visibility).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisibilityState {
    /// `visible`
    Visible,
    /// `hidden`
    Hidden,
}

impl Document {
    pub(crate) fn new(client: Client, group: FetchGroup) -> Self {
        Self { client: ArcSwap::from_pointee(client), group }
    }

    /// [`navigator.sendBeacon(url, data)`](https://w3c.github.io/beacon/#dom-navigator-sendbeacon):
    /// what it returns or throws.
    ///
    /// `url` is the call's `USVString`, relative to the client's API base URL. `true` means that the
    /// beacon is admitted and will get an [`Outcome`](crate::Outcome), whatever becomes of the document.
    /// `false` means that there was no room (64 KiB of unfinished keepalive bodies, and limits on the number
    /// of requests and on URL bytes: [`KeepaliveLimits`](crate::KeepaliveLimits)), that the beacon is mixed
    /// content, that the document is not fully active, or that the user agent shuts down.
    ///
    /// Meant for the script thread: takes no lock, waits for nothing, copies the body once. (In a content
    /// process it writes to its channel and may wait 10 ms: see `remote`.)
    ///
    /// # Errors
    /// The `TypeError` to throw: a URL that does not parse or is not http(s), or a `ReadableStream`.
    pub fn send_beacon(&self, url: &str, data: Option<BodyInit<'_>>) -> Result<bool, TypeError> {
        self.send_beacon_with_id(url, data).map(|id| id.is_some())
    }

    /// [`send_beacon`](Self::send_beacon) for an embedder that follows the beacon in the events: `Some` is
    /// `true`, with the identifier of the fetch, and `None` is `false`.
    ///
    /// In a content process the identifier is of no use: events go to the network process, which has
    /// identifiers of its own.
    ///
    /// # Errors
    /// As [`send_beacon`](Self::send_beacon).
    pub fn send_beacon_with_id(
        &self,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<FetchId>, TypeError> {
        self.group.send_beacon(&self.client.load(), url, data)
    }

    /// [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) for the `request`
    /// that the `Request` constructor made: what it returns or throws.
    ///
    /// The request is sent when the document is unloaded, enters the back/forward cache or loses its
    /// process, and when the user agent shuts down. With an `activateAfter` it is also sent once so many
    /// milliseconds have passed, or when the document is frozen. From then on it is like a keepalive
    /// [`fetch`](FetchGroup::fetch), and gets an [`Outcome`](crate::Outcome). Until then it takes nothing
    /// of the group's keepalive quota; its total request length counts in the document's deferred-fetch quota.
    ///
    /// Meant for the script thread: waits for nothing. (In a content process it writes to its channel and may
    /// wait 10 ms: see `remote`.)
    ///
    /// # Errors
    /// What to throw: see [`FetchLaterError::exception_name`].
    pub fn fetch_later(
        &self,
        request: Request,
        init: DeferredRequestInit,
    ) -> Result<DeferredFetch, FetchLaterError> {
        self.group.fetch_later(request, init)
    }

    /// What the engine keeps beside a new navigable container of this document (an `iframe`, for example).
    /// [`UserAgent::nested_document`](crate::UserAgent::nested_document) makes the documents in the container
    /// with it, and it reserves deferred-fetch quota for them.
    #[must_use]
    pub fn navigable_container(&self) -> NavigableContainer {
        self.group.deferred().container(&self.client.load().origin)
    }

    /// [Audits a hyperlink](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing) of this
    /// document that the user follows: sends a `POST` to each http(s) URL of the `ping` attribute.
    ///
    /// `ping` and `href` are the values of the attributes. `encoding` encodes the query of a URL in the
    /// document's [encoding](https://dom.spec.whatwg.org/#concept-document-encoding); `None` if that is
    /// UTF-8. A ping outlives its document and shares the quota of the document's beacons; a ping that finds
    /// no room is not sent. Call before the navigation begins, and not at all if the user wants no pings.
    ///
    /// Meant for the script thread, as [`send_beacon`](Self::send_beacon) is.
    pub fn ping(&self, ping: &str, href: &str, encoding: EncodingOverride<'_>) {
        self.group.ping(&self.client.load(), ping, href, encoding);
    }

    /// Reports a [violation](https://w3c.github.io/webappsec-csp/#violation) that the engine has found (an
    /// inline script, for example) to the endpoints of its policy's `report-uri`, unless the policy has a
    /// `report-to`. The library reports violations by its own requests without being asked.
    ///
    /// A document may have 64 reports with 64 KiB of bodies unfinished; a violation beyond that is not
    /// reported. Does not block, except as [`send_beacon`](Self::send_beacon) does in a content process; any
    /// thread.
    pub fn report_violation(&self, violation: &CspViolation) {
        self.group.report(&self.client.load(), violation);
    }

    /// The settings object that the next call uses.
    #[must_use]
    pub fn client(&self) -> Arc<Client> {
        self.client.load_full()
    }

    /// Replaces the settings object, when the base URL or a policy has changed. Beacons that were accepted
    /// before keep theirs.
    pub fn set_client(&self, client: Client) {
        self.client.store(Arc::new(client));
    }

    /// The document's fetch group, for its `fetch()`.
    #[must_use]
    pub fn fetch_group(&self) -> &FetchGroup {
        &self.group
    }

    /// Tells that the document's
    /// [visibility](https://html.spec.whatwg.org/multipage/interaction.html#page-visibility) changed. Call it
    /// after the handlers of `visibilitychange` have run. A hidden document's held-back beacons are sent.
    pub fn visibility_change(&self, visibility: VisibilityState) {
        match visibility {
            VisibilityState::Visible => self.group.unset(Flag::Hidden),
            VisibilityState::Hidden => self.group.set(Flag::Hidden),
        }
    }

    /// Tells that the page was hidden. Call it after the handlers of `pagehide`, and of the
    /// `visibilitychange` that follows, have run.
    ///
    /// With `persisted` the document is in the back/forward cache now: it is not fully active, its
    /// `sendBeacon()` answers `false`, and its deferred fetches are sent. Without `persisted`,
    /// [`unload`](Self::unload) follows.
    pub fn pagehide(&self, persisted: bool) {
        if persisted {
            self.group.set(Flag::Cached);
        }
    }

    /// Tells that the page is shown, for the first time or again (`persisted`): the document is fully active.
    pub fn pageshow(&self, _persisted: bool) {
        self.group.unset(Flag::Cached);
    }

    /// Tells that the document was [frozen](https://wicg.github.io/page-lifecycle/): its tasks no longer run.
    /// Its held-back beacons are sent, and so are its deferred fetches that have an `activateAfter`.
    pub fn freeze(&self) {
        self.group.set(Flag::Frozen);
    }

    /// Tells that the frozen document was resumed.
    pub fn resume(&self) {
        self.group.unset(Flag::Frozen);
    }

    /// Tells that the document was
    /// [unloaded](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document): its fetch
    /// group is terminated. Call it after the handlers of `unload` have run.
    ///
    /// A late call is harmless: nothing is lost before it comes.
    pub fn unload(&self) {
        self.group.terminate();
    }

    /// Tells that the process which ran the document's scripts is gone, without an unload.
    pub fn process_gone(&self) {
        self.group.terminate();
    }
}

impl DocumentLifecycle for Document {
    fn visibility_change(&self, visibility: VisibilityState) {
        self.visibility_change(visibility);
    }

    fn pagehide(&self, persisted: bool) {
        self.pagehide(persisted);
    }

    fn pageshow(&self, persisted: bool) {
        self.pageshow(persisted);
    }

    fn freeze(&self) {
        self.freeze();
    }

    fn resume(&self) {
        self.resume();
    }

    fn unload(&self) {
        self.unload();
    }

    fn process_gone(&self) {
        self.process_gone();
    }
}
