//! Test equipment of `sendbeacon`. It is not published.
//!
//! Its functions panic where a test should fail.
//!
//! * [`network`]: a `Network` that answers from a script, without sockets.
//! * [`clock`]: a clock that a test moves forward.
//! * [`outbox`]: the storage of an outbox in memory.
//! * [`random`]: a source of random bytes that gives zeros only.
//! * [`server`]: an HTTP/1.1 and HTTP/2 server on real sockets. It records the exact bytes that it receives, and it
//!   answers or misbehaves as a test tells it to.

pub mod clock;
pub mod network;
pub mod outbox;
pub mod random;
pub mod server;
