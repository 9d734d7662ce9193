//! The items behind `localStorage` and `sessionStorage`.

use std::{cell::RefCell, fmt, rc::Rc};

use serde::{Deserialize, Serialize};
use url::Url;

/// How many bytes the items of a storage area may take, as in browsers.
const QUOTA: usize = 5 << 20;
/// About how many bytes an item takes beside its key and value.
const ITEM: usize = 100;

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
    /// The value that the item gets. `None`: it is removed.
    pub new_value: Option<String>,
    /// The URL of the document that makes the change.
    pub url: Url,
}

/// What a change of a storage area has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The area changes. This is the old value of the item, if the item had one.
    From(Option<String>),
    /// The change would have left everything as it was.
    Nothing,
    /// There is no room for the change.
    NoRoom,
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

    /// Replaces all items with `items`, as far as there is room for them.
    pub fn replace(&self, items: Vec<(String, String)>) {
        let mut room = QUOTA;
        let fits = |(key, value): &(String, String)| {
            let rest = room.checked_sub(size(key, value));
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        *self.0.items.borrow_mut() = items.into_iter().take_while(fits).collect();
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

    /// Makes a change, also in the original if this area is a copy.
    #[must_use]
    pub fn change(&self, change: &StorageChange) -> Changed {
        self.update();
        let preview = self.preview(change);
        match &self.0.original {
            Some(original) if matches!(preview, Changed::From(_)) => {
                if original.change(change) {
                    self.apply(change)
                } else {
                    Changed::NoRoom
                }
            }
            _ => self.apply(change),
        }
    }

    /// Makes a change in this area alone. If the area is a copy, the original already has the change.
    #[must_use]
    pub fn apply(&self, change: &StorageChange) -> Changed {
        let changed = self.preview(change);
        if !matches!(changed, Changed::From(_)) {
            return changed;
        }
        let mut items = self.0.items.borrow_mut();
        match (&change.key, &change.new_value) {
            (None, _) => items.clear(),
            (Some(key), None) => items.retain(|(name, _)| name != key),
            (Some(key), Some(value)) => match items.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => old.clone_from(value),
                None => items.push((key.clone(), value.clone())),
            },
        }
        changed
    }

    /// What a change would come to.
    #[must_use]
    pub fn preview(&self, StorageChange { key, new_value, .. }: &StorageChange) -> Changed {
        let items = self.0.items.borrow();
        let Some(key) = key else {
            return if items.is_empty() { Changed::Nothing } else { Changed::From(None) };
        };
        let old_value = items.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        if old_value == new_value.as_ref() {
            return Changed::Nothing;
        }
        if let Some(value) = new_value {
            let others = items.iter().filter(|(name, _)| name != key);
            let bytes = others.map(|(name, value)| size(name, value)).sum::<usize>();
            if bytes + size(key, value) > QUOTA {
                return Changed::NoRoom;
            }
        }
        Changed::From(old_value.cloned())
    }

    fn update(&self) {
        if let Some(original) = &self.0.original {
            original.update();
        }
    }
}

/// How much of the quota an item takes, in bytes.
fn size(key: &str, value: &str) -> usize {
    key.len() + value.len() + ITEM
}

#[cfg(test)]
impl StorageChange {
    /// A change by a document of `http://a.test`.
    pub(crate) fn of(key: Option<&str>, new_value: Option<&str>) -> Self {
        let [key, new_value] = [key, new_value].map(|it| it.map(str::to_owned));
        Self { key, new_value, url: Url::parse("http://a.test").expect("a URL") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_tells_the_old_value() {
        let area = StorageArea::default();
        let changes = [
            (None, None, Changed::Nothing),
            (Some("a"), None, Changed::Nothing),
            (Some("a"), Some("1"), Changed::From(None)),
            (Some("a"), Some("1"), Changed::Nothing),
            (Some("a"), Some("2"), Changed::From(Some("1".into()))),
            (Some("a"), None, Changed::From(Some("2".into()))),
            (Some("b"), Some("3"), Changed::From(None)),
            (None, None, Changed::From(None)),
            (None, None, Changed::Nothing),
        ];
        for (key, new_value, changed) in changes {
            assert_eq!(
                area.change(&StorageChange::of(key, new_value)),
                changed,
                "{key:?}, {new_value:?}"
            );
        }
    }

    #[test]
    fn items_without_text_take_room() {
        let area = StorageArea::default();
        let items = (0..QUOTA / ITEM).map(|i| (i.to_string(), String::new()));
        area.replace(items.collect());
        assert!((1000..QUOTA / ITEM).contains(&area.items().len()));
        assert_eq!(
            area.change(&StorageChange::of(Some("key"), Some(&"x".repeat(100)))),
            Changed::NoRoom
        );
    }
}
