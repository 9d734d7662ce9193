//! [Shared workers](https://html.spec.whatwg.org/multipage/workers.html#shared-workers-and-the-sharedworker-interface).
//! Each has a realm of its own, on the event loop of the documents that use it.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use sendbeacon::{Origin, PartitionKey};
use url::Url;

use super::{
    RealmId,
    realm::Realm,
    window::Window,
    workers::{Kind, Prepared, WorkerScript, create_realm, prepare, stop_realm},
};

/// The shared workers of an event loop.
#[derive(Default)]
pub(super) struct SharedWorkers(RefCell<Vec<SharedWorker>>);

/// A shared worker that runs.
struct SharedWorker {
    key: Key,
    options: String,
    is_secure_context: bool,
    /// The documents of the worker's [owner set](https://html.spec.whatwg.org/multipage/workers.html#concept-WorkerGlobalScope-owner-set).
    owners: BTreeSet<RealmId>,
    realm: Rc<Realm>,
}

/// What identifies a shared worker.
#[derive(Clone, PartialEq)]
struct Key {
    /// The [constructor origin](https://html.spec.whatwg.org/multipage/workers.html#concept-sharedworkerglobalscope-constructor-origin)
    origin: Origin,
    partition: PartitionKey,
    has_cross_site_ancestor: bool,
    /// The [constructor URL](https://html.spec.whatwg.org/multipage/workers.html#concept-sharedworkerglobalscope-constructor-url)
    url: Url,
    name: String,
}

/// The arguments of the constructor.
pub(super) struct Wanted {
    pub(super) script: WorkerScript,
    pub(super) name: String,
    /// The type and the credentials mode. All constructors of a worker have to give the same ones.
    pub(super) options: String,
}

impl SharedWorkers {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Removes a document from the owners of all workers. Takes the workers that have no owner left, to stop them.
    pub(super) fn take_without(&self, owner: RealmId) -> Vec<Rc<Realm>> {
        let workers = &mut *self.0.borrow_mut();
        let gone = workers.extract_if(.., |it| it.owners.remove(&owner) && it.owners.is_empty());
        gone.map(|it| it.realm).collect()
    }

    /// Takes the worker with this realm.
    fn take(&self, realm: RealmId) -> Option<Rc<Realm>> {
        let workers = &mut *self.0.borrow_mut();
        let at = workers.iter().position(|it| it.realm.id() == realm)?;
        Some(workers.swap_remove(at).realm)
    }

    /// Adds a document to the owners of a worker, if the worker runs. Fails if the worker was started in another way.
    fn join(
        &self,
        key: &Key,
        options: &str,
        is_secure_context: bool,
        owner: RealmId,
    ) -> Result<Option<Rc<Realm>>, String> {
        let workers = &mut *self.0.borrow_mut();
        let Some(worker) = workers.iter_mut().find(|it| it.key == *key) else { return Ok(None) };
        if worker.options != options || worker.is_secure_context != is_secure_context {
            return Err(format!("{} runs with other options", key.url));
        }
        worker.owners.insert(owner);
        Ok(Some(Rc::clone(&worker.realm)))
    }
}

/// Connects the document of `window` to a shared worker, in a task of its own. Returns the number of the connection.
///
/// These are the steps of the [constructor](https://html.spec.whatwg.org/multipage/workers.html#dom-sharedworker) that
/// run in parallel.
pub(super) fn connect(window: &Window, wanted: Wanted) -> u32 {
    let id = window.next_worker_id();
    window.shared().queue.post(window.id, move |owner| match obtain(owner, wanted) {
        Ok(worker) => owner.connect_shared_worker(id, &worker),
        Err(reason) => {
            owner.console_error(&format!("SharedWorker: {reason}"));
            owner.call("failSharedWorker", (id,));
        }
    });
    id
}

/// Finds a shared worker, or [runs](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker) it.
fn obtain(owner: &Realm, wanted: Wanted) -> Result<Rc<Realm>, String> {
    let Wanted { script, name, options } = wanted;
    let window = owner.window();
    let event_loop = owner.event_loop();
    let workers = event_loop.workers();
    let client = window.client();
    let is_secure_context = client.is_secure_context;
    let key = Key {
        origin: client.origin,
        partition: client.network_partition_key,
        has_cross_site_ancestor: client.has_cross_site_ancestor,
        url: script.url.clone(),
        name: name.clone(),
    };
    if let Some(realm) = workers.shared.join(&key, &options, is_secure_context, owner.id())? {
        return Ok(realm);
    }
    let Prepared { environment, program } = prepare(window, Kind::Shared, script)?;
    let realm = create_realm(&event_loop, Kind::Shared, environment, window)
        .map_err(|error| error.to_string())?;
    let owners = BTreeSet::from([owner.id()]);
    let worker = SharedWorker { key, options, is_secure_context, owners, realm: Rc::clone(&realm) };
    workers.shared.0.borrow_mut().push(worker);
    realm.call("initialize", (name, program.is_module()));
    // TODO(spec): a script that is not well-formed fires no `error` event at the SharedWorker. The engine does not tell
    // whether a SyntaxError is of the script or of what it runs.
    if let Err(reason) = program.run(&realm, Kind::Shared) {
        close(realm.window());
        return Err(reason);
    }
    Ok(realm)
}

/// [Closes](https://html.spec.whatwg.org/multipage/workers.html#close-a-worker) the shared worker of `window`. None of its
/// tasks runs any more, but a running script runs to its end.
pub(super) fn close(window: &Window) {
    let Some(event_loop) = window.event_loop() else { return };
    let workers = event_loop.workers();
    if let Some(worker) = workers.shared.take(window.id) {
        workers.retire(Rc::clone(&worker));
        stop_realm(&event_loop, &worker);
    }
}
