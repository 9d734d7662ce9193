//! [Dedicated workers](https://html.spec.whatwg.org/multipage/workers.html). Each has a realm of its own, on
//! the event loop of whoever starts it.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use encoding_rs::UTF_8;
use sendbeacon::{CspList, ReferrerPolicy};
use url::Url;

use super::{
    Environment, EventLoop, PageError, RealmId, TabOf, host::Lifecycle, navigable::opaque_origin,
    parser::decode, realm::Realm, window::Window,
};

/// How many workers a page may have at a time.
const MAX_WORKERS: usize = 32;

/// The workers of an event loop, by who started them and their number there.
#[derive(Default)]
pub(super) struct Workers {
    running: RefCell<HashMap<(RealmId, u32), Rc<Realm>>>,
    /// Those that are to go, which they cannot while a script runs.
    going: RefCell<Vec<Rc<Realm>>>,
}

impl Workers {
    /// Those that `owner` has started stop.
    pub(super) fn take_of(&self, owner: RealmId) -> Vec<Rc<Realm>> {
        let running = &mut *self.running.borrow_mut();
        let gone: Vec<_> = running.extract_if(|(it, _), _| *it == owner).collect();
        let realms: Vec<_> = gone.into_iter().map(|(_, realm)| realm).collect();
        self.going.borrow_mut().extend(realms.iter().cloned());
        realms
    }

    /// Lets those go that have stopped. Not to be called while a script is running.
    pub(super) fn let_go(&self) {
        let going = self.going.take();
        drop(going);
    }
}

/// [Run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker) for the page of
/// `window`, in a task of its own. Returns its number.
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

fn run_a_worker(
    owner: &Realm,
    id: u32,
    url: &Url,
    name: &str,
    source: Option<String>,
) -> Result<(), String> {
    let window = owner.window();
    let event_loop = owner.event_loop();
    let environment = environment(window, url);
    let is_local = matches!(url.scheme(), "data" | "blob");
    if !is_local && !environment.client.origin.is_same_origin_with_url(url) {
        return Err(format!("{url} is of another origin"));
    }
    // A worker's script is UTF-8, whatever its response says.
    let load = || window.load_script(url).map(|(bytes, _)| decode(&bytes, None, UTF_8).0);
    let source = source.map_or_else(load, Ok)?;
    let worker = make(&event_loop, owner.id(), id, environment, window)
        .map_err(|error| error.to_string())?;
    worker.call("initialize", (name,));
    if owner.connect_worker(id, &worker) {
        worker.evaluate(&source, url.as_str());
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
    match url.scheme() {
        "data" => client.origin = opaque_origin(),
        "blob" => {}
        // https://html.spec.whatwg.org/multipage/workers.html#initialize-worker-policy-container
        // TODO(spec): the policies of the response are not read.
        _ => {
            client.csp_list = CspList::new(&client.origin);
            client.referrer_policy = ReferrerPolicy::default();
        }
    }
    let cross_origin_isolated = owner.environment().cross_origin_isolated;
    Environment { url: url.clone(), cross_origin_isolated, ..Environment::of(client) }
}

fn make(
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

/// [Terminate a worker](https://html.spec.whatwg.org/multipage/workers.html#terminate-a-worker) of the page
/// of `window`. None of its tasks runs any more; a script that runs goes on to its end.
pub(super) fn stop(window: &Window, id: u32) {
    let Some(event_loop) = window.event_loop() else { return };
    let workers = event_loop.workers();
    let worker = workers.running.borrow_mut().remove(&(window.id, id));
    if let Some(worker) = worker {
        workers.going.borrow_mut().push(Rc::clone(&worker));
        stop_realm(&event_loop, &worker);
    }
}

/// The realm of a worker runs nothing any more, and its own workers stop.
pub(super) fn stop_realm(event_loop: &EventLoop, worker: &Realm) {
    worker.window().host().lifecycle(Lifecycle::Unload);
    event_loop.remove_realm(worker.id());
}
