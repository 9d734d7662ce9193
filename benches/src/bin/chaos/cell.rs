//! A cell of the table: one fault over one transport.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    Transport,
    faults::{Fault, Row, Statement},
    sightings::Sightings,
};

/// How often the server strikes at most for each beacon in flight, where a strike takes the whole limit on time.
const SLOW_STRIKES: usize = 4;

/// What the client and the server of a cell share.
pub(crate) struct Cell {
    pub(crate) row: &'static Row,
    pub(crate) transport: Transport,
    pub(crate) statement: Statement,
    pub(crate) sightings: Arc<Sightings>,
    turns: AtomicUsize,
    strikes: AtomicUsize,
}

impl Cell {
    /// The cell of this row, for `count` beacons. `None` if the fault does not exist over this transport.
    pub(crate) fn new(row: &'static Row, transport: Transport, count: usize) -> Option<Self> {
        Some(Self {
            statement: row.statement(transport)?,
            row,
            transport,
            sightings: Arc::new(Sightings::new(count)),
            turns: AtomicUsize::new(0),
            strikes: AtomicUsize::new(0),
        })
    }

    pub(crate) fn fault(&self) -> Fault {
        self.row.fault
    }

    /// How many beacons are under way at once.
    pub(crate) fn in_flight(&self) -> usize {
        self.fault().in_flight(self.transport)
    }

    /// How often the server struck so far.
    pub(crate) fn strikes(&self) -> usize {
        self.strikes.load(Relaxed)
    }

    /// Whether the server strikes at this opportunity. If so, the strike counts. Returns the number of the strike,
    /// counted from 0.
    pub(crate) fn strike(&self) -> Option<usize> {
        let turn = self.turns.fetch_add(1, Relaxed);
        if turn % self.row.every != self.row.every - 1 {
            return None;
        }
        let is_slow = self.fault().needs_short_limits();
        let most = if is_slow { SLOW_STRIKES * self.in_flight() } else { usize::MAX };
        let add = |strikes| (strikes < most).then_some(strikes + 1);
        self.strikes.fetch_update(Relaxed, Relaxed, add).ok()
    }

    /// Like [`strike`](Self::strike), for this fault only.
    pub(crate) fn strike_by(&self, fault: Fault) -> Option<usize> {
        if self.fault() == fault { self.strike() } else { None }
    }

    /// Like [`strike`](Self::strike), for the answer to a request that was read. `is_reused` says whether the connection
    /// has had an answer before.
    pub(crate) fn strike_answer(&self, is_reused: bool) -> Option<usize> {
        let is_possible = self.fault().is_about_answers() && self.fault().is_for(is_reused);
        if is_possible { self.strike() } else { None }
    }

    /// Like [`strike`](Self::strike), but at most `most` times for the beacon with this body: a beacon that the server
    /// refuses again and again would have to fail.
    pub(crate) fn strike_beacon(&self, body: &[u8], most: u8) -> Option<usize> {
        let number = self.sightings.number(body)?;
        let strike = self.strike()?;
        if self.sightings.strike(number) < most {
            return Some(strike);
        }
        self.strikes.fetch_sub(1, Relaxed);
        None
    }
}
