//! The network over real sockets, seen from the server's side.

mod failures;
mod hostile;
mod local_network_access;
mod names;
mod proxies;
mod reuse;
mod support;
mod tls;
mod tunnels;
mod wire;
