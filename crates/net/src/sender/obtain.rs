//! Obtaining a connection for a request: one that is open, or a new one.

use std::sync::Arc;

use sendbeacon_fetch::NetworkError;

use super::{RequestSender, Wanted};
use crate::{
    access_check::AccessCheck,
    pool::{
        key::PoolKey,
        lease::{Checkout, ConnectionLease, Room},
    },
};

impl RequestSender {
    /// [Obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain), in the room that
    /// the request already has, if any. The request holds neither a connection nor room while the
    /// embedder is asked for a permission.
    ///
    /// `is_lost` says whether the request was lost before. It then gets no HTTP/1.1 connection that was idle, because the
    /// server has probably closed that, too.
    pub(super) async fn obtain_a_connection(
        &self,
        key: &Arc<PoolKey>,
        Wanted { needs_new, is_lost, connect_timeout }: Wanted,
        mut room: Option<Room>,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<ConnectionLease, NetworkError> {
        loop {
            let checkout = match room.take() {
                Some(room) => Checkout::Room(room),
                None => self.pool.checkout(key, needs_new).await?,
            };
            let refusal = match checkout {
                Checkout::Open(ConnectionLease::Http1(mut lease)) => {
                    if is_lost || !lease.is_ready().await {
                        room = Some(lease.into_room(&self.pool));
                        continue;
                    }
                    match AccessCheck::repeat(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(ConnectionLease::Http1(lease)),
                        Err(refusal) => {
                            lease.give_back();
                            refusal
                        }
                    }
                }
                Checkout::Open(ConnectionLease::Http2(lease)) => {
                    if !lease.is_ready().await {
                        lease.retire();
                        continue;
                    }
                    match AccessCheck::repeat(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(ConnectionLease::Http2(lease)),
                        Err(refusal) => refusal,
                    }
                }
                Checkout::Room(room) => {
                    // Boxed: few requests make a connection, and every request's future would have room
                    // for it.
                    let made = Box::pin(self.connector.connect(key, connect_timeout, check)).await;
                    match room.fill(made) {
                        Err(refusal @ NetworkError::LocalNetworkAccess { .. }) => refusal,
                        made => return made,
                    }
                }
            };
            match check {
                Some(check) if check.asked().await => {}
                _ => return Err(refusal),
            }
        }
    }
}
