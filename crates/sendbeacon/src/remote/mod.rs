//! Surviving the page's process: documents in a content process, the user agent in another.
//!
//! An engine that runs pages in processes of their own gives each such content process a byte channel
//! to the network process, where the [`UserAgent`](crate::UserAgent) is. In the content process a
//! [`RemoteUserAgent`] makes the same [`Document`](crate::Document)s as the real one; what they accept
//! crosses the channel. When [`send_beacon`](crate::Document::send_beacon) has returned `true` the
//! beacon is in the kernel's hands: the content process may be killed the moment after.
//!
//! ```no_run
//! # #[cfg(unix)] {
//! use std::{os::unix::net::UnixStream, sync::Arc, thread};
//!
//! use sendbeacon::{Client, Nonce, Site, UserAgent, remote::{Pin, RemoteUserAgent}};
//!
//! // In the network process, for each content process:
//! let agent = UserAgent::builder().build()?;
//! let (ours, theirs) = UnixStream::pair()?; // theirs is inherited by the content process
//! let page = Client::new("https://a.test/".parse()?, Nonce::random());
//! let process = agent.content_process(Pin::of(&page));
//! thread::spawn(move || process.serve_unix(ours));
//!
//! // In the content process:
//! let agent = RemoteUserAgent::over_unix_stream(theirs)?;
//! let document = agent.document(page);
//! document.send_beacon("/collect", Some("bye".into()))?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who decides what
//!
//! The content process answers script without asking: each fetch group has its ledger there, and the
//! number and bytes of what is unfinished are bounded for the whole channel, as credits that come back
//! when a fetch is done. The network process trusts none of it. It holds each channel to the
//! [`Pin`] it was made with, counts every quota again, and ends a channel that breaks a rule or the
//! framing, which costs that content process its later beacons and nobody else anything.
//!
//! Why a fetch failed stays in the network process: a content process is told
//! [`NetworkError::OtherProcess`](crate::NetworkError::OtherProcess).

mod channel;
mod clients;
mod content_process;
mod error;
mod fetches;
mod frame;
mod frame_writer;
mod in_hand;
mod incoming;
mod limits;
mod network_process;
mod pass_on;
mod pin;
mod protocol;
mod serving;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_admission;
mod user_agent;

pub use self::{
    content_process::ContentProcess, error::ChannelError, pin::Pin, user_agent::RemoteUserAgent,
};
