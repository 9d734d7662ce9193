use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use url::{Position, Url};

/// What violated none of the policies lately: as much of each URL as source expressions look at. Pages send to a few
/// collectors again and again, and to match takes longer than all else that is asked of a request.
#[derive(Debug, Default)]
pub(super) struct LatelyAllowed {
    /// Whether an expression has a path.
    looks_at_paths: bool,
    keys: Mutex<VecDeque<Box<str>>>,
}

impl LatelyAllowed {
    /// How many are remembered, and how long they may be, in bytes.
    const LIMITS: (usize, usize) = (4, 1_024);

    pub(super) fn has(&self, key: &str) -> bool {
        self.lock().iter().any(|known| **known == *key)
    }

    pub(super) fn add(&self, key: &str) {
        let (count, length) = Self::LIMITS;
        if key.len() <= length {
            let mut keys = self.lock();
            keys.truncate(count - 1);
            keys.push_front(key.into());
        }
    }

    /// What of a URL decides: a path is not looked at after a redirect.
    pub(super) fn key<'a>(&self, url: &'a Url, is_redirected: bool) -> &'a str {
        if self.looks_at_paths && !is_redirected {
            &url[..Position::AfterPath]
        } else {
            &url[..Position::BeforePath]
        }
    }

    /// The policies are others now; one that came may have an expression with a path.
    pub(super) fn forget(&mut self, has_path: bool) {
        self.looks_at_paths |= has_path;
        self.keys = Mutex::default();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list is cloned to be changed.
impl Clone for LatelyAllowed {
    fn clone(&self) -> Self {
        Self { looks_at_paths: self.looks_at_paths, keys: Mutex::default() }
    }
}
