//! [Dedicated workers](https://html.spec.whatwg.org/multipage/workers.html). Each has a realm of its own, on the event
//! loop of the document or worker that starts it.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use encoding_rs::UTF_8;
use sendbeacon::EmbedderPolicy;
use url::Url;

use super::{
    Environment, EventLoop, FetchedScript, PageError, RealmId, TabOf,
    host::{Lifecycle, ScriptRequest},
    navigable::opaque_origin,
    parser::decode,
    realm::Realm,
    window::Window,
};

/// How many workers a page may have at a time.
const MAX_WORKERS: usize = 32;

/// The workers of an event loop.
#[derive(Default)]
pub(super) struct Workers {
    /// The running workers, by the realm that has started each and the worker's number in that realm.
    running: RefCell<HashMap<(RealmId, u32), Rc<Realm>>>,
    /// The stopped workers. Their realms cannot be dropped while a script runs.
    stopped: RefCell<Vec<Rc<Realm>>>,
}

impl Workers {
    /// Takes the workers that `owner` has started, to stop them.
    pub(super) fn take_of(&self, owner: RealmId) -> Vec<Rc<Realm>> {
        let running = &mut *self.running.borrow_mut();
        let of_owner = running.extract_if(|(it, _), _| *it == owner);
        let realms: Vec<_> = of_owner.map(|(_, realm)| realm).collect();
        self.stopped.borrow_mut().extend(realms.iter().cloned());
        realms
    }

    /// Drops the realms of stopped workers. Must not be called while a script runs.
    pub(super) fn drop_stopped(&self) {
        // Taken out first: a realm's destructor asks for the workers again.
        let stopped = self.stopped.take();
        drop(stopped);
    }
}

/// Starts a worker for the document or worker of `window`, in a task of its own. Returns the worker's number.
pub(super) fn start(
    window: &Window,
    url: Option<Url>,
    name: String,
    source: Option<String>,
) -> u32 {
    let id = window.next_worker_id();
    window.shared().queue.post(window.id, move |owner| {
        let run = || {
            let url = url.ok_or("module workers are not supported")?;
            run_a_worker(owner, id, &url, &name, source)
        };
        if let Err(reason) = run() {
            owner.console_error(&format!("Worker: {reason}"));
            owner.call("failWorker", (id,));
        }
    });
    id
}

/// [Run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker)
fn run_a_worker(
    owner: &Realm,
    id: u32,
    url: &Url,
    name: &str,
    source: Option<String>,
) -> Result<(), String> {
    let window = owner.window();
    let event_loop = owner.event_loop();
    let mut environment = environment(window, url);
    let is_local = matches!(url.scheme(), "data" | "blob");
    if !is_local && !environment.client.origin.is_same_origin_with_url(url) {
        return Err(format!("{url} is of another origin"));
    }
    let source = if let Some(source) = source {
        source
    } else {
        let script = window.load_script(&ScriptRequest::of_worker(url.clone()))?;
        if !is_local {
            set_response(&mut environment, &script)?;
        }
        // A worker's script is always UTF-8: the standard ignores the charset of the response.
        decode(&script.body, None, UTF_8).0
    };
    let url = environment.url.to_string();
    let worker = create_realm(&event_loop, owner.id(), id, environment, window)
        .map_err(|error| error.to_string())?;
    worker.call("initialize", (name,));
    if owner.connect_worker(id, &worker) {
        worker.evaluate(&source, &url);
    } else {
        stop(window, id);
    }
    Ok(())
}

/// [Set up a worker environment settings object](https://html.spec.whatwg.org/multipage/workers.html#set-up-a-worker-environment-settings-object)
fn environment(owner: &Window, url: &Url) -> Environment {
    let mut client = owner.client();
    client.creation_url = url.clone();
    client.api_base_url = url.clone();
    client.has_document = false;
    if url.scheme() == "data" {
        client.origin = opaque_origin();
    }
    let cross_origin_isolated = owner.environment().cross_origin_isolated;
    Environment { url: url.clone(), cross_origin_isolated, ..Environment::of(client) }
}

/// Gives a worker the URL and the policies of the response with its script: steps of
/// [run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker). Fails if the response is not for a
/// worker.
fn set_response(environment: &mut Environment, script: &FetchedScript) -> Result<(), String> {
    // https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-script, step 5
    if !script.is_javascript() {
        return Err(format!("{} is no JavaScript by its type", script.url));
    }
    let FetchedScript { url, policies, .. } = script;
    let client = &mut environment.client;
    // https://html.spec.whatwg.org/multipage/browsers.html#check-a-global-object's-embedder-policy
    let (of_owner, own) = (client.embedder_policy, policies.embedder_policy);
    if of_owner != EmbedderPolicy::UnsafeNone && own == EmbedderPolicy::UnsafeNone {
        return Err(format!("{url} has no embedder policy, but its owner has"));
    }
    environment.url.clone_from(url);
    client.creation_url.clone_from(url);
    client.api_base_url.clone_from(url);
    // https://html.spec.whatwg.org/multipage/workers.html#initialize-worker-policy-container
    client.csp_list.clone_from(&policies.csp_list);
    client.embedder_policy = own;
    client.referrer_policy = policies.referrer_policy.unwrap_or_default();
    client.upgrade_insecure_requests |=
        client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
    Ok(())
}

/// Creates the realm of a worker, unless there are too many workers.
fn create_realm(
    event_loop: &Rc<EventLoop>,
    owner: RealmId,
    id: u32,
    mut environment: Environment,
    window: &Window,
) -> Result<Rc<Realm>, PageError> {
    let workers = event_loop.workers();
    if workers.running.borrow().len() >= MAX_WORKERS {
        return Err(PageError::TooManyRealms);
    }
    let host = window.host().create_host(&mut environment, TabOf::Other, None);
    let worker = event_loop.enter(|ctx| Realm::new_worker(event_loop, ctx))?;
    worker.window().initialize(environment, host);
    workers.running.borrow_mut().insert((owner, id), Rc::clone(&worker));
    Ok(worker)
}

/// [Terminate a worker](https://html.spec.whatwg.org/multipage/workers.html#terminate-a-worker) that `window` has
/// started. None of the worker's tasks runs any more, but a running script runs to its end.
pub(super) fn stop(window: &Window, id: u32) {
    let Some(event_loop) = window.event_loop() else { return };
    let workers = event_loop.workers();
    let worker = workers.running.borrow_mut().remove(&(window.id, id));
    if let Some(worker) = worker {
        workers.stopped.borrow_mut().push(Rc::clone(&worker));
        stop_realm(&event_loop, &worker);
    }
}

/// Stops the tasks and timers of a worker's realm, and the workers that the worker has started.
pub(super) fn stop_realm(event_loop: &EventLoop, worker: &Realm) {
    worker.window().host().lifecycle(Lifecycle::Unload);
    event_loop.remove_realm(worker.id());
}
