//! The state of a fetch group that the script side and the network side share.

use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicBool, AtomicU8,
        Ordering::{AcqRel, Acquire},
    },
};

use sendbeacon_fetch::{
    Client, CspViolation, KeepaliveLimits, Ledger, Request, Reservation, Weight,
};
use tokio::sync::Notify;

use crate::id::GroupId;

/// How many reports a group may have unfinished, and how large. A violation beyond that is not reported.
const REPORT_LIMITS: KeepaliveLimits =
    KeepaliveLimits::DEFAULT.with_requests(64).with_url_bytes(65_536);

/// How much a group may have waiting for servers that are away, beside its quota. NB: otherwise the requests to one
/// dead server would fill the quota, and the library would refuse the page's beacons to all other servers.
const WAITING_LIMITS: KeepaliveLimits =
    KeepaliveLimits::DEFAULT.with_body_bytes(256 * 1024).with_url_bytes(256 * 1024);

/// The state of a fetch group. The script side sets the flags, and the network side reads them.
pub(crate) struct GroupState {
    pub(crate) id: GroupId,
    /// A set of [`Flag`]s.
    flags: AtomicU8,
    /// Whether a message about a change is on its way to the network side, which has not looked at the flags
    /// since. A further change then needs no message.
    is_told: AtomicBool,
    /// Notified after a flag has changed.
    changed: Notify,
    /// The ledger of the reports of violations. They do not count in the keepalive ledger, because the network
    /// side makes them after `sendBeacon()` has answered what fits there.
    reports: Arc<Ledger>,
    /// The ledger of the reports of all groups of a content process. It limits them together, because a content
    /// process may make any number of groups.
    reports_of_process: Option<Arc<Ledger>>,
    /// The ledger of the requests that wait for a server that is away. Few groups have one.
    waiting: OnceLock<Arc<Ledger>>,
}

/// The room of a request in the ledger of a content process. It is the guard of the request's reservation in the
/// network process.
pub(crate) trait RemoteRoom: Send + Sync {
    /// Gives the room back before the request is done.
    fn give_back(&self);
}

/// A fact about the document of a group.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Flag {
    /// The document is hidden.
    Hidden = 1,
    /// The document is frozen.
    Frozen = 2,
    /// The document is in the back/forward cache, and so not fully active.
    Cached = 4,
    /// The group was terminated.
    Terminated = 8,
}

impl GroupState {
    pub(crate) fn new(id: GroupId, reports_of_process: Option<Arc<Ledger>>) -> Self {
        Self {
            id,
            flags: AtomicU8::new(0),
            is_told: AtomicBool::new(false),
            changed: Notify::new(),
            reports: Ledger::new(REPORT_LIMITS),
            reports_of_process,
            waiting: OnceLock::new(),
        }
    }

    /// Sets the flag, and says whether it was set before.
    pub(crate) fn set(&self, flag: Flag) -> bool {
        let was_set = self.flags.fetch_or(flag as u8, AcqRel) & flag as u8 != 0;
        self.changed.notify_waiters();
        was_set
    }

    /// Clears the flag, and says whether it was set before.
    pub(crate) fn unset(&self, flag: Flag) -> bool {
        let was_set = self.flags.fetch_and(!(flag as u8), AcqRel) & flag as u8 != 0;
        self.changed.notify_waiters();
        was_set
    }

    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.flags.load(Acquire) & flag as u8 != 0
    }

    /// All flags, as they cross a channel to another process.
    #[cfg(feature = "remote")]
    pub(crate) fn flags(&self) -> u8 {
        self.flags.load(Acquire)
    }

    /// Says whether the network side needs a message about a change. After one message it needs no other until
    /// it has called [`flags_seen`](Self::flags_seen).
    pub(crate) fn needs_message(&self) -> bool {
        !self.is_told.swap(true, AcqRel)
    }

    /// The network side calls this before it looks at the flags because of a message.
    pub(crate) fn flags_seen(&self) {
        // NB: a swap and not a store, because it also acquires the flags that were set before `needs_message`.
        self.is_told.swap(false, AcqRel);
    }

    /// Whether the group's beacons may not be held back.
    pub(crate) fn is_urgent(&self) -> bool {
        self.flags.load(Acquire) != 0
    }

    /// Whether the document is in the back/forward cache, from which it may come back.
    pub(crate) fn is_cached(&self) -> bool {
        self.is(Flag::Cached) && !self.is(Flag::Terminated)
    }

    pub(crate) fn is_fully_active(&self) -> bool {
        !self.is(Flag::Cached) && !self.is(Flag::Terminated)
    }

    /// Waits until `condition` is true of this state.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            // It exists before the condition is checked, so it sees every later change.
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Reserves room for a violation, until the network side makes its reports.
    pub(crate) fn reserve_violation(
        &self,
        violation: &CspViolation,
        client: &Arc<Client>,
    ) -> Option<Reservation> {
        // NB: all its texts count as a body, because the quota of reports limits bodies.
        let body_bytes = violation.held_bytes() as u64;
        self.reserve(client, Weight { body_bytes, url_bytes: 0, header_bytes: 0 })
    }

    /// Reserves room for a report.
    pub(crate) fn reserve_report(&self, request: &Request) -> Option<Reservation> {
        self.reserve(&request.client, request.weight())
    }

    /// Gives the quota of a request back that waits for a server that is away, and says whether it did so. A request
    /// keeps its quota if the group has too many that wait.
    pub(crate) fn give_back_early(&self, reservation: &mut Reservation) -> bool {
        let waiting = self.waiting.get_or_init(|| Ledger::new(WAITING_LIMITS));
        let is_given_back = reservation.move_to(waiting);
        if is_given_back && let Some(room) = reservation.guard::<Arc<dyn RemoteRoom>>() {
            room.give_back();
        }
        is_given_back
    }

    fn reserve(&self, client: &Arc<Client>, weight: Weight) -> Option<Reservation> {
        let reservation = self.reports.reserve_for(client, weight)?;
        match &self.reports_of_process {
            None => Some(reservation),
            Some(of_process) => Some(reservation.with_guard(of_process.reserve(weight)?)),
        }
    }
}
