//! The network process's end of a channel: it checks what the content process sends, and carries it out.

mod channel;
mod content_process;
mod fetches;
mod lent;
mod pass_on;
mod pin;
mod serving;

pub use self::{content_process::ContentProcess, pin::Pin};
