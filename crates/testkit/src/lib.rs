//! Test equipment of `sendbeacon`. Not published; it panics where a test should fail.
//!
//! * [`network`]: a `Network` that answers from a script; [`clock`]: a clock that a test moves;
//!   [`random`]: randomness that is none.
//! * [`server`]: an HTTP/1.1 and HTTP/2 server on real sockets that records the exact bytes of what it is sent
//!   and answers, or misbehaves, as a test tells it to.

pub mod clock;
pub mod network;
pub mod random;
pub mod server;
