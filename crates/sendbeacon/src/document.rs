use std::sync::Arc;

use url::EncodingOverride;

use crate::{
    BodyInit, Client, CspViolation, DeferredFetch, DeferredRequestInit, FetchGroup,
    FetchLaterError, NavigableContainer, Request, TypeError, fetch_group::Flag,
};

/// A document that can send beacons: its settings object, its fetch group and its place in its
/// lifecycle.
///
/// The engine keeps one beside each document of its own, replaces the [`Client`] when the base URL
/// or a policy changes, and drives it through [`DocumentLifecycle`]. Dropping it equals
/// [`unload`](DocumentLifecycle::unload).
#[derive(Debug)]
pub struct Document {
    client: Arc<Client>,
    group: FetchGroup,
}

/// How an engine tells what happens to a document. [`Document`] implements it.
///
/// Every method may be called on any thread, in any order and more than once; none blocks. Where the
/// page has handlers for the same event (`visibilitychange`, `pagehide`, `unload`), call the method
/// after they have run: a beacon sent in them belongs to the document as it was before.
pub trait DocumentLifecycle {
    /// [Visibility](https://html.spec.whatwg.org/multipage/interaction.html#page-visibility) changed.
    /// Beacons held back go out when a document is hidden.
    fn visibility_change(&self, visibility: VisibilityState);

    /// The page was hidden for good, or put away: `pagehide` was fired, and the `visibilitychange` that
    /// follows it, and the handlers of both have run. If `persisted`, the document now is in the
    /// back/forward cache: it is not fully active, its `sendBeacon()` answers `false`, and what it has
    /// deferred is sent. If not, [`unload`](Self::unload) follows.
    fn pagehide(&self, persisted: bool);

    /// The document is shown, for the first time or again (`persisted`): it is fully active.
    fn pageshow(&self, persisted: bool);

    /// The document was [frozen](https://wicg.github.io/page-lifecycle/): its tasks no longer run.
    /// Beacons held back go out, and so do deferred fetches that wait for their time.
    fn freeze(&self);

    /// The document was resumed.
    fn resume(&self);

    /// The document was [unloaded](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document)
    /// and is gone: its fetch group is terminated.
    fn unload(&self);

    /// The process that ran the document's scripts is gone, without an unload.
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
        Self { client: Arc::new(client), group }
    }

    /// [`navigator.sendBeacon(url, data)`](https://w3c.github.io/beacon/#dom-navigator-sendbeacon):
    /// what it returns or throws.
    ///
    /// `url` is the call's `USVString`, relative to the client's API base URL. `true` means that the
    /// beacon is on its way and will get an [`Outcome`](crate::Outcome), whatever becomes of the
    /// document; `false` that there was no room (64 KiB of unfinished keepalive bodies, and limits on
    /// number and URL bytes: [`KeepaliveLimits`](crate::KeepaliveLimits)), that the document is not
    /// fully active, or that the user agent shuts down.
    ///
    /// Meant for the script thread: takes no lock, waits for nothing, copies the body once. (In a content
    /// process it is a write to its channel, which may wait 10 ms: see `remote`.)
    ///
    /// # Errors
    /// The `TypeError` to throw: a URL that does not parse or is not http(s), or a `ReadableStream`.
    pub fn send_beacon(&self, url: &str, data: Option<BodyInit<'_>>) -> Result<bool, TypeError> {
        self.group.send_beacon(&self.client, url, data)
    }

    /// [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) for the `request`
    /// that the `Request` constructor made: what it returns or throws.
    ///
    /// The request is sent when the document is unloaded, enters the back/forward cache or loses its
    /// process, and when the user agent shuts down; with an `activateAfter` also once so many milliseconds
    /// have passed, or when the document is frozen. From then on it is as a keepalive
    /// [`fetch`](FetchGroup::fetch), and gets an [`Outcome`](crate::Outcome). Until then it takes nothing
    /// of the group's keepalive quota, and its total request length of the document's deferred-fetch quota.
    ///
    /// Meant for the script thread: waits for nothing. (In a content process it is a write to its channel,
    /// which may wait 10 ms: see `remote`.)
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

    /// What to keep beside a new navigable container of this document (an `iframe`, say): the documents
    /// in it are made with it, by [`UserAgent::nested_document`](crate::UserAgent::nested_document), and it
    /// reserves deferred-fetch quota for them.
    #[must_use]
    pub fn navigable_container(&self) -> NavigableContainer {
        self.group.deferred().container(&self.client.origin)
    }

    /// [Audits a hyperlink](https://html.spec.whatwg.org/multipage/links.html#hyperlink-auditing) of this
    /// document that the user follows: sends a `POST` to each http(s) URL of the `ping` attribute.
    ///
    /// `ping` and `href` are the values of the attributes. `encoding` encodes the query of a URL in the
    /// document's [encoding](https://dom.spec.whatwg.org/#concept-document-encoding); `None` if that is
    /// UTF-8. A ping outlives its document, and shares the quota of the document's beacons: those that
    /// find no room are not sent. Call before the navigation begins, and not at all if the user wants
    /// no pings.
    ///
    /// Meant for the script thread, as [`send_beacon`](Self::send_beacon) is.
    pub fn ping(&self, ping: &str, href: &str, encoding: EncodingOverride<'_>) {
        self.group.ping(&self.client, ping, href, encoding);
    }

    /// Reports a [violation](https://w3c.github.io/webappsec-csp/#violation) that the engine has found (an
    /// inline script, say) to the endpoints of its policy's `report-uri`, unless that has a `report-to`.
    /// Violations by requests of this library are reported without being asked.
    ///
    /// At most 64 reports of a document, with 64 KiB of bodies, are unfinished; what is beyond that is not
    /// reported. Does not block, except as [`send_beacon`](Self::send_beacon) does in a content process; any
    /// thread.
    pub fn report_violation(&self, violation: &CspViolation) {
        self.group.report(&self.client, violation);
    }

    /// The settings object that the next call uses.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Replaces the settings object, when the base URL or a policy has changed. Beacons already
    /// accepted keep theirs.
    pub fn set_client(&mut self, client: Client) {
        self.client = Arc::new(client);
    }

    /// The document's fetch group, for its `fetch()`.
    #[must_use]
    pub fn fetch_group(&self) -> &FetchGroup {
        &self.group
    }
}

impl DocumentLifecycle for Document {
    fn visibility_change(&self, visibility: VisibilityState) {
        match visibility {
            VisibilityState::Visible => self.group.unset(Flag::Hidden),
            VisibilityState::Hidden => self.group.set(Flag::Hidden),
        }
    }

    fn pagehide(&self, persisted: bool) {
        if persisted {
            self.group.set(Flag::Cached);
        }
    }

    fn pageshow(&self, _persisted: bool) {
        self.group.unset(Flag::Cached);
    }

    fn freeze(&self) {
        self.group.set(Flag::Frozen);
    }

    fn resume(&self) {
        self.group.unset(Flag::Frozen);
    }

    fn unload(&self) {
        self.group.terminate();
    }

    fn process_gone(&self) {
        self.group.terminate();
    }
}
