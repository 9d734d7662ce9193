//! The cookies of a jar by partition and site. It finds those that expire first or were not used for longest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use url::Host;

use crate::Cookie;

/// The unpartitioned or the partitioned cookies of a jar.
///
/// A change costs about the same whatever number of cookies there is: it looks at the cookies of one site, whose number
/// has a limit, and at what it removes.
#[derive(Default)]
pub(crate) struct Section {
    /// The sites of each partition, by the host of the [site](crate::site::site_host). The unpartitioned cookies are in
    /// the partition with the empty key.
    partitions: BTreeMap<Arc<str>, BTreeMap<Host, Site>>,
    /// The number of cookies.
    count: usize,
    /// The sites with a cookie that expires, by the time of the first.
    expiries: BTreeSet<(SystemTime, Place)>,
    /// All sites, by a use that is not later than the oldest last use of a cookie.
    uses: BTreeSet<(Use, Place)>,
    /// How often a list of cookies was changed, in any other way than that its cookies were used.
    version: u64,
    /// How many lists of cookies were read for a change.
    #[cfg(test)]
    lists_read: usize,
}

/// A site in a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) partition: Arc<str>,
    pub(crate) site: Host,
}

/// The last-access-time of a cookie and its sequence. The lower one is evicted first.
type Use = (SystemTime, u64);

/// The cookies of a site in a partition.
#[derive(Default)]
struct Site {
    cookies: Vec<Cookie>,
    /// Where the site is in `expiries`.
    expiry: Option<SystemTime>,
    /// Where it is in `uses`. `None` only while it has no cookie.
    oldest_use: Option<Use>,
}

fn use_of(cookie: &Cookie) -> Use {
    (cookie.last_access_time, cookie.sequence)
}

impl Section {
    /// The number of cookies.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// As long as it stays the same, each cookie stays where it is, and stays the same but for its last-access-time.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cookie> {
        self.partitions.values().flat_map(BTreeMap::values).flat_map(|site| &site.cookies)
    }

    /// The cookies of a site.
    pub(crate) fn get(&self, partition: &str, site: &Host) -> &[Cookie] {
        let sites = self.partitions.get(partition);
        sites.and_then(|sites| sites.get(site)).map_or(&[], |site| &site.cookies)
    }

    /// The cookies of a site, some of which are about to be used at the time `now`. Only their last-access-time may be
    /// changed.
    pub(crate) fn get_for_use(
        &mut self,
        partition: &str,
        site: &Host,
        now: SystemTime,
    ) -> &mut [Cookie] {
        let sites = self.partitions.get_mut(partition);
        let Some(found) = sites.and_then(|sites| sites.get_mut(site)) else { return &mut [] };
        // A use leaves the site where it is in `uses`, unless the clock was set back. NB: not even if it was set back to
        // that very time, because an older cookie may then come before the one that gave the site its place.
        if let Some(oldest_use) = found.oldest_use
            && now <= oldest_use.0
        {
            let place = Place { partition: partition.into(), site: site.clone() };
            found.oldest_use = Some((now, 0));
            move_to(&mut self.uses, &place, Some(oldest_use), found.oldest_use);
        }
        &mut found.cookies
    }

    /// The section's copy of a partition's key, or a new one.
    pub(crate) fn key(&self, partition: &str) -> Arc<str> {
        let known = self.partitions.get_key_value(partition);
        known.map_or_else(|| partition.into(), |(key, _)| Arc::clone(key))
    }

    /// Changes the list of a site's cookies.
    pub(crate) fn change<R>(
        &mut self,
        place: &Place,
        change: impl FnOnce(&mut Vec<Cookie>) -> R,
    ) -> R {
        #[cfg(test)]
        {
            self.lists_read += 1;
        }
        let sites = self.partitions.entry(Arc::clone(&place.partition)).or_default();
        let site = sites.entry(place.site.clone()).or_default();
        self.version += 1;
        self.count -= site.cookies.len();
        let result = change(&mut site.cookies);
        self.count += site.cookies.len();
        let (old_expiry, old_use) = (site.expiry, site.oldest_use);
        site.expiry = site.cookies.iter().filter_map(|cookie| cookie.expiry_time).min();
        site.oldest_use = site.cookies.iter().map(use_of).min();
        let (expiry, oldest_use) = (site.expiry, site.oldest_use);
        if site.cookies.is_empty() {
            sites.remove(&place.site);
            if sites.is_empty() {
                self.partitions.remove(&place.partition);
            }
        }
        move_to(&mut self.expiries, place, old_expiry, expiry);
        move_to(&mut self.uses, place, old_use, oldest_use);
        result
    }

    /// Removes the cookies that have expired.
    pub(crate) fn remove_expired(&mut self, now: SystemTime) {
        while let Some((expiry, place)) = self.expiries.first()
            && *expiry <= now
        {
            let place = place.clone();
            self.change(&place, |cookies| cookies.retain(|cookie| !cookie.is_expired(now)));
        }
    }

    /// Removes the cookie that was not used for longest.
    pub(crate) fn remove_least_recently_used(&mut self) {
        while let Some((oldest_use, place)) = self.uses.first() {
            let (oldest_use, place) = (*oldest_use, place.clone());
            let cookies = self.get(&place.partition, &place.site).iter().map(use_of);
            let Some((first, index)) = cookies.zip(0..).min() else { return };
            if first == oldest_use {
                self.change(&place, |cookies| cookies.remove(index));
                return;
            }
            // The site was used since it took its place in `uses`.
            let sites = self.partitions.get_mut(&place.partition);
            if let Some(site) = sites.and_then(|sites| sites.get_mut(&place.site)) {
                site.oldest_use = Some(first);
            }
            move_to(&mut self.uses, &place, Some(oldest_use), Some(first));
        }
    }

    /// Keeps only the cookies for which `keep` returns true.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Cookie) -> bool) {
        let places: Vec<_> = self.uses.iter().map(|(_, place)| place.clone()).collect();
        for place in places {
            self.change(&place, |cookies| cookies.retain(&keep));
        }
    }
}

/// Moves a site to another position in a set.
fn move_to<T: Copy + Ord>(
    set: &mut BTreeSet<(T, Place)>,
    place: &Place,
    from: Option<T>,
    to: Option<T>,
) {
    if from == to {
        return;
    }
    let entry = from.and_then(|from| set.take(&(from, place.clone())));
    if let Some(to) = to {
        let place = entry.map_or_else(|| place.clone(), |(_, place)| place);
        set.insert((to, place));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::SameSite;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn place(number: u64) -> Place {
        Place {
            partition: (number % 2).to_string().into(),
            site: Host::Domain(format!("{number}.test")),
        }
    }

    fn cookie(
        sequence: u64,
        last_access_time: SystemTime,
        expiry_time: Option<SystemTime>,
    ) -> Cookie {
        Cookie {
            name: [].into(),
            value: [].into(),
            secure: false,
            host: Host::Domain("a.test".into()),
            host_only: true,
            path: "/".into(),
            same_site: SameSite::Unset,
            http_only: false,
            partition: None,
            creation_time: last_access_time,
            expiry_time,
            last_access_time,
            sequence,
        }
    }

    fn sequences<'a>(cookies: impl Iterator<Item = &'a Cookie>) -> Vec<u64> {
        let mut sequences: Vec<_> = cookies.map(|cookie| cookie.sequence).collect();
        sequences.sort_unstable();
        sequences
    }

    #[test]
    fn a_change_reads_the_cookies_of_few_sites() {
        let mut section = Section::default();
        for number in 0..10_000 {
            let cookie = cookie(number, at(number), Some(at(30_000 - number)));
            section.change(&place(number), |cookies| cookies.push(cookie));
        }
        for number in 0..100 {
            section.lists_read = 0;
            section.remove_expired(at(20_001 + number));
            section.remove_least_recently_used();
            section.change(&place(5_000), |cookies| cookies[0].expiry_time = None);
            assert_eq!(section.lists_read, 3);
        }
        assert_eq!(section.len(), 9_800);
    }

    #[test]
    fn a_use_at_the_time_of_the_oldest_use_lets_the_older_cookie_come_first() {
        let mut section = Section::default();
        section.change(&place(0), |cookies| cookies.push(cookie(1, at(20), None)));
        section.change(&place(1), |cookies| cookies.push(cookie(2, at(10), None)));
        section.change(&place(0), |cookies| cookies.push(cookie(3, at(10), None)));
        let Place { partition, site } = place(0);
        for cookie in section.get_for_use(&partition, &site, at(10)) {
            cookie.last_access_time = at(10);
        }
        section.remove_least_recently_used();
        assert_eq!(sequences(section.iter()), [2, 3]);
    }

    proptest! {
        #[test]
        fn a_section_keeps_what_a_search_through_all_cookies_would_keep(
            steps in prop::collection::vec((0..5_u8, 0..6_u64, 0..9_u64, 0..20_u64), 1..120),
        ) {
            let mut section = Section::default();
            let mut all: Vec<(u64, Cookie)> = Vec::new();
            let mut now = at(100);
            for ((kind, number, seconds, expires), sequence) in steps.into_iter().zip(0..) {
                // The clock may be set back.
                now = now + Duration::from_secs(seconds) - Duration::from_secs(3);
                match kind {
                    0 | 1 => {
                        let expiry = (expires > 3).then(|| now + Duration::from_secs(expires));
                        let cookie = cookie(sequence, now, expiry);
                        all.push((number, cookie.clone()));
                        section.change(&place(number), |cookies| cookies.push(cookie));
                    }
                    2 => {
                        let Place { partition, site } = place(number);
                        for cookie in section.get_for_use(&partition, &site, now) {
                            cookie.last_access_time = now;
                        }
                        for (_, cookie) in all.iter_mut().filter(|(of, _)| *of == number) {
                            cookie.last_access_time = now;
                        }
                    }
                    3 => {
                        section.remove_least_recently_used();
                        let first = (0..all.len()).min_by_key(|index| use_of(&all[*index].1));
                        first.map(|first| all.remove(first));
                    }
                    _ => {
                        section.remove_expired(now);
                        all.retain(|(_, cookie)| !cookie.is_expired(now));
                    }
                }
                prop_assert_eq!(section.len(), all.len());
                prop_assert_eq!(
                    sequences(section.iter()),
                    sequences(all.iter().map(|(_, cookie)| cookie))
                );
            }
            section.retain(|_| false);
            prop_assert!(section.len() == 0 && section.partitions.is_empty());
            prop_assert!(section.expiries.is_empty() && section.uses.is_empty());
        }
    }
}
