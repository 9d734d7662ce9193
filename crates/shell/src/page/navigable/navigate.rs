//! [Navigation](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigating-across-documents)

use std::{rc::Rc, time::Instant};

use encoding_rs::UTF_8;
use percent_encoding::percent_decode_str;
use rquickjs::Ctx;
use sendbeacon::{NavigableContainer, ReferrerPolicy};
use url::{Position, Url};

use super::{
    HistoryHandling, Navigable, NavigableId, Ongoing,
    create::{about_blank, activate, creation_sandboxing_flags},
    history::{DocumentState, Initiator},
    load,
    local::referrer_of,
    permissions::create_a_permissions_policy,
    settings::{inherit, inherit_policies, nest, opaque_origin},
    unload::fire_before_unload,
};
use crate::page::{
    DocumentDone, Environment, EventLoop, FetchedDocument, Navigation, NavigationTiming, PageError,
    Placement, PostResource, RealmId, ResourceTiming, TabOf, TaskQueue, WindowMessage, parser,
    realm::Realm, window::Stage,
};

/// The parameters of [navigate](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate).
pub(in crate::page) struct NavigateParams {
    pub(in crate::page) url: Url,
    /// The source of a `srcdoc` document.
    pub(in crate::page) document_resource: Option<String>,
    pub(in crate::page) history: HistoryHandling,
    pub(in crate::page) referrer_policy: Option<ReferrerPolicy>,
    pub(in crate::page) post: Option<PostResource>,
}

/// What a document without a URL of its own has from the document that creates it.
pub(super) struct Inherited {
    /// See [`Environment::about_base_url`].
    base_url: Url,
    /// See [`Environment::cookie_url`].
    cookie_url: Url,
}

impl NavigateParams {
    pub(in crate::page) fn new(url: Url) -> Self {
        let history = HistoryHandling::Push;
        Self { url, document_resource: None, history, referrer_policy: None, post: None }
    }
}

impl Navigable {
    /// [Navigate](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate) on behalf of the
    /// document of `initiator`.
    pub(in crate::page) fn navigate(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        initiator: Initiator,
        params: NavigateParams,
    ) {
        let realm = self.active();
        // Step 8. The document fires `beforeunload`, or is being unloaded.
        if realm.window().unload_counter.get() > 0 {
            return;
        }
        let url = &params.url;
        // Step 13. Only the fragment changes.
        let current = realm.window().document.url();
        let is_fragment = params.document_resource.is_none()
            && params.post.is_none()
            && url.fragment().is_some()
            && url[..Position::AfterQuery] == current[..Position::AfterQuery];
        if realm.window().is_remote && (is_fragment || !self.kept) {
            self.send_navigation(initiator, params, false);
            return;
        }
        if is_fragment {
            self.delays_load.set(false);
            let replace = params.history == HistoryHandling::Replace;
            self.update_url_and_history(realm.window(), url, replace);
            realm.call_in(ctx, "navigateToFragment", ());
            let (old, new) = (String::from(current), url.to_string());
            self.post(&realm, move |it| it.active().call("fireHashChange", (old, new)));
            return;
        }
        self.navigate_across_documents(initiator.clone(), params, Some(initiator), true);
    }

    /// The steps of navigate from 16 on, for a navigation to another document. `initiator` is `None` if the document was first
    /// opened by the user. `fires_before_unload` is false if `beforeunload` was fired already.
    pub(super) fn navigate_across_documents(
        self: &Rc<Self>,
        source: Initiator,
        params: NavigateParams,
        initiator: Option<Initiator>,
        fires_before_unload: bool,
    ) {
        let realm = self.active();
        let (url, history) = (params.url.clone(), params.history);
        // Steps 11 and 12.
        let window = realm.window();
        let is_replaced = window.is_initial.get()
            || window.stage.get() != Stage::Complete
            || window.document.url() == url;
        let history = match history {
            HistoryHandling::Push if is_replaced => HistoryHandling::Replace,
            other => other,
        };
        // Steps 16 to 18.
        let event_loop = realm.event_loop();
        let id = event_loop.navigables().next_navigation();
        self.ongoing.set(Some(Ongoing { id, history }));
        self.initiator.replace(initiator.clone());
        // Step 20. The script runs in a task of its own.
        if url.scheme() == "javascript" {
            self.post(&realm, move |navigable| {
                if navigable.is_ongoing(id) {
                    navigable.navigate_to_a_javascript_url(&url, &source.client.origin);
                }
            });
            return;
        }
        // Steps 22 and 23.
        self.post(&realm, move |navigable| {
            if !navigable.is_ongoing(id) {
                return;
            }
            if fires_before_unload {
                fire_before_unload(navigable);
                // A handler may have removed the frame, or another document may have begun another navigation.
                let event_loop = navigable.active().event_loop();
                let is_there = event_loop.navigables().get(navigable.id).is_some();
                if !is_there || !navigable.is_ongoing(id) {
                    return;
                }
            }
            navigable.populate(id, params, initiator.unwrap_or(source));
        });
    }

    /// Queues a task of `realm` that runs `steps`, unless this navigable is removed before.
    pub(super) fn post(&self, realm: &Realm, steps: impl FnOnce(&Rc<Self>) + Send + 'static) {
        let id = self.id;
        realm.window().shared().queue.post(realm.id(), move |realm| {
            if let Some(navigable) = realm.event_loop().navigables().get(id) {
                steps(&navigable);
            }
        });
    }

    /// [Attempt to populate the history entry's document](https://html.spec.whatwg.org/multipage/browsing-the-web.html#attempt-to-populate-the-history-entry's-document),
    /// on behalf of `initiator`.
    fn populate(self: &Rc<Self>, navigation: u64, params: NavigateParams, initiator: Initiator) {
        if !self.kept && matches!(params.url.scheme(), "http" | "https") {
            // The next document may belong to another process.
            self.ongoing.set(None);
            let is_reload = self.initiator.borrow().is_none();
            self.send_navigation(initiator, params, is_reload);
            return;
        }
        let NavigateParams { url, document_resource, post, .. } = params;
        let Initiator { client: source, cookie_url, referrer_policy } = initiator;
        let realm = self.active();
        let event_loop = realm.event_loop();
        let container = self.container_realm(&event_loop);
        let parent_cookie_url = container.as_ref().map(|(realm, _)| realm.window().cookie_url());
        let container = container.map(|(realm, _)| realm.window().client());
        let local = match (url.scheme(), url.path()) {
            ("about", "srcdoc") => {
                let cookie_url = parent_cookie_url.unwrap_or(cookie_url);
                Some((container.as_ref().unwrap_or(&source), cookie_url, document_resource))
            }
            ("about", "blank") => Some((&source, cookie_url, None)),
            _ => None,
        };
        if let Some((creator, cookie_url, html)) = local {
            let mut client = inherit(creator, &url);
            if let Some(container) = &container {
                nest(&mut client, container);
            }
            // NB: the standard has no referrer here. Chromium and WebKit use that of a same-origin URL.
            let source_url = source.creation_url.clone();
            let document = FetchedDocument {
                cross_origin_isolated: realm.window().environment().cross_origin_isolated,
                referrer: referrer_of(&source, &source_url, referrer_policy),
                body: html.unwrap_or_default().into(),
                ..FetchedDocument::local(url.clone(), client)
            };
            let base_url = creator.api_base_url.clone();
            self.load(document, Some(Inherited { base_url, cookie_url }));
        } else if !self.check_frame_src(&url) {
            self.fetched(Err(format!("{url} may not be in a frame here.")));
        } else if url.scheme() == "data" {
            self.load_data(&url, &source, container.as_ref(), referrer_policy);
        } else if url.scheme() == "blob" {
            self.load_blob(&url, &source, container.as_ref(), referrer_policy);
        } else if matches!(url.scheme(), "http" | "https") {
            let host = realm.window().host();
            let done = self.document_done(&realm, navigation);
            let done = self.marking_resource_timing(&event_loop, &url, done);
            let source = Some(source).filter(|_| self.initiator.borrow().is_some());
            let navigation =
                Navigation { url, source, referrer_policy, post, container, navigable: self.id };
            host.fetch_document(navigation, done);
        } else {
            realm.console_error(&format!("{url} cannot be shown."));
            self.end_without_document(&realm);
        }
    }

    /// The callback for the result of a navigation's fetch, which it handles in a task of `realm`.
    fn document_done(&self, realm: &Realm, navigation: u64) -> DocumentDone {
        let shared = realm.window().shared();
        shared.fetches.set(shared.fetches.get() + 1);
        let (id, realm) = (self.id, realm.id());
        let mut end = NavigationEnd { queue: Some(shared.queue.clone()), realm, id, navigation };
        Box::new(move |result| end.settle(result))
    }

    /// A callback that adds an entry to the performance timeline of the container's document, and then calls `done`
    /// (<https://html.spec.whatwg.org/multipage/browsing-the-web.html#create-navigation-params-by-fetching>).
    fn marking_resource_timing(
        &self,
        event_loop: &EventLoop,
        url: &Url,
        done: DocumentDone,
    ) -> DocumentDone {
        let Some((container, _)) = self.container_realm(event_loop) else { return done };
        let (name, start) = (url.to_string(), Instant::now());
        let (queue, container) = (event_loop.queue(), container.id());
        Box::new(move |result| {
            let timing = ResourceTiming::opaque(name, "iframe", start);
            queue.post(container, |realm| realm.add_resource_timing(timing));
            done(result);
        })
    }

    /// Handles the result of a navigation's fetch: loads the document, or an error page.
    pub(super) fn fetched(self: &Rc<Self>, result: Result<Option<FetchedDocument>, String>) {
        let realm = self.active();
        let result = match result {
            Ok(Some(document)) if !self.check_x_frame_options(&document) => {
                Err(format!("{} may not be in a frame.", document.url))
            }
            other => other,
        };
        match result {
            Ok(Some(document)) => self.load(document, None),
            Ok(None) => self.end_without_document(&realm),
            Err(message) => {
                realm.console_error(&message);
                // https://html.spec.whatwg.org/multipage/document-lifecycle.html#read-ua-inline
                let url = about_blank();
                let mut client = inherit_policies(&realm.window().client(), &url);
                if let Some((container, _)) = self.container_realm(&realm.event_loop()) {
                    nest(&mut client, &container.window().client());
                }
                self.load(FetchedDocument::local(url, client), None);
            }
        }
    }

    /// [Stop loading](https://html.spec.whatwg.org/multipage/document-lifecycle.html#nav-stop): cancels the ongoing
    /// navigation.
    pub(in crate::page) fn stop_loading(self: &Rc<Self>) {
        if self.ongoing.get().is_some() {
            self.end_without_document(&self.active());
        }
    }

    /// Ends the navigation without a new document.
    pub(super) fn end_without_document(self: &Rc<Self>, realm: &Rc<Realm>) {
        self.ongoing.set(None);
        if self.delays_load.get() {
            load::queue_container_load(realm, self);
        }
    }

    /// [Load a document](https://html.spec.whatwg.org/multipage/browsing-the-web.html#loading-a-document): unloads the
    /// active document, and creates and parses the new one.
    pub(super) fn load(self: &Rc<Self>, fetched: FetchedDocument, inherited: Option<Inherited>) {
        let history = self.ongoing.take().map_or(HistoryHandling::Replace, |it| it.history);
        let type_ = history.navigation_type();
        let old = self.active();
        let event_loop = old.event_loop();
        let container = self.container_realm(&event_loop);
        let mut sandbox = fetched.sandbox;
        if let Some((parent, node)) = &container {
            sandbox = sandbox.union(creation_sandboxing_flags(parent, *node));
        }
        let mut environment = Environment {
            url: fetched.url,
            about_base_url: inherited.as_ref().map(|it| it.base_url.clone()),
            cookie_url: inherited.map(|it| it.cookie_url),
            cross_origin_isolated: fetched.cross_origin_isolated,
            content_type: fetched.type_.clone(),
            referrer: fetched.referrer,
            refresh: fetched.refresh,
            navigation: fetched.timing.map(|it| NavigationTiming { type_: type_.into(), ..it }),
            sandbox,
            ..Environment::of(fetched.client)
        };
        if sandbox.origin {
            environment.client.origin = opaque_origin();
        }
        if let Some((parent, node)) = &container {
            let header = &fetched.permissions_policy;
            create_a_permissions_policy(parent, *node, &mut environment, header);
        }
        let is_same_origin = old.window().client().origin == environment.client.origin;
        let reuses_window = old.window().is_initial.take() && is_same_origin;
        let is_remote = fetched.is_remote;
        let host = if is_remote {
            event_loop.remote_host()
        } else {
            old.window().host().create_host(&mut environment, TabOf::Other, self.quota.as_ref())
        };
        let placement = is_remote.then(|| Placement {
            client: environment.client.clone(),
            sandbox: environment.sandbox,
            reserved: self.quota.as_ref().map(NavigableContainer::reserved_quota),
        });
        self.cache_or_unload(&old, reuses_window);
        // An event handler of the old document may have removed the frame.
        if event_loop.navigables().get(self.id).is_none() {
            return;
        }
        if old.window().is_remote && !is_remote {
            old.window().host().send(self.id, WindowMessage::TakenBack);
        }
        let made = event_loop.enter(|ctx| {
            let realm = match reuses_window {
                _ if is_remote => Realm::new_remote(&event_loop, ctx)?,
                true => Rc::clone(&old),
                false => Realm::new(&event_loop, ctx)?,
            };
            self.set_active(Rc::clone(&realm));
            activate(ctx, &realm, self.id, environment, host);
            Ok::<_, PageError>(realm)
        });
        let realm = match made {
            Ok(realm) => realm,
            Err(error) => return old.console_error(&error.to_string()),
        };
        drop(old);
        let (body, charset) = (&fetched.body, fetched.charset.as_deref());
        let (html, encoding) = match &*fetched.type_ {
            "text/html" | "application/xhtml+xml" => parser::decode_html(body, charset),
            // https://html.spec.whatwg.org/multipage/document-lifecycle.html#read-text
            _ => {
                let (text, encoding) = parser::decode(body, charset, UTF_8);
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                (format!("<pre>{text}</pre>"), encoding)
            }
        };
        realm.window().document.encoding.set(encoding);
        let url = realm.window().document.url();
        let resource = (url.as_str() == "about:srcdoc").then(|| html.clone());
        let initiator = self.initiator.take();
        let document_state = DocumentState { document: realm.id().0, resource, initiator };
        self.enter_history(history, url, document_state);
        if let Some(placement) = placement {
            realm.window().stage.set(Stage::Complete);
            let message = WindowMessage::Placed(Box::new(placement));
            realm.window().host().send(self.id, message);
            return;
        }
        let deferred = parser::parse_document(&realm, &html);
        load::the_end(&realm, deferred);
    }

    /// [Navigate to a javascript: URL](https://html.spec.whatwg.org/multipage/browsing-the-web.html#navigate-to-a-javascript:-url)
    fn navigate_to_a_javascript_url(self: &Rc<Self>, url: &Url, source: &sendbeacon::Origin) {
        let (realm, ongoing) = (self.active(), self.ongoing.get());
        let window = realm.window();
        let mut result = None;
        if window.client().origin == *source && !window.environment().sandbox.scripts {
            let script = url.as_str()["javascript:".len()..].to_owned();
            let script = percent_decode_str(&script).decode_utf8_lossy().into_owned();
            result = realm.evaluate_to_string(&script, url.as_str());
        }
        // The script may have navigated elsewhere, or removed the frame.
        let is_current = window.navigable.get() == Some(self.id) && self.ongoing.get() == ongoing;
        match result {
            Some(html) if is_current => {
                let environment = window.environment().clone();
                let document = FetchedDocument {
                    cross_origin_isolated: environment.cross_origin_isolated,
                    referrer: environment.referrer,
                    body: html.into(),
                    ..FetchedDocument::local(window.document.url(), window.client())
                };
                let (base_url, cookie_url) = (window.document.base_url(), window.cookie_url());
                self.load(document, Some(Inherited { base_url, cookie_url }));
            }
            _ if is_current => self.end_without_document(&realm),
            _ => {}
        }
    }
}

/// Posts the result of a navigation's fetch once. If it is dropped without a result, it posts an error.
struct NavigationEnd {
    queue: Option<TaskQueue>,
    realm: RealmId,
    id: NavigableId,
    navigation: u64,
}

impl NavigationEnd {
    fn settle(&mut self, result: Result<Option<FetchedDocument>, String>) {
        let Some(queue) = self.queue.take() else { return };
        let (id, navigation) = (self.id, self.navigation);
        queue.post_fetch_end(self.realm, move |realm| {
            let navigable = realm.event_loop().navigables().get(id);
            if let Some(it) = navigable.filter(|it| it.is_ongoing(navigation)) {
                it.fetched(result);
            }
        });
    }
}

impl Drop for NavigationEnd {
    fn drop(&mut self) {
        self.settle(Err("the document was not fetched".into()));
    }
}
