//! `fetchLater()` in a tree of documents.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sendbeacon_fetch::{
    Client, ContainerPolicy, Nonce, Origin, PermissionsPolicy, Request,
    deferred::{
        DeferredFetchRecord, DeferredFetching, DeferredQueue, DeferredRequestInit, FetchLaterError,
        NavigableContainer, QueuedDeferredFetch, fetch_later,
    },
    host::Clock,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Failure,
    check::{ExpectedRequest, ExpectedViolation, check_requests, check_violations},
    fetch_init::FetchInit,
    page::Page,
    server::Rule,
    setup::PageSetup,
    step::fetched,
    value::Data,
};

/// The name of the top-level document.
const TOP: &str = "top";

/// A tree of documents that begins with one, and what happens in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaterCase {
    page: PageSetup,
    #[serde(default)]
    servers: Vec<Rule>,
    later: Vec<Step>,
}

impl std::fmt::Debug for LaterCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LaterCase({} steps)", self.later.len())
    }
}

/// One thing that happens, and what must be seen of it. Documents and calls go by names; a document that
/// none is given for is the top-level one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// A frame, with its first document.
    frame: Option<String>,
    /// A frame's document navigates it.
    navigate: Option<String>,
    /// The document that a frame is in, or that calls.
    #[serde(rename = "in")]
    in_: Option<String>,
    /// What the frame's document will be.
    page: Option<PageSetup>,
    /// Where its container's document navigates it to, where that is not where it ends.
    src: Option<Url>,
    #[serde(default)]
    allow: String,
    /// Sandboxed without `allow-same-origin`.
    #[serde(default)]
    sandbox: bool,
    /// The frame's element is removed.
    remove: Option<String>,
    fetch_later: Option<FetchInit>,
    data: Option<Data>,
    activate_after: Option<f64>,
    #[serde(default)]
    aborted: bool,
    #[serde(rename = "as")]
    named: Option<String>,
    abort: Option<String>,
    /// Milliseconds pass.
    advance: Option<u64>,
    /// The document and those in it enter the back/forward cache.
    pagehide: Option<String>,
    pageshow: Option<String>,
    freeze: Option<String>,
    /// The document is unloaded, with those in it.
    unload: Option<String>,
    shutdown: Option<bool>,
    throws: Option<Throws>,
    requests: Option<Vec<ExpectedRequest>>,
    violations: Option<Vec<ExpectedViolation>>,
    /// By call.
    activated: Option<BTreeMap<String, bool>>,
    /// By document: the quota that is left to it for an origin to which nothing is deferred.
    available: Option<BTreeMap<String, u64>>,
}

/// An exception.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Throws {
    /// With a part of its message.
    #[serde(rename = "TypeError")]
    Type(String),
    #[serde(rename = "RangeError")]
    Range,
    #[serde(rename = "AbortError")]
    Abort,
    #[serde(rename = "QuotaExceededError")]
    QuotaExceeded { quota: u64, requested: u64 },
}

impl LaterCase {
    pub(crate) fn parse(fields: Map<String, Value>) -> Result<Self, Failure> {
        let case: Self = serde_json::from_value(fields.into()).map_err(|e| e.to_string())?;
        if let Some(at) = case.later.iter().position(|step| step.actions() > 1) {
            return Err(format!("step {} does more than one thing", at + 1));
        }
        if !case.later.iter().any(Step::checks) {
            return Err("checks nothing".to_owned());
        }
        Ok(case)
    }

    pub(crate) fn run(&self, failures: &mut Vec<Failure>) {
        let mut tree = Tree::new(&self.page, self.servers.clone());
        for (at, step) in self.later.iter().enumerate() {
            let before = tree.page.network.sent().len();
            let result = tree.perform(step).and_then(|()| {
                tree.fetch_due();
                tree.check(step, before)
            });
            failures.extend(result.err().map(|failure| format!("step {}: {failure}", at + 1)));
        }
    }
}

impl Step {
    fn actions(&self) -> usize {
        let names = [&self.frame, &self.navigate, &self.remove, &self.abort, &self.pagehide];
        let more = [&self.pageshow, &self.freeze, &self.unload];
        names.iter().chain(&more).filter(|name| name.is_some()).count()
            + usize::from(self.fetch_later.is_some())
            + usize::from(self.advance.is_some())
            + usize::from(self.shutdown.is_some())
    }

    fn checks(&self) -> bool {
        self.throws.is_some()
            || self.requests.is_some()
            || self.violations.is_some()
            || self.activated.is_some()
            || self.available.is_some()
    }
}

struct Document {
    client: Arc<Client>,
    deferred: DeferredFetching,
    /// What it is in, and the name of the document that is in.
    container: Option<(NavigableContainer, String)>,
    group: u64,
    is_fully_active: bool,
}

struct Tree {
    /// The network, the clock and the rest.
    page: Page,
    documents: BTreeMap<String, Document>,
    calls: BTreeMap<String, Arc<DeferredFetchRecord>>,
    queue: DeferredQueue<(Request, Arc<DeferredFetchRecord>)>,
    next: u64,
}

impl Tree {
    fn new(setup: &PageSetup, servers: Vec<Rule>) -> Self {
        let page = Page::new(setup, servers, false);
        let mut client = setup.client();
        client.permissions_policy =
            PermissionsPolicy::top_level(&client.origin, &setup.permissions_policy());
        let top = Document {
            deferred: DeferredFetching::top_level(&client),
            client: Arc::new(client),
            container: None,
            group: 0,
            is_fully_active: true,
        };
        let documents = BTreeMap::from([(TOP.to_owned(), top)]);
        let (calls, queue) = Default::default();
        Self { page, documents, calls, queue, next: 1 }
    }

    fn document(&self, name: &str) -> Result<&Document, Failure> {
        self.documents.get(name).ok_or_else(|| format!("there is no document {name}"))
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let in_ = step.in_.as_deref().unwrap_or(TOP);
        if let Some(name) = &step.frame {
            let parent = self.document(in_)?;
            let container = parent.deferred.container(&parent.client.origin);
            return self.navigate(name, container, in_, step);
        }
        if let Some(name) = &step.navigate {
            let (container, parent) = self.unload(name).ok_or("no frame")?;
            return self.navigate(name, container, &parent, step);
        }
        if let Some(init) = &step.fetch_later {
            return self.fetch_later(in_, init, step);
        }
        if let Some(name) = step.remove.as_ref().or(step.unload.as_ref()) {
            self.unload(name);
        }
        if let Some(name) = &step.pagehide {
            for name in self.with_nested(name) {
                let Some(document) = self.documents.get_mut(&name) else { continue };
                document.is_fully_active = false;
                document.deferred.process_deferred_fetches();
                self.queue.process_deferred_fetches(document.group, |(_, it)| it.is_sent());
            }
        }
        if let Some(name) = &step.pageshow {
            for name in self.with_nested(name) {
                self.documents.entry(name).and_modify(|it| it.is_fully_active = true);
            }
        }
        if let Some(name) = &step.freeze {
            let group = self.document(name)?.group;
            self.queue.scripts_stop(group);
        }
        if let Some(name) = &step.abort {
            self.calls.get(name).ok_or("no such call")?.abort();
        }
        if let Some(millis) = step.advance {
            self.page.clock.advance(Duration::from_millis(millis));
        }
        if step.shutdown == Some(true) {
            self.queue.process_all();
        }
        Ok(())
    }

    /// The container's document navigates it, and a document comes of it.
    fn navigate(
        &mut self,
        name: &str,
        container: NavigableContainer,
        parent: &str,
        step: &Step,
    ) -> Result<(), Failure> {
        let setup = step.page.as_ref().ok_or("a frame has a page")?;
        let url = step.src.as_ref().unwrap_or(setup.url());
        let opaque = Origin::Opaque(Nonce::from_u128(self.next().into()));
        let to = if step.sandbox {
            opaque.clone()
        } else {
            Origin::of(url, Nonce::from_u128(self.next().into()))
        };
        let mut client = setup.client();
        if step.sandbox || matches!(client.origin, Origin::Opaque(_)) {
            client.origin = opaque;
        }
        let of_parent = &self.document(parent)?.client;
        let policy = &of_parent.permissions_policy;
        let policy = ContainerPolicy::new(policy, &of_parent.origin, &step.allow, &to);
        container.reserve_deferred_fetch_quota(&policy, &to);
        client.permissions_policy =
            policy.permissions_policy(&client.origin, &setup.permissions_policy());
        let document = Document {
            deferred: DeferredFetching::nested(&client, &container),
            client: Arc::new(client),
            container: Some((container, parent.to_owned())),
            group: self.next(),
            is_fully_active: true,
        };
        self.documents.insert(name.to_owned(), document);
        Ok(())
    }

    /// The document and what is in it, from the outside in.
    fn with_nested(&self, name: &str) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        let mut at = 0;
        while let Some(parent) = names.get(at).cloned() {
            let is_in = |(_, it): &(_, &Document)| {
                it.container.as_ref().is_some_and(|(_, document)| *document == parent)
            };
            names.extend(self.documents.iter().filter(is_in).map(|(name, _)| name.clone()));
            at += 1;
        }
        names
    }

    /// Ends a document and those in it, and gives the container that it was in.
    fn unload(&mut self, name: &str) -> Option<(NavigableContainer, String)> {
        let mut container = None;
        for name in self.with_nested(name).into_iter().rev() {
            let Some(document) = self.documents.remove(&name) else { continue };
            document.deferred.process_deferred_fetches();
            self.queue.process_deferred_fetches(document.group, |_| true);
            container = document.container;
        }
        container
    }

    fn fetch_later(&mut self, in_: &str, init: &FetchInit, step: &Step) -> Result<(), Failure> {
        let document = self.document(in_)?;
        let is_stream = matches!(step.data, Some(Data::Stream));
        let data = step.data.as_ref().filter(|_| !is_stream);
        let request = init.request(&document.client, data)?;
        let mut arguments = DeferredRequestInit::default();
        arguments.activate_after = step.activate_after;
        arguments.is_aborted = step.aborted;
        arguments.has_stream_body = is_stream;
        let group = document.group;
        match fetch_later(&document.deferred, document.is_fully_active, request, arguments) {
            Ok(_) if step.throws.is_some() => Err("did not throw".to_owned()),
            Ok(QueuedDeferredFetch { request, record, activate_after }) => {
                if let Some(name) = &step.named {
                    self.calls.insert(name.clone(), Arc::clone(&record));
                }
                let (id, now) = (self.next(), self.page.clock.now());
                self.queue.add(id, group, activate_after, (*request, record), now);
                Ok(())
            }
            Err(error) => match &step.throws {
                Some(throws) if throws.is(&error) => Ok(()),
                _ => Err(format!("threw {error:?} ({error})")),
            },
        }
    }

    fn fetch_due(&mut self) {
        let now = self.page.clock.now();
        while let Some((request, record)) = self.queue.poll(now, |_| true) {
            if record.process() {
                // What becomes of it is seen on the wire, or as a violation.
                let _ = fetched(&self.page, request);
            }
        }
    }

    fn check(&self, step: &Step, before: usize) -> Result<(), Failure> {
        let mut failures = Vec::new();
        if let Some(requests) = &step.requests {
            check_requests(requests, &self.page.network.sent()[before..], &mut failures);
        }
        let seen = self.page.observations.take_violations();
        if let Some(violations) = &step.violations {
            check_violations(violations, &seen, &mut failures);
        }
        for (name, expected) in step.activated.iter().flatten() {
            let is_activated = self.calls.get(name).map(|record| record.is_sent());
            if is_activated != Some(*expected) {
                failures.push(format!("{name} is activated: {is_activated:?}"));
            }
        }
        for (name, expected) in step.available.iter().flatten() {
            let available =
                self.document(name)?.deferred.available_quota(&Origin::Opaque(Nonce::from_u128(0)));
            if available != *expected {
                failures.push(format!("{name} has {available} left, and not {expected}"));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }
}

impl Throws {
    fn is(&self, error: &FetchLaterError) -> bool {
        match self {
            Self::Type(part) => {
                error.exception_name() == "TypeError" && error.to_string().contains(part)
            }
            Self::Range => error.exception_name() == "RangeError",
            Self::Abort => error.exception_name() == "AbortError",
            Self::QuotaExceeded { quota, requested } => {
                let (quota, requested) = (*quota, *requested);
                *error == FetchLaterError::QuotaExceeded { quota, requested }
            }
        }
    }
}
