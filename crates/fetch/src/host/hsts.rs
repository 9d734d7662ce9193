//! The known HSTS hosts.

use std::time::SystemTime;

/// Stores the known HSTS hosts. Default: [`MemoryHstsStore`](crate::MemoryHstsStore).
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
///
/// use sendbeacon_fetch::host::{HstsEntry, HstsStore};
///
/// #[derive(Default)]
/// struct Hosts(Mutex<HashMap<String, HstsEntry>>);
///
/// impl HstsStore for Hosts {
///     fn get(&self, domain: &str) -> Option<HstsEntry> {
///         self.0.lock().unwrap().get(domain).copied()
///     }
///
///     fn set(&self, domain: &str, entry: Option<HstsEntry>) {
///         let mut hosts = self.0.lock().unwrap();
///         match entry {
///             Some(entry) => hosts.insert(domain.to_owned(), entry),
///             None => hosts.remove(domain),
///         };
///     }
/// }
/// ```
pub trait HstsStore: Send + Sync {
    /// The entry of exactly this domain (lower case, no final dot).
    fn get(&self, domain: &str) -> Option<HstsEntry>;

    /// Stores the entry of this domain. `None` removes it.
    fn set(&self, domain: &str, entry: Option<HstsEntry>);
}

/// A [known HSTS host](https://www.rfc-editor.org/rfc/rfc6797#section-8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HstsEntry {
    /// The time at which the entry expires.
    pub expires: SystemTime,
    /// Whether the entry covers subdomains.
    pub include_subdomains: bool,
}

impl HstsEntry {
    /// An entry that expires at `expires`.
    #[must_use]
    pub fn new(expires: SystemTime, include_subdomains: bool) -> Self {
        Self { expires, include_subdomains }
    }
}
