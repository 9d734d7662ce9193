//! The network over real sockets, seen from the server's side.

mod failures;
mod reuse;
mod support;
mod tls;
mod wire;
