//! What the servers have acknowledged of the requests, as Linux tells it in `/proc/net`.

use std::net::SocketAddr;

use procfs::net::TcpNetEntry;
use sendbeacon::{host::Answer, net::SendQueues};
use tokio::task::spawn_blocking;

/// Looks a connection up in the system's table of all sockets. An engine asks for one socket, by `SIOCOUTQ`.
pub(super) struct ProcNet;

impl SendQueues for ProcNet {
    fn unacknowledged(&self, local: SocketAddr, peer: SocketAddr) -> Answer<Option<u64>> {
        // The table may be long.
        let look_up = spawn_blocking(move || look_up(local, peer));
        Answer::Later(Box::pin(async move { look_up.await.ok().flatten() }))
    }
}

fn look_up(local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let table = if local.is_ipv4() { procfs::net::tcp() } else { procfs::net::tcp6() };
    let is_it =
        |socket: &TcpNetEntry| (socket.local_address, socket.remote_address) == (local, peer);
    table.ok()?.into_iter().find(is_it).map(|socket| socket.tx_queue.into())
}
