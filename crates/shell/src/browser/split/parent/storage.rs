//! The `localStorage` of the documents of all processes.

use sendbeacon::{Origin, Site};

use super::SplitTab;
use crate::{
    browser::split::{
        Items, ToContent,
        tree::{Misconduct, ProcessId},
    },
    page::{Changed, StorageChange},
};

/// How many origins of a site may have items.
const MAX_ORIGINS: usize = 200;

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
    /// item while one of them has not handled what it was told before.
    pub(super) fn store(
        &self,
        id: ProcessId,
        origin: &Origin,
        change: StorageChange,
    ) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get(&id) else { return Ok(()) };
        check(&process.site, origin)?;
        let areas = &self.browser.local_storage;
        let is_of_site = |it: &Origin| Site::of(it) == process.site;
        let others = || {
            let others = self.processes.iter().filter(|(other, _)| **other != id);
            others.map(|(_, it)| it).filter(|it| it.site == process.site)
        };
        let is_removal = change.new_value.is_none();
        let has_room = (areas.has(origin) || areas.count(is_of_site) < MAX_ORIGINS)
            && (is_removal || !others().any(|it| it.mailbox.is_full_for(id)));
        let area = has_room.then(|| areas.of(origin));
        let changed = area.map_or(Changed::NoRoom, |area| area.apply(&change));
        let is_stored = changed != Changed::NoRoom;
        if matches!(changed, Changed::From(_)) {
            let changed = ToContent::Changed(origin.clone(), Box::new(change));
            others().for_each(|it| it.mailbox.send(id, &changed));
        }
        process.mailbox.send(id, &ToContent::Stored(is_stored));
        Ok(())
    }
}

/// A process may have the storage of the origins of its site. That of an opaque origin is the document's own.
fn check(site: &Site, origin: &Origin) -> Result<(), Misconduct> {
    let is_of_site = matches!(origin, Origin::Tuple { .. }) && Site::of(origin) == *site;
    if is_of_site { Ok(()) } else { Err(Misconduct::Site) }
}
