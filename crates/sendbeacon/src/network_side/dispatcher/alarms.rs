//! What happens to a fetch by the passing of time.

use std::time::Instant;

use sendbeacon_fetch::TimeoutKind;

use super::{Dispatcher, State, alarm_queue::Alarm};
use crate::{id::FetchId, limits::Timeouts};

impl Dispatcher {
    /// Works out the alarm of a fetch anew, after a change of its state, of its group's or of the network's.
    pub(super) fn reset_alarm(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if let Some(at) = fetch.alarm.take() {
            self.alarms.remove((at, id));
        }
        let gone = self.groups.get(&fetch.group).and_then(|group| group.gone);
        let timeouts = &self.timeouts;
        // A time that the clock cannot express never comes.
        let alarm = if let Some(begun) = fetch.begun {
            if fetch.endpoint.keepalive { give_up(timeouts, begun, gone) } else { None }
        } else if let Some(since) = self.offline_since {
            let at = since.max(fetch.queued).checked_add(timeouts.offline);
            at.map(|at| (at, Alarm::GiveUp(TimeoutKind::Offline)))
        } else if fetch.state == State::Held {
            let at = fetch.queued.checked_add(self.max_delay);
            at.map(|at| (at, Alarm::Release))
        } else {
            None
        };
        if let Some((at, alarm)) = alarm {
            fetch.alarm = Some(at);
            self.alarms.insert((at, id), alarm);
        }
    }

    pub(super) fn reset_alarms(&mut self) {
        for id in self.all_where(|_| true) {
            self.reset_alarm(id);
        }
    }
}

/// When a keepalive fetch whose time has run since `begun` is given up. Its document has gone at `gone`.
fn give_up(timeouts: &Timeouts, begun: Instant, gone: Option<Instant>) -> Option<(Instant, Alarm)> {
    let whole = begun.checked_add(timeouts.fetch).map(|at| (at, TimeoutKind::Fetch));
    let lifetime = gone
        .and_then(|gone| gone.max(begun).checked_add(timeouts.after_document))
        .map(|at| (at, TimeoutKind::AfterDocument));
    let first = whole.into_iter().chain(lifetime).min_by_key(|(at, _)| *at);
    first.map(|(at, kind)| (at, Alarm::GiveUp(kind)))
}
