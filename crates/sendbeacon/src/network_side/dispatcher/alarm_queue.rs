//! The alarms of fetches, in the order in which they ring.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use sendbeacon_fetch::TimeoutKind;

use crate::id::FetchId;

/// What an alarm means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alarm {
    /// The fetch was held back long enough.
    Release,
    /// The fetch has reached a limit.
    GiveUp(TimeoutKind),
}

/// The alarms of fetches, in the order in which they ring.
///
/// Most fetches get the same time from their start, so most alarms are set in that order. These are in a list, to whose
/// end they are added, and the others are in a map.
#[derive(Debug, Default)]
pub(super) struct AlarmQueue {
    /// In the order of their keys. `None` is an alarm that was removed. The first and the last were not.
    in_order: VecDeque<(Key, Option<Alarm>)>,
    /// How many of these were removed.
    removed: usize,
    others: BTreeMap<Key, Alarm>,
}

type Key = (Instant, FetchId);

impl AlarmQueue {
    /// Adds an alarm with a new key.
    pub(super) fn insert(&mut self, key: Key, alarm: Alarm) {
        if self.in_order.back().is_none_or(|(last, _)| *last < key) {
            self.in_order.push_back((key, Some(alarm)));
        } else {
            self.others.insert(key, alarm);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        let Ok(at) = self.in_order.binary_search_by_key(&key, |(key, _)| *key) else {
            self.others.remove(&key);
            return;
        };
        if self.in_order[at].1.take().is_none() {
            // It was removed from the list before, and then set anew.
            self.others.remove(&key);
            return;
        }
        self.removed += 1;
        while self.in_order.front().is_some_and(|(_, alarm)| alarm.is_none()) {
            self.in_order.pop_front();
            self.removed -= 1;
        }
        while self.in_order.back().is_some_and(|(_, alarm)| alarm.is_none()) {
            self.in_order.pop_back();
            self.removed -= 1;
        }
        // One fetch that hangs must not keep all removed alarms behind its own.
        if self.removed > self.in_order.len() / 2 {
            self.in_order.retain(|(_, alarm)| alarm.is_some());
            self.removed = 0;
        }
    }

    /// The alarm that rings first.
    pub(super) fn first(&self) -> Option<(Key, Alarm)> {
        let in_order = self.in_order.front().and_then(|(key, alarm)| Some((*key, (*alarm)?)));
        let Some((key, alarm)) = self.others.first_key_value() else { return in_order };
        in_order.filter(|(first, _)| first < key).or(Some((*key, *alarm)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_first_alarm_is_that_of_a_map(
            changes in vec((0..8_u64, 0..8_u64, any::<bool>()), 0..200),
        ) {
            let (mut alarms, mut map) = (AlarmQueue::default(), BTreeMap::new());
            let begin = Instant::now();
            // The clock goes on, so some alarms are set in order, and others are not.
            for (step, (after, id, is_set)) in (0..).zip(changes) {
                let key = (begin + Duration::from_secs(step / 4 + after), FetchId(id));
                let alarm = if after < 4 { Alarm::Release } else { Alarm::GiveUp(TimeoutKind::Fetch) };
                alarms.remove(key);
                map.remove(&key);
                if is_set {
                    alarms.insert(key, alarm);
                    map.insert(key, alarm);
                }
                prop_assert_eq!(alarms.first(), map.first_key_value().map(|(key, alarm)| (*key, *alarm)));
                prop_assert!(alarms.in_order.len() <= 2 * map.len());
            }
        }
    }
}
