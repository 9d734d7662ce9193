//! The network over real sockets, seen from the server's side.

mod api;
mod early;
mod failures;
mod frames;
mod heads;
mod hostile;
mod hostile_http2;
mod http2;
mod limits;
mod local_network_access;
mod lost;
mod names;
mod proxies;
mod resend;
mod resend_policy;
mod reuse;
mod send_queues;
mod support;
mod timing;
mod tls;
mod tunnels;
mod unreached;
mod wire;
