//! The fetches that wait for a destination that is away.

use std::time::Instant;

use super::{Dispatcher, State};
use crate::id::FetchId;

impl Dispatcher {
    /// Whether a fetch that would start now has to wait for its destination. NB: a fetch whose time runs has had its
    /// turn.
    pub(super) fn must_park(&self, id: FetchId) -> bool {
        !self.destinations.is_empty()
            && self.fetches.get(&id).is_some_and(|fetch| {
                let is_gone =
                    || self.groups.get(&fetch.group).is_some_and(|group| group.gone.is_some());
                fetch.begun.is_none()
                    && fetch.endpoint.keepalive
                    && (!fetch.is_awaited || is_gone())
                    && self.destinations.is_away(fetch.endpoint.origin)
            })
    }

    /// Lets a fetch that has not started wait for its destination.
    pub(super) fn park(&mut self, id: FetchId, now: Instant) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        (fetch.state, fetch.begun) = (State::Parked, Some(now));
        self.destinations.wait(id, fetch.endpoint.origin);
        self.reset_alarm(id);
    }

    /// Takes a started fetch off the wire, because it waits for a destination. False if it is over.
    pub(super) fn leave_the_wire(&mut self, id: FetchId) -> bool {
        let fetch = self.fetches.get_mut(&id).filter(|fetch| fetch.state == State::Started);
        let Some(fetch) = fetch else { return false };
        fetch.state = State::Parked;
        self.wire.leave(fetch.endpoint);
        self.parked.push_back(id);
        true
    }

    /// Lets a fetch try its destination as soon as there is room on the wire.
    pub(super) fn unpark(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if fetch.state == State::Parked {
            fetch.state = State::Waiting;
            self.wire.line_up(id, fetch.group, fetch.endpoint);
        }
    }
}
