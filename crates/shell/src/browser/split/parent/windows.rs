//! Messages between the windows of different processes.

use sendbeacon::{Nonce, Origin};

use super::SplitTab;
use crate::{
    browser::split::{
        ToContent,
        tree::{Gone, Misconduct, ProcessId, Route, Sender},
    },
    page::{Command, NavigableId, Placement, RemoteNavigation, WindowMessage},
};

/// A command that a process has not answered yet.
pub(super) struct Asked {
    ticket: u64,
    /// The process that has to obey.
    runner: ProcessId,
    /// The process that waits, and its own ticket.
    waiting: (ProcessId, u64),
}

impl SplitTab<'_> {
    /// Passes a message on to the processes that it is for.
    pub(super) fn pass_on(
        &mut self,
        id: ProcessId,
        navigable: NavigableId,
        mut message: WindowMessage,
    ) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get(&id) else { return Ok(()) };
        let is_closing = process.kill_at.is_some();
        if is_closing && matches!(message, WindowMessage::Navigate(_) | WindowMessage::Placed(_)) {
            // Documents that are being unloaded begin nothing new.
            return Ok(());
        }
        if let WindowMessage::Navigate(navigation) = &mut message {
            navigation.client = process.hold(navigation.client.clone());
        }
        let sender = Sender { id, site: &process.site };
        match self.tree.route(&sender, navigable, &mut message)? {
            Route::Nowhere => {}
            Route::To(receiver) if self.is_full(receiver, id) => return Err(Misconduct::Backlog),
            Route::To(receiver) => {
                if let Some(process) = self.processes.get(&receiver) {
                    process.mailbox.try_send(id, &ToContent::Window(navigable, message))?;
                }
            }
            Route::ToOthers
                if self.processes.keys().any(|it| *it != id && self.is_full(*it, id)) =>
            {
                return Err(Misconduct::Backlog);
            }
            Route::ToOthers => self.tell_others(id, navigable, &message),
            Route::Place(old) => {
                if let WindowMessage::Placed(placement) = message {
                    self.place(id, navigable, *placement);
                }
                self.close_process(old, id);
            }
            Route::TakenBack(old) => self.close_process(old, id),
            Route::NavigateTab => {
                if let WindowMessage::Navigate(navigation) = message {
                    self.navigate_tab(id, RemoteNavigation { ..*navigation });
                }
            }
            Route::Removed(gone) => self.remove(id, gone),
        }
        Ok(())
    }

    /// Starts a process for the document that is held for a navigable.
    fn place(&mut self, keeper: ProcessId, navigable: NavigableId, placement: Placement) {
        let Some(mut document) = self.held.remove(&navigable) else {
            return self.tell(keeper, ProcessId::PARENT, navigable, WindowMessage::Crashed);
        };
        // The container decides the sandbox and the permissions policy, and nothing else.
        document.sandbox = document.sandbox.union(placement.sandbox);
        document.client.permissions_policy = placement.client.permissions_policy;
        if document.sandbox.origin {
            document.client.origin = Origin::Opaque(Nonce::random());
        }
        if let Err(error) = self.start(document, navigable, placement.reserved) {
            eprintln!("sendbeacon-shell: a content process cannot be started: {error}");
            self.tree.set_runner(navigable, keeper);
            self.tell(keeper, ProcessId::PARENT, navigable, WindowMessage::Crashed);
        }
    }

    fn tell_others(&self, sender: ProcessId, navigable: NavigableId, message: &WindowMessage) {
        for id in self.processes.keys().filter(|id| **id != sender) {
            self.tell(*id, sender, navigable, message.clone());
        }
    }

    /// Closes a process whose document has been replaced.
    fn close_process(&mut self, id: ProcessId, replacing: ProcessId) {
        if id != replacing
            && let Some(process) = self.processes.get_mut(&id)
        {
            process.close(true);
        }
    }

    /// Tells all processes except `sender` of navigables that were removed, and closes the processes of their documents.
    fn remove(&mut self, sender: ProcessId, gone: Vec<Gone>) {
        for Gone { id, runner, is_of_process } in gone {
            self.held.remove(&id);
            self.tell_others(sender, id, &WindowMessage::Removed);
            if is_of_process {
                self.close_process(runner, sender);
            }
        }
    }

    /// The process that ran the document of `place` has ended.
    pub(super) fn lost(&mut self, id: ProcessId, place: NavigableId) {
        let kept = self.tree.remove_kept(id);
        self.remove(id, kept);
        if self.tree.runner(place) != Some(id) {
            return;
        }
        let inside = self.tree.remove_descendants(place);
        self.remove(id, inside);
        if let Some(keeper) = self.tree.keeper(place) {
            self.tree.set_runner(place, keeper);
            self.tell(keeper, ProcessId::PARENT, place, WindowMessage::Crashed);
        }
    }

    /// Passes a command on. The process gets its answer at once if nobody can obey.
    pub(super) fn ask(
        &mut self,
        id: ProcessId,
        navigable: NavigableId,
        command: Command,
        ticket: u64,
    ) -> Result<(), Misconduct> {
        let runner = self.tree.runner(navigable).filter(|runner| *runner != id);
        let process = runner.and_then(|runner| self.processes.get(&runner));
        let (Some(runner), Some(process)) = (runner, process) else {
            self.done(id, ticket);
            return Ok(());
        };
        if !self.tree.may_command(id, navigable) {
            self.done(id, ticket);
            return Ok(());
        }
        if process.mailbox.is_full_for(id) {
            return Err(Misconduct::Backlog);
        }
        self.last_ticket += 1;
        let asked = Asked { ticket: self.last_ticket, runner, waiting: (id, ticket) };
        let ticket = asked.ticket;
        process.mailbox.try_send(id, &ToContent::Command { navigable, command, ticket })?;
        self.asked.push(asked);
        Ok(())
    }

    /// A process has obeyed.
    pub(super) fn answer(&mut self, id: ProcessId, ticket: u64) {
        let is_answered = |it: &Asked| it.ticket == ticket && it.runner == id;
        if let Some(at) = self.asked.iter().position(is_answered) {
            let (id, ticket) = self.asked.swap_remove(at).waiting;
            self.done(id, ticket);
        }
    }

    /// Answers for a process that has ended.
    pub(super) fn answer_for(&mut self, id: ProcessId) {
        self.asked.retain(|it| it.waiting.0 != id);
        let asked = self.asked.extract_if(.., |it| it.runner == id).collect::<Vec<_>>();
        for Asked { waiting: (id, ticket), .. } in asked {
            self.done(id, ticket);
        }
    }

    fn done(&self, id: ProcessId, ticket: u64) {
        if let Some(process) = self.processes.get(&id) {
            process.mailbox.send(id, &ToContent::Done(ticket));
        }
    }
}
