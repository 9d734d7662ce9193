//! The settings objects that a content process has sent to the network process.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use sendbeacon_fetch::Client;

use crate::{
    remote::limits::{MAX_CLIENTS, MAX_GROUPS, MAX_POLICIES},
    request_frame::sendable,
};

/// The settings object that the network process has of each fetch group that it knows.
#[derive(Default)]
pub(super) struct Clients {
    /// Each with about how many bytes of memory it takes.
    of_groups: HashMap<u64, (Arc<Client>, usize)>,
    /// The sum of these bytes.
    bytes: usize,
}

impl Clients {
    pub(super) fn get(&self, group: u64) -> Option<&Arc<Client>> {
        self.of_groups.get(&group).map(|(client, _)| client)
    }

    /// Whether the network process will accept a settings object of this size for the group.
    pub(super) fn has_room(&self, group: u64, bytes: usize) -> bool {
        let known = self.of_groups.get(&group);
        let others = self.bytes - known.map_or(0, |(_, bytes)| *bytes);
        others + bytes <= MAX_CLIENTS && (known.is_some() || self.of_groups.len() < MAX_GROUPS)
    }

    pub(super) fn insert(&mut self, group: u64, client: Arc<Client>, bytes: usize) {
        self.remove(group);
        self.bytes += bytes;
        self.of_groups.insert(group, (client, bytes));
    }

    /// Removes a group, and says whether the network process knew it.
    pub(super) fn remove(&mut self, group: u64) -> bool {
        let known = self.of_groups.remove(&group);
        self.bytes -= known.as_ref().map_or(0, |(_, bytes)| *bytes);
        known.is_some()
    }
}

/// The payload of a settings object. `None` if the network process would not accept it.
pub(super) fn payload_of(client: &Client) -> Option<Bytes> {
    sendable(&client.creation_url)?;
    sendable(&client.api_base_url)?;
    let is_small = client.policies_length() <= MAX_POLICIES;
    is_small.then(|| postcard::to_stdvec(client).ok().map(Bytes::from)).flatten()
}
