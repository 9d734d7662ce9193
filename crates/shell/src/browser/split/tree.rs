//! The windows and frames of a tab, and which process may say what about them.
//!
//! Content processes are not trusted. A process speaks only for documents that it runs and for navigables that it keeps.
//! What can come too late by honest means is ignored; everything else is [`Misconduct`].

use std::collections::BTreeMap;

use sendbeacon::{Nonce, Origin, Site};
use thiserror::Error;
use url::Url;

use crate::page::{MAX_NAVIGABLES, NavigableId, NewNavigable, PostedMessage, WindowMessage};

/// Identifies a content process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ProcessId(pub(super) u32);

/// How many navigables a process may create in its lifetime.
const NAVIGABLES: u32 = 1 << 20;
/// How many processes a tab may have in its lifetime.
pub(super) const MAX_PROCESSES: u32 = u32::MAX / NAVIGABLES;
/// How many navigables a tab may have at once.
const MAX_AT_ONCE: usize = 2000;
/// The longest target name that other processes learn, in bytes.
const MAX_NAME: usize = 1000;

/// The navigable of the tab. The parent process keeps it.
pub(super) const TAB: NavigableId = NavigableId(1);

impl ProcessId {
    /// The parent process.
    pub(super) const PARENT: Self = Self(0);

    /// The number of the first navigable that the process creates.
    pub(super) fn first_navigable(self) -> NavigableId {
        NavigableId(self.0 * NAVIGABLES + 1)
    }

    fn may_create(self, id: NavigableId) -> bool {
        (id.0 - 1) / NAVIGABLES == self.0
    }
}

/// Why a process is ended.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Misconduct {
    #[error("it has created a navigable with a number that it may not use")]
    Number,
    #[error("it has created too many frames")]
    TooMany,
    #[error("it has spoken for a document of another site")]
    Site,
    #[error("it has sent a message that only the parent process sends")]
    Message,
    #[error("it has changed the storage as no script does")]
    Change,
    #[error("it has sent more than it or another process handles")]
    Backlog,
}

/// Where a message goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Nowhere: it comes too late.
    Nowhere,
    To(ProcessId),
    /// To all processes except the sender.
    ToOthers,
    /// A process has to start, for the document that is held for the navigable. The given process ran the last document.
    Place(ProcessId),
    /// The sender runs the navigable's next document itself. The given process ran the last document.
    TakenBack(ProcessId),
    /// The tab has to navigate.
    NavigateTab,
    /// The navigable and those in it are removed.
    Removed(Vec<Gone>),
}

/// A navigable that was removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) id: NavigableId,
    /// The process that ran its document.
    pub(super) runner: ProcessId,
    /// Whether that process was started for the document.
    pub(super) is_of_process: bool,
}

/// The process that sends a message, and its site.
pub(super) struct Sender<'a> {
    pub(super) id: ProcessId,
    pub(super) site: &'a Site,
}

impl Sender<'_> {
    fn check(&self, origin: &Origin) -> Result<(), Misconduct> {
        let is_own = matches!(origin, Origin::Opaque(_)) || Site::of(origin) == *self.site;
        if is_own { Ok(()) } else { Err(Misconduct::Site) }
    }

    fn check_serialized(&self, origin: &str) -> Result<(), Misconduct> {
        if origin == "null" {
            return Ok(());
        }
        let url = Url::parse(origin).map_err(|_| Misconduct::Site)?;
        self.check(&Origin::of(&url, Nonce::random()))
    }
}

struct Place {
    new: NewNavigable,
    /// The process that keeps the navigable.
    keeper: ProcessId,
    /// The process that runs its document.
    runner: ProcessId,
}

/// The navigables of a tab.
#[derive(Default)]
pub(super) struct Tree(BTreeMap<NavigableId, Place>);

impl Tree {
    /// Begins again with the navigable of the tab alone, whose document has this origin.
    pub(super) fn begin(&mut self, origin: Origin) {
        let (name, is_auxiliary) = (String::new(), false);
        let new = NewNavigable { parent: None, opener: None, is_auxiliary, name, origin };
        let (keeper, runner) = (ProcessId::PARENT, ProcessId::PARENT);
        self.0.clear();
        self.0.insert(TAB, Place { new, keeper, runner });
    }

    pub(super) fn keeper(&self, id: NavigableId) -> Option<ProcessId> {
        Some(self.0.get(&id)?.keeper)
    }

    pub(super) fn runner(&self, id: NavigableId) -> Option<ProcessId> {
        Some(self.0.get(&id)?.runner)
    }

    pub(super) fn set_runner(&mut self, id: NavigableId, process: ProcessId) {
        if let Some(place) = self.0.get_mut(&id) {
            place.runner = process;
        }
    }

    /// All navigables. Those of earlier processes have smaller numbers, and a process has created a frame after the
    /// document that it is in: so parents come before their children.
    pub(super) fn list(&self) -> Vec<(NavigableId, NewNavigable)> {
        self.0.iter().map(|(id, place)| (*id, place.new.clone())).collect()
    }

    /// Whether the process runs a document above that of the navigable, or keeps the navigable.
    pub(super) fn may_command(&self, process: ProcessId, id: NavigableId) -> bool {
        let parent = |id: &NavigableId| self.0.get(id).and_then(|it| it.new.parent);
        let mut above = std::iter::successors(parent(&id), parent);
        self.keeper(id) == Some(process) || above.any(|it| self.runner(it) == Some(process))
    }

    /// Removes everything in a navigable.
    pub(super) fn remove_descendants(&mut self, id: NavigableId) -> Vec<Gone> {
        let children: Vec<_> =
            self.0.iter().filter(|(_, it)| it.new.parent == Some(id)).map(|(id, _)| *id).collect();
        children.into_iter().flat_map(|child| self.remove(child)).collect()
    }

    /// Removes a navigable and everything in it.
    fn remove(&mut self, id: NavigableId) -> Vec<Gone> {
        let mut gone = self.remove_descendants(id);
        if let Some(Place { keeper, runner, .. }) = self.0.remove(&id) {
            gone.push(Gone { id, runner, is_of_process: runner != keeper });
        }
        gone
    }

    /// Removes what a process that has ended has kept.
    pub(super) fn remove_kept(&mut self, process: ProcessId) -> Vec<Gone> {
        let is_kept = |it: &Place| it.keeper == process;
        let kept: Vec<_> = self.0.iter().filter(|(_, it)| is_kept(it)).map(|(id, _)| *id).collect();
        kept.into_iter().flat_map(|id| self.remove(id)).collect()
    }

    /// Applies a message to the tree, and decides where it goes. The message may be changed.
    pub(super) fn route(
        &mut self,
        sender: &Sender<'_>,
        id: NavigableId,
        message: &mut WindowMessage,
    ) -> Result<Route, Misconduct> {
        if let WindowMessage::Created(new) = message {
            return self.create(sender, id, new);
        }
        let Some(place) = self.0.get_mut(&id) else { return Ok(Route::Nowhere) };
        let (keeper, runner) = (place.keeper, place.runner);
        let (keeps, runs) = (keeper == sender.id, runner == sender.id);
        Ok(match message {
            WindowMessage::Created(_) | WindowMessage::Crashed => return Err(Misconduct::Message),
            WindowMessage::Renamed(name) if keeps || runs => {
                shorten(name);
                place.new.name.clone_from(name);
                Route::ToOthers
            }
            WindowMessage::Removed if keeps || runs => Route::Removed(self.remove(id)),
            WindowMessage::Activated(origin) if runs => {
                sender.check(origin)?;
                hide_nonce(origin);
                place.new.origin = origin.clone();
                Route::ToOthers
            }
            WindowMessage::Disowned if runs => {
                place.new.opener = None;
                Route::ToOthers
            }
            WindowMessage::Placed(_) if keeps => Route::Place(runner),
            WindowMessage::TakenBack if keeps => {
                place.runner = sender.id;
                Route::TakenBack(runner)
            }
            WindowMessage::Navigate(_) if runs && keeper == ProcessId::PARENT => Route::NavigateTab,
            WindowMessage::Loaded | WindowMessage::Navigate(_) if runs && !keeps => {
                Route::To(keeper)
            }
            WindowMessage::Navigate(_) if !runs => Route::To(runner),
            // The process of the document decides by what the tree says of the source.
            WindowMessage::Close { source } if !runs && self.runner(*source) == Some(sender.id) => {
                Route::To(runner)
            }
            WindowMessage::PostMessage(posted) => {
                self.check_message(sender, posted)?;
                Route::To(runner)
            }
            _ => Route::Nowhere,
        })
    }

    fn create(
        &mut self,
        sender: &Sender<'_>,
        id: NavigableId,
        new: &mut NewNavigable,
    ) -> Result<Route, Misconduct> {
        if id.0 == 0 || !sender.id.may_create(id) || self.0.contains_key(&id) {
            return Err(Misconduct::Number);
        }
        sender.check(&new.origin)?;
        let kept = self.0.values().filter(|it| it.keeper == sender.id).count();
        if self.0.len() >= MAX_AT_ONCE || kept >= MAX_NAVIGABLES {
            return Err(Misconduct::TooMany);
        }
        if new.parent.is_some() {
            new.opener = None;
        }
        // The sender may have lost the document since.
        let creator = new.parent.or(new.opener);
        if creator.is_some_and(|it| self.runner(it) != Some(sender.id)) {
            return Ok(Route::Nowhere);
        }
        shorten(&mut new.name);
        hide_nonce(&mut new.origin);
        let (keeper, runner) = (sender.id, sender.id);
        self.0.insert(id, Place { new: new.clone(), keeper, runner });
        Ok(Route::ToOthers)
    }

    fn check_message(
        &self,
        sender: &Sender<'_>,
        posted: &mut PostedMessage,
    ) -> Result<(), Misconduct> {
        sender.check_serialized(&posted.origin)?;
        if self.runner(posted.source) != Some(sender.id) {
            // Its window has gone, so the message has no source.
            posted.source = NavigableId(0);
        }
        Ok(())
    }
}

fn shorten(name: &mut String) {
    if name.len() > MAX_NAME {
        name.clear();
    }
}

/// Gives other processes another opaque origin in place of this one, so that none can pose as its document.
fn hide_nonce(origin: &mut Origin) {
    if matches!(origin, Origin::Opaque(_)) {
        *origin = Origin::Opaque(Nonce::random());
    }
}

#[cfg(test)]
mod tests;
