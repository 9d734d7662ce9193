//! The HTTP cache, as far as requests invalidate it.

use url::Url;

use crate::origin::PartitionKey;

/// The engine's HTTP cache. The library answers no request from the cache, but tells it which entries are out of
/// date.
///
/// ```
/// use std::sync::Mutex;
///
/// use sendbeacon_fetch::{PartitionKey, host::HttpCache};
///
/// struct Cache(Mutex<Vec<(url::Url, PartitionKey)>>);
///
/// impl HttpCache for Cache {
///     fn invalidate(&self, url: &url::Url, partition: &PartitionKey) {
///         self.0.lock().unwrap().retain(|(it, of)| it != url || of != partition);
///     }
/// }
/// ```
pub trait HttpCache: Send + Sync {
    /// [Invalidates](https://www.rfc-editor.org/rfc/rfc9111#section-4.4) the stored responses for `url` in
    /// `partition`: an unsafe request to `url` was answered with 200 to 399.
    fn invalidate(&self, url: &Url, partition: &PartitionKey);
}

/// No HTTP cache. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHttpCache;

impl HttpCache for NoHttpCache {
    fn invalidate(&self, _: &Url, _: &PartitionKey) {}
}
