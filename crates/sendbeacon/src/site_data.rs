//! What `UserAgent::clear_site_data` clears.

use std::time::SystemTime;

use sendbeacon_fetch::{Origin, PartitionKey, Site};
use url::Url;

/// The data of an origin or of a site, or a part of it, that the user clears.
///
/// A request belongs to the data of an origin if a document of the origin has made it, or if its URL has the origin. It
/// belongs to the data of a site if the same is true of an origin of the site, or if its network partition has the site as
/// its top-level site.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use sendbeacon::{Nonce, Origin, Site, SiteData};
///
/// let origin = Origin::of(&"https://a.test/".parse()?, Nonce::random());
/// // A response of the origin has asked for it, by `Clear-Site-Data`.
/// let of_origin = SiteData::of(&origin);
/// // The user has asked for it.
/// let hour = Duration::from_secs(3600);
/// let of_the_last_hour = SiteData::of_site(&Site::of(&origin)).since(SystemTime::now() - hour);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SiteData {
    whose: Whose,
    since: Option<SystemTime>,
}

#[derive(Clone, Debug)]
enum Whose {
    Origin(Origin),
    Site(Site),
}

impl SiteData {
    /// All data of an origin.
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        Self { whose: Whose::Origin(origin.clone()), since: None }
    }

    /// All data of a site.
    #[must_use]
    pub fn of_site(site: &Site) -> Self {
        Self { whose: Whose::Site(site.clone()), since: None }
    }

    /// Only what has come at this time or later. A pending deferred fetch counts as new. The time of a record of the outbox is
    /// when it was made.
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
        let is_of_it = match &self.whose {
            Whose::Origin(origin) => initiator == origin || origin.is_same_origin_with_url(url),
            Whose::Site(site) => {
                Site::of(initiator) == *site
                    || site.is_of_url(url)
                    || partition.top_level_site == *site
            }
        };
        is_of_it && self.since.is_none_or(|since| time() >= since)
    }
}

impl From<&Origin> for SiteData {
    fn from(origin: &Origin) -> Self {
        Self::of(origin)
    }
}
