//! What the driver gives to fetch.

use std::sync::Arc;

use sendbeacon_fetch::{
    InitiatorType, Request, Reservation, beacon::Beacon, hyperlink_auditing::Ping,
};

use crate::{event::FetchInfo, id::FetchId};

/// What to fetch. A beacon and a ping become requests when they start: before that they take less memory.
pub(in crate::network_side) enum Work {
    Beacon(Beacon),
    Ping(Box<Ping>),
    Request(Box<Request>, Option<Reservation>),
}

impl Work {
    pub(super) fn info(&self, id: FetchId) -> FetchInfo {
        let (client, url, initiator_type, body_length) = match self {
            Self::Beacon(beacon) => {
                let length = beacon.body_length();
                (beacon.client(), beacon.url(), InitiatorType::Beacon, length)
            }
            Self::Ping(ping) => (ping.client(), ping.url(), InitiatorType::Ping, Ping::BODY_LENGTH),
            Self::Request(request, _) => return Self::info_of(request, id),
        };
        let (client, url) = (Arc::clone(client), url.clone());
        FetchInfo { id, client, url, initiator_type, keepalive: true, body_length, record: None }
    }

    pub(super) fn info_of(request: &Request, id: FetchId) -> FetchInfo {
        FetchInfo {
            id,
            client: Arc::clone(&request.client),
            url: request.url().clone(),
            initiator_type: request.initiator_type,
            keepalive: request.keepalive,
            body_length: request.body_length(),
            record: None,
        }
    }

    pub(super) fn reservation_mut(&mut self) -> Option<&mut Reservation> {
        match self {
            Self::Beacon(beacon) => Some(beacon.reservation_mut()),
            Self::Ping(ping) => Some(ping.reservation_mut()),
            Self::Request(_, reservation) => reservation.as_mut(),
        }
    }

    pub(super) fn into_request(self) -> (Box<Request>, Option<Reservation>) {
        let (request, reservation) = match self {
            Self::Beacon(beacon) => beacon.into_request(),
            Self::Ping(ping) => ping.into_request(),
            Self::Request(request, reservation) => return (request, reservation),
        };
        (Box::new(request), Some(reservation))
    }
}
