//! What the two sides saw of each beacon.

use std::{
    fmt::Display,
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
};

use sendbeacon::{NetworkError, Outcome};

/// How many digits at the beginning of a body are the beacon's number.
pub(crate) const DIGITS: usize = 8;
/// The lengths of the bodies, which take turns.
pub(crate) const LENGTHS: [usize; 5] = [16, 100, 600, 2_000, 5_000];

/// The body of the beacon with this number.
pub(crate) fn body(number: usize) -> String {
    let length = LENGTHS[number % LENGTHS.len()];
    format!("{number:0DIGITS$}{:.<1$}", "", length - DIGITS)
}

/// Counts what happened to each beacon of a cell. Both sides of the network write it.
pub(crate) struct Sightings {
    beacons: Vec<Beacon>,
    /// How many outcomes were failures so far.
    pub(crate) failures: AtomicUsize,
    /// How many of these had no connection, so that no byte was written.
    pub(crate) unconnected: AtomicUsize,
    /// Why the first failed.
    pub(crate) failure: OnceLock<String>,
}

/// What happened to one beacon. 255 stands for more.
#[derive(Default)]
struct Beacon {
    /// How often a server got all of it and did not disclaim it.
    whole: AtomicU8,
    /// How often a server got its beginning and not its end.
    part: AtomicU8,
    /// How often the server struck it.
    strikes: AtomicU8,
    delivered: AtomicU8,
    failed: AtomicU8,
}

impl Sightings {
    pub(crate) fn new(count: usize) -> Self {
        let beacons = (0..count).map(|_| Beacon::default()).collect();
        Self {
            beacons,
            failures: AtomicUsize::new(0),
            unconnected: AtomicUsize::new(0),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.beacons.len()
    }

    /// The number of the beacon that begins with these bytes.
    pub(crate) fn number(&self, bytes: &[u8]) -> Option<usize> {
        let number = str::from_utf8(bytes.get(..DIGITS)?).ok()?.parse().ok()?;
        (number < self.beacons.len()).then_some(number)
    }

    /// A server got this body. A body with missing or other bytes counts as a part.
    pub(crate) fn got(&self, bytes: &[u8]) {
        let Some(number) = self.number(bytes) else { return };
        let beacon = &self.beacons[number];
        count(if bytes == body(number).as_bytes() { &beacon.whole } else { &beacon.part });
    }

    /// A server said that it got all of this beacon.
    pub(crate) fn got_whole(&self, number: usize) {
        if let Some(beacon) = self.beacons.get(number) {
            count(&beacon.whole);
        }
    }

    /// The server is about to strike this beacon. Returns how often it has done so before.
    pub(crate) fn strike(&self, number: usize) -> u8 {
        count(&self.beacons[number].strikes)
    }

    /// The embedder was told this outcome.
    pub(crate) fn told(&self, number: usize, outcome: &Outcome) {
        let Outcome::Failed { error, .. } = outcome else { return self.told_delivered(number) };
        if let NetworkError::Connect(_) = error {
            self.unconnected.fetch_add(1, Relaxed);
        }
        self.told_failed(number, error);
    }

    /// The client was told that the beacon is delivered.
    pub(crate) fn told_delivered(&self, number: usize) {
        if let Some(beacon) = self.beacons.get(number) {
            count(&beacon.delivered);
        }
    }

    /// The client was told that the beacon has failed, and why.
    pub(crate) fn told_failed(&self, number: usize, failure: &dyn Display) {
        let Some(beacon) = self.beacons.get(number) else { return };
        count(&beacon.failed);
        self.failures.fetch_add(1, Relaxed);
        self.failure.get_or_init(|| failure.to_string());
    }

    /// The sums over all beacons.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums { sent: self.beacons.len(), ..Sums::default() };
        for beacon in &self.beacons {
            let [whole, part, delivered, failed] =
                [&beacon.whole, &beacon.part, &beacon.delivered, &beacon.failed]
                    .map(|count| count.load(Relaxed));
            sums.delivered += usize::from(delivered > 0);
            sums.failed += usize::from(failed > 0);
            sums.lost += usize::from(whole == 0);
            sums.twice += usize::from(whole == 2);
            sums.more_often += usize::from(whole > 2);
            sums.part += usize::from(part > 0);
            sums.without_one_outcome += usize::from(u16::from(delivered) + u16::from(failed) != 1);
            sums.unfounded += usize::from(delivered > 0 && whole == 0);
        }
        sums
    }
}

/// Adds one, and returns the number before.
fn count(count: &AtomicU8) -> u8 {
    let add = |before: u8| Some(before.saturating_add(1));
    count.fetch_update(Relaxed, Relaxed, add).unwrap_or(u8::MAX)
}

/// How many beacons ended in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) sent: usize,
    /// Told as delivered.
    pub(crate) delivered: usize,
    /// Told as failed.
    pub(crate) failed: usize,
    /// Never seen whole.
    pub(crate) lost: usize,
    /// Seen whole twice.
    pub(crate) twice: usize,
    /// Seen whole more than twice.
    pub(crate) more_often: usize,
    /// Seen in part, perhaps beside whole.
    pub(crate) part: usize,
    /// With no outcome, or with more than one.
    pub(crate) without_one_outcome: usize,
    /// Told as delivered and never seen whole.
    pub(crate) unfounded: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_is_seen_twice_when_all_of_it_came_twice() {
        let sightings = Sightings::new(3);
        for number in [0, 1, 1] {
            sightings.got(body(number).as_bytes());
        }
        let sums = sightings.sums();
        assert_eq!((sums.twice, sums.more_often, sums.lost, sums.part), (1, 0, 1, 0));
        sightings.got(body(1).as_bytes());
        assert_eq!((sightings.sums().twice, sightings.sums().more_often), (0, 1));
    }

    #[test]
    fn a_body_with_missing_or_other_bytes_is_a_part() {
        let sightings = Sightings::new(2);
        sightings.got(&body(0).as_bytes()[..DIGITS]);
        sightings.got(body(1).replace("..", ".x").as_bytes());
        sightings.got(b"000");
        let sums = sightings.sums();
        assert_eq!((sums.part, sums.lost), (2, 2));
    }

    #[test]
    fn a_beacon_needs_exactly_one_outcome() {
        let sightings = Sightings::new(3);
        let delivered = Outcome::Delivered { status: http::StatusCode::NO_CONTENT };
        sightings.told(1, &delivered);
        sightings.told(2, &delivered);
        sightings.told(2, &delivered);
        assert_eq!(sightings.sums().without_one_outcome, 2);
        assert_eq!(sightings.sums().unfounded, 2);
    }
}
