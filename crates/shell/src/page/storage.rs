//! Tells documents of the changes that other processes make in the storage.

use sendbeacon::Origin;

use super::{EventLoop, StorageChange};

impl EventLoop {
    /// [Broadcasts](https://html.spec.whatwg.org/multipage/webstorage.html#concept-storage-broadcast) a change of the
    /// `localStorage` of an origin that a document of another process has made: queues a task for each document of the
    /// origin.
    pub fn local_storage_changed(
        &self,
        origin: &Origin,
        change: &StorageChange,
        old_value: Option<&str>,
    ) {
        for navigable in self.navigables().all() {
            let realm = navigable.active();
            let window = realm.window();
            if !window.is_remote && window.environment().client.origin == *origin {
                let StorageChange { key, new_value, url } = change.clone();
                let old_value = old_value.map(str::to_owned);
                self.queue().post(realm.id(), move |realm| {
                    realm.call("fireStorage", (key, old_value, new_value, url.as_str()));
                });
            }
        }
    }
}
