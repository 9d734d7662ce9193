//! The limits on the records: altogether, of a top-level site, and to a destination.

use sendbeacon_fetch::Site;
use url::Position;

use super::record::Kept;
use crate::outbox::OutboxSettings;

/// Whether a record fits in the limits beside the others. A top-level site, and a destination, may have a quarter.
pub(super) fn has_room<'a>(
    settings: &OutboxSettings,
    kept: &Kept,
    others: impl Iterator<Item = &'a Kept>,
) -> bool {
    let own = Usage::of(kept);
    let (mut all, mut of_site, mut of_destination) = (own, own, own);
    for other in others {
        all.add(other);
        if site(other) == site(kept) {
            of_site.add(other);
        }
        if destination(other) == destination(kept) {
            of_destination.add(other);
        }
    }
    let (max_bytes, max_records) = (settings.max_bytes, settings.max_records);
    all.fits(max_bytes, max_records)
        && [of_site, of_destination].iter().all(|it| it.fits(max_bytes / 4, max_records / 4))
}

fn site(kept: &Kept) -> &Site {
    &kept.client.network_partition_key.top_level_site
}

/// The origin of the URL, as text.
fn destination(kept: &Kept) -> &str {
    &kept.request.url()[..Position::AfterPort]
}

/// How much some records have.
#[derive(Clone, Copy)]
struct Usage {
    bytes: u64,
    records: usize,
}

impl Usage {
    fn of(kept: &Kept) -> Self {
        Self { bytes: kept.size, records: 1 }
    }

    fn add(&mut self, kept: &Kept) {
        self.bytes += kept.size;
        self.records += 1;
    }

    fn fits(self, max_bytes: u64, max_records: usize) -> bool {
        self.bytes <= max_bytes && self.records <= max_records
    }
}
