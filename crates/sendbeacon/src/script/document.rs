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

/// A document that can send beacons: its settings object, its fetch group and its state in the lifecycle.
///
/// The engine keeps one beside each of its own documents. It replaces the [`Client`] when the base URL or a
/// policy changes, and calls [`visibility_change`](Self::visibility_change), [`pagehide`](Self::pagehide) and
/// so on when these things happen to its document. Dropping a `Document` equals [`unload`](Self::unload).
///
/// Every method may be called on any thread, in any order and more than once. None blocks, except that a call in
/// a content process may wait for the channel: see `remote`.
///
/// ```
/// use sendbeacon::{Client, Nonce, UserAgentBuilder, VisibilityState};
///
/// # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
/// # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
/// let agent = UserAgentBuilder::new(network).build()?;
/// let document = agent.document(Client::new("https://a.test/page".parse()?, Nonce::random()));
///
/// // A script calls navigator.sendBeacon("/collect", "hello").
/// assert!(document.send_beacon("/collect", Some("hello".into()))?);
///
/// // The user leaves the page, which enters the back/forward cache.
/// document.pagehide(true);
/// document.visibility_change(VisibilityState::Hidden);
/// assert!(!document.send_beacon("/collect", None)?);
///
/// // The user returns.
/// document.pageshow(true);
/// document.visibility_change(VisibilityState::Visible);
/// assert!(document.send_beacon("/collect", None)?);
///
/// // The tab is closed. The beacons are delivered all the same.
/// document.unload();
/// assert!(!document.send_beacon("/collect", None)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Document {
    /// `set_client` replaces it as a whole. The script thread reads it without a lock.
    client: ArcSwap<Client>,
    group: FetchGroup,
}

/// What happens to a document, as an engine tells it.
///
/// [`Document`] has the same methods of its own, so an embedder that knows its documents by type need not
/// import this trait. It is for an engine whose lifecycle code serves more than one kind of listener.
///
/// Every method may be called on any thread, in any order and more than once. It waits no longer than the same
/// method of [`Document`]. Where the page has handlers for the same event (`visibilitychange`, `pagehide`,
/// `unload`), call the method after they have run: a beacon that a handler sends belongs to the document as it
/// was before.
///
/// ```
/// use sendbeacon::{Client, DocumentLifecycle, Nonce, UserAgentBuilder, VisibilityState};
///
/// /// The engine unloads a document, and tells everything that listens.
/// fn unload(listeners: &[Box<dyn DocumentLifecycle>]) {
///     for listener in listeners {
///         listener.pagehide(false);
///         listener.visibility_change(VisibilityState::Hidden);
///         listener.unload();
///     }
/// }
///
/// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!());
/// # let agent = UserAgentBuilder::new(std::sync::Arc::new(network)).build()?;
/// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
/// unload(&[Box::new(document)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
        group.count(&client);
        Self { client: ArcSwap::from_pointee(client), group }
    }

    /// Calls [`navigator.sendBeacon(url, data)`](https://w3c.github.io/beacon/#dom-navigator-sendbeacon), and
    /// returns what script gets.
    ///
    /// `url` is the call's `USVString`, relative to the client's API base URL. `true` means that the
    /// beacon is admitted and will get an [`Outcome`](crate::Outcome), whatever becomes of the document.
    /// `false` means one of these:
    /// * There is no room: the limits are 64 KiB of unfinished keepalive bodies, a number of requests, and a
    ///   number of URL bytes ([`KeepaliveLimits`](crate::KeepaliveLimits)).
    /// * There is no memory for it: see [`MemoryLimits`](crate::MemoryLimits). While other threads are refused, a call
    ///   may be refused although there is room.
    /// * The URL is longer than 65,534 bytes.
    /// * The beacon is mixed content.
    /// * The document is not fully active.
    /// * The user agent shuts down.
    ///
    /// Call it on the script thread: it takes no lock, waits for nothing and copies the body once. (In a content
    /// process it writes to the channel and may wait 10 ms: see `remote`.)
    ///
    /// # Errors
    /// The `TypeError` to throw, if the URL does not parse or is not http(s), or if the body is a
    /// `ReadableStream`.
    pub fn send_beacon(&self, url: &str, data: Option<BodyInit<'_>>) -> Result<bool, TypeError> {
        self.send_beacon_with_id(url, data).map(|id| id.is_some())
    }

    /// Does the same as [`send_beacon`](Self::send_beacon), for an embedder that looks for the beacon in the
    /// events: `Some` means `true` and has the identifier of the fetch, and `None` means `false`.
    ///
    /// In a content process the identifier is of no use: events go to the network process, which has
    /// identifiers of its own.
    ///
    /// ```
    /// use sendbeacon::{ChannelSink, Client, EventKind, Nonce, Outcome, UserAgentBuilder};
    ///
    /// # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
    /// # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    /// let (sink, events) = ChannelSink::new(1_000);
    /// let agent = UserAgentBuilder::new(network).event_sink(sink).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// let id = document.send_beacon_with_id("/collect", None)?.expect("the quota is free");
    ///
    /// for event in events.iter().filter(|event| event.fetch.id == id) {
    ///     if let EventKind::Done { outcome, .. } = event.kind {
    ///         assert_eq!(outcome, Outcome::Delivered { status: http::StatusCode::NO_CONTENT });
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`send_beacon`](Self::send_beacon).
    pub fn send_beacon_with_id(
        &self,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<FetchId>, TypeError> {
        self.group.send_beacon(&self.client.load(), url, data)
    }

    /// Sends a beacon that script has been told is admitted already: by a mirror of this document's ledger where script
    /// cannot reach the document at once, in a webview for example. `Some` has the identifier of the fetch.
    ///
    /// It takes room in the quota even if there is none, during a shutdown until that has drained, and while the document
    /// is in the back/forward cache. The quota stays exceeded until enough is done. It does not count in the
    /// [`MemoryLimits`](crate::MemoryLimits): the embedder limits how much it lets be answered elsewhere.
    ///
    /// `None` means one of these, to which the mirror has to answer `false`:
    /// * The URL is longer than 65,534 bytes, or the beacon is mixed content.
    /// * The document was unloaded, or its process has gone. A beacon that is late may have a new document of the same
    ///   client.
    /// * The user agent has shut down. In the moment in which a shutdown ends, a beacon may still be taken, and is lost: let
    ///   nothing be answered elsewhere by then.
    ///
    /// ```
    /// use sendbeacon::{Client, Nonce, UserAgentBuilder};
    ///
    /// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| sendbeacon_testkit::network::respond(204, &[]));
    /// let agent = UserAgentBuilder::new(std::sync::Arc::new(network)).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// let body = [0; 60_000];
    /// let answered = document.send_answered_beacon("/collect", Some(body[..].into()))?;
    /// assert!(answered.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`send_beacon`](Self::send_beacon), which the mirror has to throw.
    pub fn send_answered_beacon(
        &self,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Option<FetchId>, TypeError> {
        self.group.send_answered_beacon(&self.client.load(), url, data)
    }

    /// Calls [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) with the
    /// `request` that the `Request` constructor has made.
    ///
    /// The library sends the request when the document is unloaded, enters the back/forward cache or loses its
    /// process, and when the user agent shuts down. A request with an `activateAfter` is also sent when that
    /// many milliseconds have passed, and when the document is frozen. Once it is sent, it is like a keepalive
    /// [`fetch`](FetchGroup::fetch), and gets an [`Outcome`](crate::Outcome). Before that, its total request
    /// length counts in the document's deferred-fetch quota, and not in the group's keepalive quota. Its memory counts
    /// from the call on ([`MemoryLimits`](crate::MemoryLimits)).
    ///
    /// Call it on the script thread: it waits for nothing. (In a content process it writes to the channel and
    /// may wait 10 ms: see `remote`.)
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sendbeacon::{Client, DeferredRequestInit, Nonce, Request, UserAgentBuilder};
    ///
    /// # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
    /// # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    /// # let agent = UserAgentBuilder::new(network).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// let request = Request::new(document.client(), "https://a.test/summary".parse()?);
    /// let init = DeferredRequestInit::after(Duration::from_secs(60));
    /// let deferred = document.fetch_later(request, init)?;
    /// assert!(!deferred.is_activated());
    ///
    /// // The document goes before the minute is over.
    /// document.unload();
    /// assert!(deferred.is_activated());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The exception to throw: see [`FetchLaterError::exception_name`].
    pub fn fetch_later(
        &self,
        request: Request,
        init: DeferredRequestInit,
    ) -> Result<DeferredFetch, FetchLaterError> {
        self.group.fetch_later(request, init)
    }

    /// Makes a [`NavigableContainer`], which the engine keeps beside a new navigable container of this document
    /// (an `iframe`, for example). It reserves deferred-fetch quota for the documents in the container, and
    /// [`UserAgent::nested_document`](crate::UserAgent::nested_document) needs it to make them.
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
    /// no room is not sent. Call this before the navigation begins. Do not call it if the user wants no pings.
    ///
    /// Like [`send_beacon`](Self::send_beacon), it takes no lock and waits for nothing.
    pub fn ping(&self, ping: &str, href: &str, encoding: EncodingOverride<'_>) {
        self.group.ping(&self.client.load(), ping, href, encoding);
    }

    /// Reports a [violation](https://w3c.github.io/webappsec-csp/#violation) that the engine has found (an
    /// inline script, for example) to the endpoints of its policy's `report-uri`, unless the policy has a
    /// `report-to`. The library reports violations by its own requests itself.
    ///
    /// A document may have 64 unfinished reports, with 64 KiB of bodies and 64 KiB of URLs, and they count as
    /// memory ([`MemoryLimits`](crate::MemoryLimits)). A violation beyond that is not reported. Does not block.
    pub fn report_violation(&self, violation: &CspViolation) {
        self.group.report(&self.client.load(), violation);
    }

    /// The settings object that the next call uses.
    #[must_use]
    pub fn client(&self) -> Arc<Client> {
        self.client.load_full()
    }

    /// Replaces the settings object. Call it when the base URL or a policy has changed. Beacons that were
    /// admitted before keep the settings object that they were admitted with. Takes a lock for a moment.
    ///
    /// ```
    /// use sendbeacon::{Client, Nonce, ReferrerPolicy, UserAgentBuilder};
    ///
    /// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!());
    /// # let agent = UserAgentBuilder::new(std::sync::Arc::new(network)).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// // The parser has met <base href="/app/"> and <meta name=referrer content=no-referrer>.
    /// let mut client = Client::clone(&document.client());
    /// client.api_base_url = "https://a.test/app/".parse()?;
    /// client.referrer_policy = ReferrerPolicy::NoReferrer;
    /// document.set_client(client);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_client(&self, client: Client) {
        self.group.count(&client);
        self.client.store(Arc::new(client));
    }

    /// The document's fetch group, for its `fetch()`.
    #[must_use]
    pub fn fetch_group(&self) -> &FetchGroup {
        &self.group
    }

    /// Tells that the document's
    /// [visibility](https://html.spec.whatwg.org/multipage/interaction.html#page-visibility) has changed. Call
    /// it after the handlers of `visibilitychange` have run. The beacons of a hidden document are not held back.
    pub fn visibility_change(&self, visibility: VisibilityState) {
        match visibility {
            VisibilityState::Visible => self.group.unset(Flag::Hidden),
            VisibilityState::Hidden => self.group.set(Flag::Hidden),
        }
    }

    /// Tells that the page was hidden. Call it after the handlers of `pagehide`, and of the
    /// `visibilitychange` that follows, have run.
    ///
    /// With `persisted` the document is now in the back/forward cache: it is not fully active, its
    /// `sendBeacon()` returns `false`, and its deferred fetches are sent. Without `persisted` this does nothing,
    /// because [`unload`](Self::unload) follows.
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
    /// A late call is harmless: the document's requests go on until the call.
    pub fn unload(&self) {
        self.group.terminate();
    }

    /// Tells that the process which ran the document's scripts has gone without an unload. The document's fetch
    /// group is terminated.
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
