//! [Dedicated workers](https://html.spec.whatwg.org/multipage/workers.html), and what shared workers have in common with
//! them. Each has a realm of its own, on the event loop of the document or worker that starts it.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use encoding_rs::UTF_8;
use sendbeacon::{CredentialsMode, Destination, EmbedderPolicy};
use url::Url;

use super::{
    Environment, EventLoop, FetchedScript, PageError, RealmId, TabOf,
    host::{Lifecycle, ScriptRequest},
    modules::{self, Settings},
    navigable::opaque_origin,
    parser::decode,
    prelude::Global,
    realm::Realm,
    shared_workers::SharedWorkers,
    window::Window,
    worker_src::check_worker_src,
};

/// How many workers a page may have at a time.
const MAX_WORKERS: usize = 32;

/// The workers of an event loop.
#[derive(Default)]
pub(super) struct Workers {
    /// The running workers, by the realm that has started each and the worker's number in that realm.
    running: RefCell<HashMap<(RealmId, u32), Rc<Realm>>>,
    pub(super) shared: SharedWorkers,
    /// The stopped workers. Their realms cannot be dropped while a script runs.
    stopped: RefCell<Vec<Rc<Realm>>>,
}

impl Workers {
    /// Takes the workers that have no owner but `owner`, to stop them.
    pub(super) fn take_without(&self, owner: RealmId) -> Vec<Rc<Realm>> {
        let running = &mut *self.running.borrow_mut();
        let of_owner = running.extract_if(|(it, _), _| *it == owner);
        let mut realms: Vec<_> = of_owner.map(|(_, realm)| realm).collect();
        realms.extend(self.shared.take_without(owner));
        self.stopped.borrow_mut().extend(realms.iter().cloned());
        realms
    }

    /// Keeps the realm of a stopped worker until it can be dropped.
    pub(super) fn retire(&self, realm: Rc<Realm>) {
        self.stopped.borrow_mut().push(realm);
    }

    /// Drops the realms of stopped workers. Must not be called while a script runs.
    pub(super) fn drop_stopped(&self) {
        // Taken out first: a realm's destructor asks for the workers again.
        let stopped = self.stopped.take();
        drop(stopped);
    }
}

/// The kind of a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dedicated,
    Shared,
}

impl Kind {
    fn destination(self) -> Destination {
        match self {
            Self::Dedicated => Destination::Worker,
            Self::Shared => Destination::SharedWorker,
        }
    }
}

/// The script of a new worker.
pub(super) struct WorkerScript {
    pub(super) url: Url,
    /// The text, if the URL is a blob URL.
    pub(super) text: Option<String>,
    /// For a module script: its credentials mode. `None`: a classic script.
    pub(super) module_credentials: Option<CredentialsMode>,
}

/// What a worker needs before it runs.
pub(super) struct Prepared {
    pub(super) environment: Environment,
    pub(super) program: Program,
}

/// The script of a worker, as it is fetched.
pub(super) struct Program {
    text: String,
    /// The settings of the script, if it is a module.
    module: Option<Settings>,
}

/// Starts a worker for the document or worker of `window`, in a task of its own. Returns the worker's number.
pub(super) fn start(window: &Window, script: WorkerScript, name: String) -> u32 {
    let id = window.next_worker_id();
    window.shared().queue.post(window.id, move |owner| {
        if let Err(reason) = run_a_worker(owner, id, script, &name) {
            owner.console_error(&format!("Worker: {reason}"));
            owner.call("failWorker", (id,));
        }
    });
    id
}

/// [Run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker)
fn run_a_worker(owner: &Realm, id: u32, script: WorkerScript, name: &str) -> Result<(), String> {
    let window = owner.window();
    let event_loop = owner.event_loop();
    let Prepared { environment, program } = prepare(window, Kind::Dedicated, script)?;
    let worker = create_realm(&event_loop, Kind::Dedicated, environment, window)
        .map_err(|error| error.to_string())?;
    let workers = event_loop.workers();
    workers.running.borrow_mut().insert((owner.id(), id), Rc::clone(&worker));
    worker.call("initialize", (name, program.is_module()));
    if !owner.connect_worker(id, &worker) {
        stop(window, id);
        return Ok(());
    }
    program.run(&worker, Kind::Dedicated).inspect_err(|_| stop(window, id))
}

/// Makes the environment of a worker and fetches its script: steps of
/// [run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker).
pub(super) fn prepare(
    window: &Window,
    kind: Kind,
    script: WorkerScript,
) -> Result<Prepared, String> {
    let WorkerScript { url, text, module_credentials } = script;
    let mut environment = environment(window, kind, &url);
    let is_local = matches!(url.scheme(), "data" | "blob");
    if !is_local && !environment.client.origin.is_same_origin_with_url(&url) {
        return Err(format!("{url} is of another origin"));
    }
    if is_local && !check_worker_src(window, &url) {
        return Err("the policies allow no worker at this URL".to_owned());
    }
    if let Some(text) = text {
        let settings = |credentials| Settings { credentials, ..Settings::new(url) };
        let module = module_credentials.map(settings);
        return Ok(Prepared { environment, program: Program { text, module } });
    }
    let mut request = match kind {
        Kind::Dedicated => ScriptRequest::of_worker(url),
        Kind::Shared => ScriptRequest::of_shared_worker(url),
    };
    request.credentials = module_credentials.unwrap_or(request.credentials);
    let script = window.load_script(&request)?;
    if !is_local {
        set_response(&mut environment, kind, &script)?;
    }
    let program = if module_credentials.is_some() {
        let read = modules::read(script, &request);
        let (settings, text) = read.map_err(|reason| format!("{}: {reason}", request.url))?;
        Program { text, module: Some(settings) }
    } else {
        // A worker's script is always UTF-8: the standard ignores the charset of the response.
        Program { text: decode(&script.body, None, UTF_8).0, module: None }
    };
    Ok(Prepared { environment, program })
}

impl Program {
    pub(super) fn is_module(&self) -> bool {
        self.module.is_some()
    }

    /// Runs the script of a worker. Fails if a module that it imports cannot be fetched.
    pub(super) fn run(self, worker: &Realm, kind: Kind) -> Result<(), String> {
        let window = worker.window();
        let name = String::from(window.document.url());
        let Some(settings) = self.module else {
            worker.evaluate(&self.text, &name);
            return Ok(());
        };
        window.modules.add(&name, settings, self.text)?;
        window.modules.set_destination(kind.destination());
        worker.run_module(&name, None)
    }
}

/// [Set up a worker environment settings object](https://html.spec.whatwg.org/multipage/workers.html#set-up-a-worker-environment-settings-object)
fn environment(owner: &Window, kind: Kind, url: &Url) -> Environment {
    let mut client = owner.client();
    client.creation_url = url.clone();
    client.api_base_url = url.clone();
    client.has_document = false;
    if url.scheme() == "data" {
        client.origin = opaque_origin();
    }
    let cross_origin_isolated =
        kind == Kind::Dedicated && owner.environment().cross_origin_isolated;
    Environment { url: url.clone(), cross_origin_isolated, ..Environment::of(client) }
}

/// Gives a worker the URL and the policies of the response with its script: steps of
/// [run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker). Fails if the response is not for a
/// worker.
fn set_response(
    environment: &mut Environment,
    kind: Kind,
    script: &FetchedScript,
) -> Result<(), String> {
    // https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-script, step 5
    if !script.is_javascript() {
        return Err(format!("{} is no JavaScript by its type", script.url));
    }
    let FetchedScript { url, policies, .. } = script;
    let client = &mut environment.client;
    // https://html.spec.whatwg.org/multipage/browsers.html#check-a-global-object's-embedder-policy
    let (of_owner, own) = (client.embedder_policy, policies.embedder_policy);
    if kind == Kind::Dedicated
        && of_owner != EmbedderPolicy::UnsafeNone
        && own == EmbedderPolicy::UnsafeNone
    {
        return Err(format!("{url} has no embedder policy, but its owner has"));
    }
    environment.url.clone_from(url);
    client.creation_url.clone_from(url);
    client.api_base_url.clone_from(url);
    // https://html.spec.whatwg.org/multipage/workers.html#initialize-worker-policy-container
    client.csp_list.clone_from(&policies.csp_list);
    client.embedder_policy = own;
    environment.cross_origin_isolated |= kind == Kind::Shared && own != EmbedderPolicy::UnsafeNone;
    client.referrer_policy = policies.referrer_policy.unwrap_or_default();
    client.upgrade_insecure_requests |=
        client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
    Ok(())
}

/// Creates the realm of a worker, unless there are too many workers.
pub(super) fn create_realm(
    event_loop: &Rc<EventLoop>,
    kind: Kind,
    mut environment: Environment,
    window: &Window,
) -> Result<Rc<Realm>, PageError> {
    let workers = event_loop.workers();
    if workers.running.borrow().len() + workers.shared.len() >= MAX_WORKERS {
        return Err(PageError::TooManyRealms);
    }
    let host = window.host().create_host(&mut environment, TabOf::Other, None);
    let global = match kind {
        Kind::Dedicated => Global::DedicatedWorker,
        Kind::Shared => Global::SharedWorker,
    };
    let worker = event_loop.enter(|ctx| Realm::with_global(event_loop, ctx, global))?;
    worker.window().initialize(environment, host);
    Ok(worker)
}

/// [Terminate a worker](https://html.spec.whatwg.org/multipage/workers.html#terminate-a-worker) that `window` has
/// started. None of the worker's tasks runs any more, but a running script runs to its end.
pub(super) fn stop(window: &Window, id: u32) {
    let Some(event_loop) = window.event_loop() else { return };
    let workers = event_loop.workers();
    let worker = workers.running.borrow_mut().remove(&(window.id, id));
    if let Some(worker) = worker {
        workers.retire(Rc::clone(&worker));
        stop_realm(&event_loop, &worker);
    }
}

/// Stops the tasks and timers of a worker's realm, and the workers that the worker has started.
pub(super) fn stop_realm(event_loop: &EventLoop, worker: &Realm) {
    worker.window().host().lifecycle(Lifecycle::Unload);
    event_loop.remove_realm(worker.id());
}
