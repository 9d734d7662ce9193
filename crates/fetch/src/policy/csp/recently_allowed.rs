//! A memory of the URLs that violated no policy lately, so that they need not be matched again.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use url::{Position, Url};

/// The last few URLs that violated none of a list's policies.
///
/// Pages send to the same few collectors again and again, and matching a URL takes longer than all other checks of a
/// request together. A key is the part of a URL that decides the match: up to its path if an expression has a path-part,
/// else up to its port.
#[derive(Debug, Default)]
pub(super) struct RecentlyAllowed {
    /// Whether an expression of the list has a path-part.
    looks_at_paths: bool,
    /// The newest first.
    keys: Mutex<VecDeque<Box<str>>>,
}

impl RecentlyAllowed {
    /// The most keys.
    const MAX_KEYS: usize = 4;
    /// The longest key, in bytes. A longer one is not remembered.
    const MAX_KEY_LENGTH: usize = 1_024;

    pub(super) fn has(&self, key: &str) -> bool {
        self.lock().iter().any(|known| **known == *key)
    }

    pub(super) fn add(&self, key: &str) {
        if key.len() <= Self::MAX_KEY_LENGTH {
            let mut keys = self.lock();
            keys.truncate(Self::MAX_KEYS - 1);
            keys.push_front(key.into());
        }
    }

    /// The key of a URL. After a redirect, the standard does not compare the path.
    pub(super) fn key<'a>(&self, url: &'a Url, is_redirected: bool) -> &'a str {
        if self.looks_at_paths && !is_redirected {
            &url[..Position::AfterPath]
        } else {
            &url[..Position::BeforePath]
        }
    }

    /// Forgets all keys, because the list has got another policy. `has_path` says whether one of its expressions has a
    /// path-part.
    pub(super) fn forget(&mut self, has_path: bool) {
        self.looks_at_paths |= has_path;
        self.keys = Mutex::default();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clone has no keys: a list is cloned in order to change its policies.
impl Clone for RecentlyAllowed {
    fn clone(&self) -> Self {
        Self { looks_at_paths: self.looks_at_paths, keys: Mutex::default() }
    }
}
