//! What `UserAgent::clear_site_data` clears.

use std::time::SystemTime;

use sendbeacon_fetch::{Origin, PartitionKey, Site};
use url::Url;

/// The data of an origin, or a part of it, that the user clears.
///
/// A request belongs to it if a document of the origin has made it, if its URL has the origin, or if its network
/// partition has the site of the origin.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use sendbeacon::{Nonce, Origin, SiteData};
///
/// let origin = Origin::of(&"https://a.test/".parse()?, Nonce::random());
/// let of_the_last_hour = SiteData::of(&origin).since(SystemTime::now() - Duration::from_secs(3600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SiteData {
    origin: Origin,
    site: Site,
    since: Option<SystemTime>,
}

impl SiteData {
    /// All data of an origin.
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        Self { origin: origin.clone(), site: Site::of(origin), since: None }
    }

    /// Only what has come at this time or later.
    #[must_use]
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }

    /// Whether a request belongs to it.
    pub(crate) fn has(
        &self,
        initiator: &Origin,
        url: &Url,
        partition: &PartitionKey,
        time: impl FnOnce() -> SystemTime,
    ) -> bool {
        let is_of_it = *initiator == self.origin
            || self.origin.is_same_origin_with_url(url)
            || partition.top_level_site == self.site;
        is_of_it && self.since.is_none_or(|since| time() >= since)
    }
}

impl From<&Origin> for SiteData {
    fn from(origin: &Origin) -> Self {
        Self::of(origin)
    }
}
