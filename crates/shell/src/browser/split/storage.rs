//! The `localStorage` of the documents of a content process.
//!
//! The parent process has the items. A content process has a copy of the items of each origin, and each change is made in the
//! parent process first. The parent process tells other processes of it. So all processes see all changes in one order.

use std::{
    os::unix::net::UnixStream,
    rc::{Rc, Weak},
    sync::mpsc::Receiver,
};

use sendbeacon::Origin;

use super::{FromContent, Items, channel::write};
use crate::{
    browser::tab::Areas,
    page::{Changed, EventLoop, OriginalArea, StorageArea, StorageChange},
};

/// What the parent process says about storage, in the order in which it happens there.
pub(super) enum Said {
    /// Another process has made a change.
    Changed(Origin, StorageChange),
    /// The answer to [`FromContent::Store`]: whether there is room.
    Stored(bool),
    /// The answer to [`FromContent::GetItems`].
    Items(Items),
}

/// The local storage of a content process.
pub(super) struct LocalStorage {
    control: UnixStream,
    said: Receiver<Said>,
    areas: Areas,
    event_loop: Weak<EventLoop>,
}

impl LocalStorage {
    pub(super) fn new(
        control: UnixStream,
        said: Receiver<Said>,
        event_loop: &Rc<EventLoop>,
    ) -> Rc<Self> {
        let event_loop = Rc::downgrade(event_loop);
        Rc::new(Self { control, said, areas: Areas::default(), event_loop })
    }

    /// The area of an origin. The storage of an opaque origin is that of its document, and stays in this process.
    pub(super) fn of(self: &Rc<Self>, origin: &Origin) -> StorageArea {
        if matches!(origin, Origin::Opaque(_)) || self.areas.has(origin) {
            return self.areas.of(origin);
        }
        let items = match self.ask(&FromContent::GetItems(origin.clone())) {
            Some(Said::Items(items)) => items,
            _ => Vec::new(),
        };
        self.begin(origin.clone(), items)
    }

    /// Makes the area of an origin, of which the parent process has these items.
    pub(super) fn begin(self: &Rc<Self>, origin: Origin, items: Items) -> StorageArea {
        let (origin_of_area, storage) = (origin.clone(), Rc::downgrade(self));
        let original = InParent { origin: origin_of_area, storage };
        let area = StorageArea::copy_of(Box::new(original), items);
        self.areas.set(origin, area.clone());
        area
    }

    /// Applies what other processes have changed, and posts the events.
    pub(super) fn update(&self) {
        for said in self.said.try_iter() {
            self.hear(said);
        }
    }

    /// Sends a message and returns its answer. `None` if the parent process has gone.
    fn ask(&self, message: &FromContent) -> Option<Said> {
        write(&self.control, message).ok()?;
        loop {
            if let Some(answer) = self.hear(self.said.recv().ok()?) {
                return Some(answer);
            }
        }
    }

    /// Applies a change and posts its events, and returns everything else.
    fn hear(&self, said: Said) -> Option<Said> {
        let Said::Changed(origin, change) = said else { return Some(said) };
        // Without an area there is no document of the origin, and the items of a new area have the change.
        if self.areas.has(&origin)
            // There is room, because there was room in the parent process.
            && let Changed::From(old_value) = self.areas.of(&origin).apply(&change)
            && let Some(event_loop) = self.event_loop.upgrade()
        {
            // NB: at once, so that the events have the order of the changes. A change of this process may follow.
            event_loop.local_storage_changed(&origin, &change, old_value.as_deref());
        }
        None
    }
}

/// The area of an origin in the parent process.
struct InParent {
    origin: Origin,
    storage: Weak<LocalStorage>,
}

impl OriginalArea for InParent {
    fn update(&self) {
        if let Some(storage) = self.storage.upgrade() {
            storage.update();
        }
    }

    fn change(&self, change: &StorageChange) -> bool {
        let Some(storage) = self.storage.upgrade() else { return false };
        let message = FromContent::Store(self.origin.clone(), Box::new(change.clone()));
        matches!(storage.ask(&message), Some(Said::Stored(true)))
    }
}
