//! Cases about `fetchLater()` in a tree of documents.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sendbeacon_fetch::{
    Client, ContainerPolicy, Nonce, Origin, PermissionsPolicy,
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

/// A case: a top-level document, and the steps that are taken in its tree of documents.
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

/// One step of a case: an action, and what must be seen after it.
///
/// Documents and calls have names. A step without the name of a document is about the top-level document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Inserts a frame with this name, and its first document.
    frame: Option<String>,
    /// Navigates the frame with this name.
    navigate: Option<String>,
    /// The document that contains the frame or makes the call.
    #[serde(rename = "in")]
    in_: Option<String>,
    /// The frame's new document.
    page: Option<PageSetup>,
    /// The URL that the frame is navigated to, if the new document has another one after redirects.
    src: Option<Url>,
    /// The frame's `allow` attribute.
    #[serde(default)]
    allow: String,
    /// Whether the frame is sandboxed without `allow-same-origin`.
    #[serde(default)]
    sandbox: bool,
    /// Removes the frame's element.
    remove: Option<String>,
    /// Calls `fetchLater()`.
    fetch_later: Option<FetchInit>,
    data: Option<Data>,
    activate_after: Option<f64>,
    /// Whether the call's signal is aborted already.
    #[serde(default)]
    aborted: bool,
    /// Gives the call a name.
    #[serde(rename = "as")]
    named: Option<String>,
    /// Aborts the call with this name.
    abort: Option<String>,
    /// Lets this many milliseconds pass.
    advance: Option<u64>,
    /// Puts the document and the documents in it into the back/forward cache.
    pagehide: Option<String>,
    /// Takes the document and the documents in it out of the back/forward cache.
    pageshow: Option<String>,
    /// Freezes the document.
    freeze: Option<String>,
    /// Unloads the document and the documents in it.
    unload: Option<String>,
    /// Shuts the user agent down.
    shutdown: Option<bool>,
    throws: Option<Throws>,
    requests: Option<Vec<ExpectedRequest>>,
    violations: Option<Vec<ExpectedViolation>>,
    /// The expected `activated`, by the name of the call.
    activated: Option<BTreeMap<String, bool>>,
    /// The expected quota in bytes, by document, for an origin to which nothing is deferred yet.
    available: Option<BTreeMap<String, u64>>,
}

/// The exception that a call must throw.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Throws {
    /// A `TypeError` whose message contains this text.
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
            return Err(format!("step {} has more than one action", at + 1));
        }
        if !case.later.iter().any(Step::checks) {
            return Err("the case checks nothing".to_owned());
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

/// A document of the tree.
struct Document {
    client: Arc<Client>,
    deferred: DeferredFetching,
    /// The frame's container, and the name of the container's document.
    container: Option<(NavigableContainer, String)>,
    group: u64,
    is_fully_active: bool,
}

/// The tree of documents, and their deferred fetches.
struct Tree {
    /// The network, the clock and the other services.
    page: Page,
    documents: BTreeMap<String, Document>,
    calls: BTreeMap<String, Arc<DeferredFetchRecord>>,
    queue: DeferredQueue<QueuedDeferredFetch>,
    /// The last number that was given to a group, a call or an opaque origin.
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
        self.documents.get(name).ok_or_else(|| format!("no document has the name {name}"))
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes the action of a step.
    fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let in_ = step.in_.as_deref().unwrap_or(TOP);
        if let Some(name) = &step.frame {
            let parent = self.document(in_)?;
            let container = parent.deferred.container(&parent.client.origin);
            return self.navigate(name, container, in_, step);
        }
        if let Some(name) = &step.navigate {
            let (container, parent) = self.unload(name).ok_or("no frame has this name")?;
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
                self.queue.make_group_due(document.group, |it| it.record().is_sent());
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
            self.calls.get(name).ok_or("no call has this name")?.abort();
        }
        if let Some(millis) = step.advance {
            self.page.clock.advance(Duration::from_millis(millis));
        }
        if step.shutdown == Some(true) {
            self.queue.make_all_due();
        }
        Ok(())
    }

    /// Navigates the frame in `container`, which belongs to the document `parent`, and adds the new document.
    fn navigate(
        &mut self,
        name: &str,
        container: NavigableContainer,
        parent: &str,
        step: &Step,
    ) -> Result<(), Failure> {
        let setup = step.page.as_ref().ok_or("the step has no page for the frame")?;
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

    /// The document and the documents in it, from the outermost to the innermost.
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

    /// Unloads a document and the documents in it. Returns the container that the document was in.
    fn unload(&mut self, name: &str) -> Option<(NavigableContainer, String)> {
        let mut container = None;
        for name in self.with_nested(name).into_iter().rev() {
            let Some(document) = self.documents.remove(&name) else { continue };
            document.deferred.process_deferred_fetches();
            self.queue.make_group_due(document.group, |_| true);
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
        let (is_fully_active, ledger) = (document.is_fully_active, &self.page.ledger);
        match fetch_later(&document.deferred, is_fully_active, request, arguments, ledger) {
            Ok(_) if step.throws.is_some() => Err("the call did not throw".to_owned()),
            Ok(queued) => {
                if let Some(name) = &step.named {
                    self.calls.insert(name.clone(), Arc::clone(queued.record()));
                }
                let (id, now) = (self.next(), self.page.clock.now());
                let size = queued.request().weight().body_bytes;
                self.queue.add(id, group, queued.activate_after(), size, queued, now);
                Ok(())
            }
            Err(error) => match &step.throws {
                Some(throws) if throws.is(&error) => Ok(()),
                _ => Err(format!("the call threw {error:?} ({error})")),
            },
        }
    }

    /// Fetches the deferred fetches that are due.
    fn fetch_due(&mut self) {
        let now = self.page.clock.now();
        while let Some((_, queued)) = self.queue.poll(now, |_| true) {
            if let Some((request, _reservation)) = queued.process() {
                // What becomes of it is seen on the wire, or as a violation.
                let _ = fetched(&self.page, *request);
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
                failures
                    .push(format!("activated of {name} is {is_activated:?}, expected {expected}"));
            }
        }
        for (name, expected) in step.available.iter().flatten() {
            let available =
                self.document(name)?.deferred.available_quota(&Origin::Opaque(Nonce::from_u128(0)));
            if available != *expected {
                failures.push(format!("{name} has {available} bytes left, expected {expected}"));
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
