//! Room for a keepalive request of the engine's own network stack.

use std::sync::Arc;

use sendbeacon_fetch::Reservation;

use crate::message::{GroupMessage, NetworkSide};

/// Room for a keepalive request that the engine sends itself: see
/// [`FetchGroup::reserve_keepalive`](crate::FetchGroup::reserve_keepalive). Dropping it gives the room back.
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub struct KeepaliveReservation {
    /// Taken when this is dropped.
    reservation: Option<Reservation>,
    network_side: Arc<dyn NetworkSide>,
}

impl KeepaliveReservation {
    pub(super) fn new(reservation: Reservation, network_side: Arc<dyn NetworkSide>) -> Self {
        Self { reservation: Some(reservation), network_side }
    }
}

impl Drop for KeepaliveReservation {
    fn drop(&mut self) {
        drop(self.reservation.take());
        // A deferred fetch may wait for the room, or a shutdown for the end of the request. If the network
        // side has gone, neither does.
        self.network_side.send(GroupMessage::ReservationReleased);
    }
}
