//! A reservation for a keepalive request that the engine sends with its own network stack.

use std::sync::Arc;

use sendbeacon_fetch::Reservation;

use crate::{
    id::GroupId,
    message::{GroupMessage, NetworkSide},
};

/// The room that [`FetchGroup::reserve_keepalive`](crate::FetchGroup::reserve_keepalive) has reserved for a
/// keepalive request of the engine's own network stack. Dropping it gives the room back.
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub struct KeepaliveReservation {
    /// Always `Some` until this is dropped, which has to give the room back before it sends the message.
    reservation: Option<Reservation>,
    group: GroupId,
    network_side: Arc<dyn NetworkSide>,
}

impl KeepaliveReservation {
    pub(super) fn new(
        reservation: Reservation,
        group: GroupId,
        network_side: Arc<dyn NetworkSide>,
    ) -> Self {
        Self { reservation: Some(reservation), group, network_side }
    }
}

impl Drop for KeepaliveReservation {
    fn drop(&mut self) {
        drop(self.reservation.take());
        // A deferred fetch may wait for the room, or a shutdown for the end of the request.
        self.network_side.send(GroupMessage::ReservationReleased(self.group));
    }
}
