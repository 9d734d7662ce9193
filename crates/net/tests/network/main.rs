//! The network over real sockets, seen from the server's side.

mod failures;
mod hostile;
mod http2;
mod limits;
mod reuse;
mod support;
mod tls;
mod wire;
