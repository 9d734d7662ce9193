//! Tells documents of the changes that other processes make in the storage.

use sendbeacon::Origin;

use super::{EventLoop, StorageChange};

impl EventLoop {
    /// [Broadcasts](https://html.spec.whatwg.org/multipage/webstorage.html#concept-storage-broadcast) a change of the
    /// `localStorage` of an origin that a document of another process has made. Must not be called while a script runs.
    pub fn local_storage_changed(&self, origin: &Origin, change: &StorageChange) {
        if change.key.is_some() && change.old_value == change.new_value {
            return;
        }
        for navigable in self.navigables().all() {
            let realm = navigable.active();
            let window = realm.window();
            if !window.is_remote && window.environment().client.origin == *origin {
                let StorageChange { key, old_value, new_value, url } = change.clone();
                realm.call("fireStorage", (key, old_value, new_value, url.as_str()));
            }
        }
    }
}
