//! The `localStorage` of the documents of all processes.

use sendbeacon::{Origin, Site};
use url::{Host, Url};

use super::SplitTab;
use crate::{
    browser::{
        split::{
            Items, ToContent,
            tree::{Misconduct, ProcessId},
        },
        tab::Areas,
    },
    page::{Changed, StorageArea, StorageChange},
};

/// How many origins of a site may have items.
const MAX_ORIGINS: usize = 200;
/// The longest host that may have items, in bytes. DNS has no longer names.
const MAX_HOST: usize = 253;
/// The longest URL that other processes learn, in bytes.
const MAX_URL: usize = 64 << 10;

impl SplitTab<'_> {
    /// Sends a process the items of an origin of its site.
    pub(super) fn get_items(&self, id: ProcessId, origin: &Origin) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get(&id) else { return Ok(()) };
        check(&process.site, origin)?;
        process.mailbox.send(id, &ToContent::Items(self.items_of(origin)));
        Ok(())
    }

    /// What an origin has stored in the profile.
    pub(super) fn items_of(&self, origin: &Origin) -> Items {
        let areas = &self.browser.local_storage;
        if areas.has(origin) { areas.of(origin).items() } else { Vec::new() }
    }

    /// Makes a change on behalf of a process, and tells the other processes of the site. There is no room for an
    /// item if another process has too many of the sender's changes to handle. A script can still remove items then.
    pub(super) fn store(
        &self,
        id: ProcessId,
        origin: &Origin,
        mut change: StorageChange,
    ) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get(&id) else { return Ok(()) };
        check(&process.site, origin)?;
        if change.key.is_none() && change.new_value.is_some() {
            return Err(Misconduct::Change);
        }
        shorten_url(&mut change.url, origin);
        let others = || {
            let others = self.processes.iter().filter(|(other, _)| **other != id);
            others.map(|(_, it)| it).filter(|it| it.site == process.site)
        };
        let areas = &self.browser.local_storage;
        let (area, mut changed) = preview(areas, &process.site, origin, &change);
        if matches!(changed, Changed::From(_)) {
            let has_room = match &change.new_value {
                Some(value) => {
                    let key = change.key.as_ref().map_or(0, String::len);
                    let text = key + value.len() + change.url.as_str().len();
                    others().all(|it| it.mailbox.has_room_for_change(id, text))
                }
                None if others().any(|it| it.mailbox.is_full_of_changes_of(id)) => {
                    return Err(Misconduct::Backlog);
                }
                None => true,
            };
            changed = if has_room { area.apply(&change) } else { Changed::NoRoom };
        }
        if matches!(changed, Changed::From(_)) {
            areas.set(origin.clone(), area);
            let changed = ToContent::Changed(origin.clone(), Box::new(change));
            others().for_each(|it| it.mailbox.send(id, &changed));
        }
        process.mailbox.send(id, &ToContent::Stored(changed != Changed::NoRoom));
        Ok(())
    }
}

/// Returns the area of an origin, and what a change of it would come to. A new area is not among `areas` yet.
fn preview(
    areas: &Areas,
    site: &Site,
    origin: &Origin,
    change: &StorageChange,
) -> (StorageArea, Changed) {
    if areas.has(origin) {
        let area = areas.of(origin);
        let changed = area.preview(change);
        return (area, changed);
    }
    let area = StorageArea::default();
    let has_room =
        host_length(origin) <= MAX_HOST && areas.count(|it| Site::of(it) == *site) < MAX_ORIGINS;
    let changed = match area.preview(change) {
        Changed::From(_) if !has_room => Changed::NoRoom,
        changed => changed,
    };
    (area, changed)
}

/// A process may have the storage of the origins of its site. That of an opaque origin is the document's own.
fn check(site: &Site, origin: &Origin) -> Result<(), Misconduct> {
    let is_of_site = matches!(origin, Origin::Tuple { .. }) && Site::of(origin) == *site;
    if is_of_site { Ok(()) } else { Err(Misconduct::Site) }
}

fn host_length(origin: &Origin) -> usize {
    match origin {
        Origin::Tuple { host: Host::Domain(domain), .. } => domain.len(),
        _ => 0,
    }
}

/// Replaces a URL that is too long by one of the origin.
fn shorten_url(url: &mut Url, origin: &Origin) {
    if url.as_str().len() > MAX_URL
        && let Ok(short) = Url::parse(&origin.to_string())
    {
        *url = short;
    }
}

#[cfg(test)]
mod tests {
    use sendbeacon::Nonce;

    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap(), Nonce::random())
    }

    #[test]
    fn what_changes_nothing_is_told_to_nobody_and_leaves_no_area() {
        let areas = Areas::default();
        let a = origin("http://a.test");
        for change in [StorageChange::of(Some("a"), None), StorageChange::of(None, None)] {
            assert_eq!(preview(&areas, &Site::of(&a), &a, &change).1, Changed::Nothing);
        }
        let (area, changed) =
            preview(&areas, &Site::of(&a), &a, &StorageChange::of(Some("a"), Some("1")));
        assert_eq!(changed, Changed::From(None));
        assert!(!areas.has(&a));
        assert_eq!(area.apply(&StorageChange::of(Some("a"), Some("1"))), changed);
        areas.set(a.clone(), area);
        let same = preview(&areas, &Site::of(&a), &a, &StorageChange::of(Some("a"), Some("1"))).1;
        assert_eq!(same, Changed::Nothing);
    }

    #[test]
    fn the_origins_of_a_site_are_limited() {
        let areas = Areas::default();
        let site = Site::of(&origin("http://a.test"));
        let long = origin(&format!("http://{}a.test", "x.".repeat(MAX_HOST / 2)));
        let set = StorageChange::of(Some("a"), Some("1"));
        assert_eq!(preview(&areas, &site, &long, &set).1, Changed::NoRoom);
        for port in 1..=MAX_ORIGINS {
            let it = origin(&format!("http://a.test:{port}"));
            let (area, changed) = preview(&areas, &site, &it, &set);
            assert_eq!(changed, Changed::From(None));
            areas.set(it, area);
        }
        let new = origin("http://a.test:8080");
        assert_eq!(preview(&areas, &site, &new, &set).1, Changed::NoRoom);
        assert_eq!(
            preview(&areas, &site, &new, &StorageChange::of(Some("a"), None)).1,
            Changed::Nothing
        );
    }

    #[test]
    fn a_url_that_is_too_long_becomes_that_of_the_origin() {
        let mut url = Url::parse(&format!("http://a.test/{}", "x".repeat(MAX_URL))).unwrap();
        let a = origin(url.as_str());
        shorten_url(&mut url, &a);
        assert_eq!(url.as_str(), "http://a.test/");
    }
}
