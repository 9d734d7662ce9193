//! What the driver gives to fetch, before it starts.

use std::sync::Arc;

use sendbeacon_fetch::{
    InitiatorType, Request, Reservation,
    beacon::{Beacon, BeaconData},
    fetch::{BeaconRequest, Profile},
    hyperlink_auditing::Ping,
};

use crate::{event::FetchInfo, id::FetchId, network_side::run_fetch::ToFetch};

/// What to fetch, without its [`FetchInfo`]. A beacon and a ping become requests when they start: before that they take less
/// memory.
pub(in crate::network_side) enum Work {
    Beacon(BeaconData, Reservation),
    Ping(Box<Ping>),
    Request(Box<Request>, Option<Reservation>),
}

impl Work {
    pub(in crate::network_side) fn of_beacon(id: FetchId, beacon: Beacon) -> (FetchInfo, Self) {
        let (initiator_type, body_length) = (InitiatorType::Beacon, beacon.body_length());
        let (client, url, data, reservation) = beacon.into_parts();
        let (keepalive, record) = (true, None);
        let info = FetchInfo { id, client, url, initiator_type, keepalive, body_length, record };
        (info, Self::Beacon(data, reservation))
    }

    pub(in crate::network_side) fn of_ping(id: FetchId, ping: Box<Ping>) -> (FetchInfo, Self) {
        let info = FetchInfo {
            id,
            client: Arc::clone(ping.client()),
            url: Arc::clone(ping.url()),
            initiator_type: InitiatorType::Ping,
            keepalive: true,
            body_length: Ping::BODY_LENGTH,
            record: None,
        };
        (info, Self::Ping(ping))
    }

    pub(in crate::network_side) fn of_request(
        id: FetchId,
        request: Box<Request>,
        reservation: Option<Reservation>,
    ) -> (FetchInfo, Self) {
        (Self::info_of(&request, id), Self::Request(request, reservation))
    }

    pub(super) fn info_of(request: &Request, id: FetchId) -> FetchInfo {
        FetchInfo {
            id,
            client: Arc::clone(&request.client),
            url: Arc::clone(request.url()),
            initiator_type: request.initiator_type,
            keepalive: request.keepalive,
            body_length: request.body_length(),
            record: None,
        }
    }

    pub(super) fn reservation_mut(&mut self) -> Option<&mut Reservation> {
        match self {
            Self::Beacon(_, reservation) => Some(reservation),
            Self::Ping(ping) => Some(ping.reservation_mut()),
            Self::Request(_, reservation) => reservation.as_mut(),
        }
    }

    /// What to give to fetch, and the reservation to keep until the fetch is done.
    pub(super) fn start(
        self,
        info: &FetchInfo,
        profile: &Profile,
    ) -> (ToFetch, Option<Reservation>) {
        match self {
            Self::Beacon(data, reservation) => {
                let request = BeaconRequest::new(profile, &info.client, &info.url, data);
                (ToFetch::Beacon(request), Some(reservation))
            }
            Self::Ping(ping) => {
                let (request, reservation) = ping.into_request();
                (ToFetch::Request(Box::new(request)), Some(reservation))
            }
            Self::Request(request, reservation) => (ToFetch::Request(request), reservation),
        }
    }
}
