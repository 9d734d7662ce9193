//! The items behind `localStorage` and `sessionStorage`.

use std::{cell::RefCell, fmt, rc::Rc};

use serde::{Deserialize, Serialize};
use url::Url;

/// How many bytes the keys and values of a storage area may have, as in browsers.
const QUOTA: usize = 5 << 20;

/// The map behind a [`Storage`](https://html.spec.whatwg.org/multipage/webstorage.html#the-storage-interface)
/// object, in insertion order. A clone shares its items with the original.
#[derive(Clone, Default)]
pub struct StorageArea(Rc<Shared>);

#[derive(Default)]
struct Shared {
    items: RefCell<Vec<(String, String)>>,
    original: Option<Box<dyn OriginalArea>>,
}

impl fmt::Debug for StorageArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StorageArea").field(&self.0.items).finish()
    }
}

/// A storage area of another process, of which an area here is a copy.
pub trait OriginalArea {
    /// Applies to the copy what other processes have changed.
    fn update(&self);

    /// Makes a change in the original. Returns false if there is no room for it. Everything that was changed there before
    /// is applied to the copy when this returns.
    fn change(&self, change: &StorageChange) -> bool;
}

/// A change of a storage area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageChange {
    /// The key of the item. `None`: all items are removed.
    pub key: Option<String>,
    /// The value that the item had, if there was one.
    pub old_value: Option<String>,
    /// The value that the item gets. `None`: it is removed.
    pub new_value: Option<String>,
    /// The URL of the document that makes the change.
    pub url: Url,
}

impl StorageArea {
    /// An area with the items of `original`.
    #[must_use]
    pub fn copy_of(original: Box<dyn OriginalArea>, items: Vec<(String, String)>) -> Self {
        Self(Rc::new(Shared { items: RefCell::new(items), original: Some(original) }))
    }

    /// All keys and values, in insertion order.
    #[must_use]
    pub fn items(&self) -> Vec<(String, String)> {
        self.0.items.borrow().clone()
    }

    /// Replaces all items with `items`.
    pub fn replace(&self, items: Vec<(String, String)>) {
        *self.0.items.borrow_mut() = items;
    }

    /// A separate map with the same items.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Rc::new(Shared { items: RefCell::new(self.items()), original: None }))
    }

    /// The value of `key`, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.update();
        self.0.items.borrow().iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    /// All keys, in insertion order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.update();
        self.0.items.borrow().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Makes a change, also in the original if this area is a copy. Returns false if there is no room for it.
    #[must_use]
    pub fn change(&self, change: StorageChange) -> bool {
        if !self.has_room_for(&change) {
            return false;
        }
        self.0.original.as_ref().is_none_or(|it| it.change(&change)) && self.apply(change)
    }

    /// Makes a change that the original has, if this area is a copy. Returns false if there is no room for it.
    #[must_use]
    pub fn apply(&self, change: StorageChange) -> bool {
        if !self.has_room_for(&change) {
            return false;
        }
        let StorageChange { key, new_value, .. } = change;
        let mut items = self.0.items.borrow_mut();
        match (key, new_value) {
            (None, _) => items.clear(),
            (Some(key), None) => items.retain(|(name, _)| *name != key),
            (Some(key), Some(value)) => match items.iter_mut().find(|(name, _)| *name == key) {
                Some((_, old)) => *old = value,
                None => items.push((key, value)),
            },
        }
        true
    }

    fn update(&self) {
        if let Some(original) = &self.0.original {
            original.update();
        }
    }

    fn has_room_for(&self, change: &StorageChange) -> bool {
        let (Some(key), Some(value)) = (&change.key, &change.new_value) else { return true };
        let items = self.0.items.borrow();
        let others = items.iter().filter(|(name, _)| name != key);
        let bytes = others.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        bytes + key.len() + value.len() <= QUOTA
    }
}
