//! An index of the pool's groups, so that what the pool has to find costs the same whatever number of groups there is.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::pool::{group::ConnectionGroup, key::PoolKey};

/// What the pool has to find among its groups.
#[derive(Default)]
pub(crate) struct Index {
    /// How many connections of all groups are open or being made.
    open: usize,
    /// The groups with a waiting request that could be served without room for another connection, by its ticket.
    servable: BTreeMap<u64, Arc<PoolKey>>,
    /// The groups with a waiting request that could be served if there is room for another connection, by its ticket.
    servable_with_room: BTreeMap<u64, Arc<PoolKey>>,
    /// The groups with an idle connection, and some that had one. The time is not later than the one since which the
    /// longest-idle connection has been idle. A number keeps equal times apart.
    idle: BTreeMap<(Instant, u64), Arc<PoolKey>>,
    next_number: u64,
}

impl Index {
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// The group whose request is to be served next, as far as the index knows.
    pub(crate) fn next_to_serve(&self, has_room: bool) -> Option<&Arc<PoolKey>> {
        let servable = if has_room { &self.servable_with_room } else { &self.servable };
        servable.first_key_value().map(|(_, key)| key)
    }

    /// The group that may have the connection that has been idle for longest.
    pub(crate) fn longest_idle(&self) -> Option<(Instant, &Arc<PoolKey>)> {
        self.idle.first_key_value().map(|((since, _), key)| (*since, key))
    }

    /// Takes note of a group that has changed. A group that leaves the pool is empty. `limit` is the number of
    /// connections that it may have.
    pub(crate) fn update(&mut self, key: &Arc<PoolKey>, group: &mut ConnectionGroup, limit: usize) {
        let open = group.open();
        self.open = self.open - group.places.open + open;
        group.places.open = open;
        let ticket = |has_room| {
            let at = group.next_to_serve(has_room, limit)?;
            Some(group.waiting[at].ticket)
        };
        let (servable, servable_with_room) = (ticket(false), ticket(true));
        let places = &mut group.places;
        move_to(&mut self.servable, key, &mut places.servable, servable);
        move_to(
            &mut self.servable_with_room,
            key,
            &mut places.servable_with_room,
            servable_with_room,
        );
        // The place of a group that has one is put right when the pool looks for an idle connection. So a connection
        // that is used again and again costs nothing here.
        if group.places.idle.is_none() || open == 0 {
            self.update_idle(key, group);
        }
    }

    /// Puts a group at the time since which its longest-idle connection has been idle.
    pub(crate) fn update_idle(&mut self, key: &Arc<PoolKey>, group: &mut ConnectionGroup) {
        let since = group.longest_idle();
        if group.places.idle.map(|(since, _)| since) != since {
            let place = since.map(|since| (since, self.next_number));
            self.next_number += 1;
            move_to(&mut self.idle, key, &mut group.places.idle, place);
        }
    }
}

/// Moves a group to another position in a map.
fn move_to<T: Copy + Ord>(
    map: &mut BTreeMap<T, Arc<PoolKey>>,
    key: &Arc<PoolKey>,
    place: &mut Option<T>,
    to: Option<T>,
) {
    if *place == to {
        return;
    }
    if let Some(from) = place {
        map.remove(from);
    }
    if let Some(to) = to {
        map.insert(to, Arc::clone(key));
    }
    *place = to;
}
