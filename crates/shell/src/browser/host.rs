//! The host of a document: answers what its page asks for, by means of the library.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Instant};

use sendbeacon::{
    Body, Client, CspViolation, DeferredFetch, DeferredRequestInit, Document, FetchId,
    FetchLaterError, NavigableContainer, VisibilityState,
};
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use url::{EncodingOverride, Url};

use super::{
    USER_AGENT,
    fetches::{head, library_request, read, read_image, text},
    surroundings::{Call, Surroundings},
    task_quota::TaskQuota,
};
use crate::{
    page::{
        BodyInit, ChunkDone, Command, DocumentDone, DocumentInfo, Environment, FetchDone,
        FetchRequest, FetchedScript, ImageDone, Lifecycle, NavigableId, Navigation, PageHost,
        RealmId, ScriptRequest, TabOf, TaskQueue, Thrown, WindowMessage,
    },
    timeline::Step,
};

/// A fetch of a document that is not known to have ended.
struct Fetch {
    /// The library's identifier of the fetch.
    id: FetchId,
    /// Asks for the next chunk of the body.
    reads: UnboundedSender<ChunkDone>,
}

/// The host of one document.
pub(super) struct Host {
    document: Document,
    /// The client from the document's response, without the policies and the base URL that elements add.
    of_response: Client,
    /// See [`Environment::cookie_url`].
    cookie_url: Option<Url>,
    runtime: Handle,
    around: Rc<dyn Surroundings>,
    quota: TaskQuota,
    /// The fetches, by the page's identifier.
    fetches: RefCell<HashMap<u64, Fetch>>,
    /// The page's deferred fetches, by the page's identifier.
    deferred: RefCell<HashMap<u64, DeferredFetch>>,
}

impl Host {
    /// Makes a host for the document of `environment`, and fills in what the browser knows: the document's identifier,
    /// the storage areas and the user agent string.
    pub(super) fn new(
        runtime: Handle,
        around: Rc<dyn Surroundings>,
        environment: &mut Environment,
        container: Option<&NavigableContainer>,
    ) -> Rc<Self> {
        let document = around.create_document(&mut environment.client, container);
        let client = &environment.client;
        let (url, is_worker) = (client.creation_url.clone(), !client.has_document);
        around.told(client.document_id, Step::Begun { url, is_worker });
        let storage = around.storage(&environment.client.origin);
        environment.local_storage = storage.local;
        environment.session_storage = storage.session;
        USER_AGENT.clone_into(&mut environment.user_agent);
        Rc::new(Self {
            document,
            of_response: environment.client.clone(),
            cookie_url: environment.cookie_url.clone(),
            runtime,
            around,
            quota: TaskQuota::default(),
            fetches: RefCell::default(),
            deferred: RefCell::default(),
        })
    }

    /// Calls the library's `send_beacon()`, if the body fits the quota as the running task sees it.
    fn try_send_beacon(&self, url: &str, data: Option<&BodyInit>) -> Result<bool, String> {
        let document = &self.document;
        let group = document.fetch_group();
        let length = data.map_or(0, |body| {
            // If the body cannot be extracted, the library throws below.
            body.with_library_body(|body| sendbeacon::extract(body).map_or(0, |it| it.length))
        });
        let taken = self.quota.taken_with(group, length);
        // An exception comes before a full quota: the library throws for URLs that are not HTTP(S).
        let is_http = || {
            let url = document.client().api_base_url.join(url);
            url.is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        };
        if taken.is_none() && is_http() {
            return Ok(false);
        }
        let result = match data {
            None => document.send_beacon(url, None),
            Some(body) => body.with_library_body(|body| document.send_beacon(url, Some(body))),
        };
        if let (Ok(true), Some(taken)) = (&result, taken) {
            self.quota.set_taken(taken);
        }
        result.map_err(text)
    }

    /// The settings object by whose creation URL the library finds the cookies of `document.cookie`.
    fn cookie_client(&self) -> Client {
        let mut client = Client::clone(&self.document.client());
        if let Some(url) = &self.cookie_url {
            client.creation_url.clone_from(url);
        }
        client
    }

    fn tell(&self, step: Step) {
        self.around.told(self.of_response.document_id, step);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.around.detached(self.of_response.document_id);
    }
}

impl PageHost for Host {
    fn send_beacon(&self, url: &str, data: Option<BodyInit>) -> Result<bool, String> {
        let result = self.try_send_beacon(url, data.as_ref());
        let (at, url) = (Instant::now(), url.to_owned());
        if result != Ok(true) {
            let (url, error) = (url.clone(), result.as_ref().err().cloned());
            self.tell(Step::Refused { url, error });
        }
        self.around.called(Call { at, url, result: result.clone() });
        result
    }

    fn fetch(&self, request: FetchRequest, done: FetchDone) {
        let made = match library_request(self.document.client(), &request) {
            Ok(made) => made,
            Err(message) => return done(Err(message)),
        };
        let length = made.body.as_ref().map_or(0, Body::length);
        let document = &self.document;
        let group = document.fetch_group();
        if made.keepalive {
            let Some(taken) = self.quota.taken_with(group, length) else {
                return done(Err("the keepalive quota is exhausted".into()));
            };
            self.quota.set_taken(taken);
        }
        let pending = group.fetch(made);
        let (reads, asked) = unbounded_channel();
        let mut fetches = self.fetches.borrow_mut();
        fetches.retain(|_, fetch| !fetch.reads.is_closed());
        fetches.insert(request.id, Fetch { id: pending.id(), reads });
        self.runtime.spawn(async move {
            match pending.await {
                Ok(response) => {
                    done(Ok(head(&response)));
                    read(response, asked).await;
                }
                Err(error) => done(Err(error.to_string())),
            }
        });
    }

    fn load_image(&self, request: FetchRequest, done: ImageDone) {
        let made = match library_request(self.document.client(), &request) {
            Ok(made) => made,
            Err(message) => return done(Err(message)),
        };
        let pending = self.document.fetch_group().fetch(made);
        let (reads, asked) = unbounded_channel();
        let mut fetches = self.fetches.borrow_mut();
        fetches.retain(|_, fetch| !fetch.reads.is_closed());
        fetches.insert(request.id, Fetch { id: pending.id(), reads });
        self.runtime.spawn(async move {
            done(read_image(pending).await);
            // The fetch can be aborted until here.
            drop(asked);
        });
    }

    fn read_body(&self, id: u64, done: ChunkDone) {
        // Sending fails if the fetch has ended. Then `done` is dropped, and the body fails.
        let _ = self.fetches.borrow().get(&id).map(|fetch| fetch.reads.send(done));
    }

    fn abort_fetch(&self, id: u64) {
        if let Some(fetch) = self.fetches.borrow_mut().remove(&id) {
            self.document.fetch_group().abort_fetch(fetch.id);
        }
    }

    fn fetch_later(
        &self,
        mut request: FetchRequest,
        activate_after: Option<f64>,
    ) -> Result<(), Thrown> {
        let body = request.body.take_if(|body| *body == BodyInit::ReadableStream);
        let has_stream_body = body.is_some();
        let made = library_request(self.document.client(), &request).map_err(|message| Thrown {
            name: "TypeError",
            message,
            quota: None,
        })?;
        let mut init = DeferredRequestInit::default();
        (init.activate_after, init.has_stream_body) = (activate_after, has_stream_body);
        let deferred = self.document.fetch_later(made, init).map_err(|error| Thrown {
            name: error.exception_name(),
            message: error.to_string(),
            quota: match error {
                FetchLaterError::QuotaExceeded { quota, requested } => Some((quota, requested)),
                _ => None,
            },
        })?;
        let document_id = self.of_response.document_id;
        self.around.deferred(document_id, deferred.id(), &request.url);
        self.deferred.borrow_mut().insert(request.id, deferred);
        Ok(())
    }

    fn is_activated(&self, id: u64) -> bool {
        self.deferred.borrow().get(&id).is_some_and(DeferredFetch::is_activated)
    }

    fn abort_deferred(&self, id: u64) {
        if let Some(deferred) = self.deferred.borrow().get(&id) {
            deferred.abort();
            if !deferred.is_activated() {
                self.around.deferred_aborted(deferred.id());
            }
        }
    }

    fn ping(&self, ping: &str, href: &str, encoding: EncodingOverride<'_>) {
        self.document.ping(ping, href, encoding);
    }

    fn attached(&self, queue: TaskQueue, realm: RealmId) {
        self.quota.attach(queue.clone());
        self.around.attached(self.of_response.document_id, queue, realm);
    }

    fn console(&self, level: &str, message: &str) {
        self.around.console(level, message);
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        self.around.fetch_document(navigation, done);
    }

    fn create_host(
        &self,
        environment: &mut Environment,
        tab: TabOf,
        container: Option<&NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        let around = match tab {
            TabOf::Other => Rc::clone(&self.around),
            TabOf::Opened => self.around.open_tab(true),
            TabOf::Nobody => self.around.open_tab(false),
        };
        Self::new(self.runtime.clone(), around, environment, container)
    }

    fn navigable_container(&self) -> Option<NavigableContainer> {
        Some(self.document.navigable_container())
    }

    fn lifecycle(&self, step: Lifecycle) {
        self.tell(Step::Lifecycle(step));
        let document = &self.document;
        match step {
            Lifecycle::Visible => document.visibility_change(VisibilityState::Visible),
            Lifecycle::Hidden => document.visibility_change(VisibilityState::Hidden),
            Lifecycle::PageHide { persisted } => document.pagehide(persisted),
            Lifecycle::PageShow { persisted } => document.pageshow(persisted),
            Lifecycle::Freeze => document.freeze(),
            Lifecycle::Resume => document.resume(),
            Lifecycle::Unload => document.unload(),
        }
    }

    fn load_script(&self, request: &ScriptRequest) -> Result<FetchedScript, String> {
        self.around.load_script(&self.document.client(), request)
    }

    fn cookies(&self) -> String {
        self.around.cookies(&self.cookie_client())
    }

    fn set_cookie(&self, cookie: &str) {
        self.around.set_cookie(&self.cookie_client(), cookie);
    }

    fn send(&self, navigable: NavigableId, message: WindowMessage) {
        self.around.send(navigable, message);
    }

    fn command(&self, navigable: NavigableId, command: Command) {
        self.around.command(navigable, command);
    }

    fn report_violation(&self, violation: &CspViolation) {
        self.document.report_violation(violation);
    }

    fn document_changed(&self, info: &DocumentInfo) {
        let client = info.client(self.of_response.clone());
        self.document.set_client(client);
    }
}
