//! Several processes: documents in content processes, and the user agent in the network process.
//!
//! An engine that runs pages in content processes gives each of them a byte channel to the network process, which
//! has the [`UserAgent`](crate::UserAgent). In the content process a [`RemoteUserAgent`] makes the same
//! [`Document`](crate::Document)s as the real one, and their requests cross the channel. When
//! [`send_beacon`](crate::Document::send_beacon) has returned `true`, the kernel has the beacon: it is delivered
//! even if the content process is killed at that moment.
//!
//! ```
//! # #[cfg(unix)] {
//! use std::{os::unix::net::UnixStream, thread, time::Duration};
//!
//! use sendbeacon::{Client, Nonce, UserAgentBuilder, remote::{Pin, RemoteUserAgent}};
//!
//! # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
//! # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
//! // In the network process, for each content process:
//! let agent = UserAgentBuilder::new(network).build()?;
//! let (ours, theirs) = UnixStream::pair()?; // The content process inherits `theirs`.
//! let page = Client::new("https://a.test/".parse()?, Nonce::random());
//! let process = agent.content_process(Pin::of(&page));
//! thread::spawn(move || process.serve_unix(ours));
//!
//! // In the content process:
//! let remote = RemoteUserAgent::over_unix_stream(theirs)?;
//! let document = remote.document(page);
//! assert!(document.send_beacon("/collect", Some("bye".into()))?);
//!
//! // In the network process, when the browser quits:
//! assert!(agent.shutdown_blocking(Duration::from_secs(5)).completed);
//! assert!(!document.send_beacon("/collect", None)?);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What each process decides
//!
//! The content process answers script without asking the network process. It has the ledger of each of its fetch
//! groups. It also spends the credits that the network process has lent to it, in bytes. They come back when a request
//! is done. So the memory of all content processes together is within the limits of the user agent
//! ([`MemoryLimits`](crate::MemoryLimits)), and an accepted request is never refused for want of memory.
//!
//! The network process trusts none of that. It checks each document against the [`Pin`] that the channel was made
//! with, and counts every quota again. It ends a channel that breaks a rule or the framing. The content process
//! then cannot send any more beacons. Other content processes notice nothing.
//!
//! The network process does not tell why a fetch failed: in a content process every such error is
//! [`NetworkError::OtherProcess`](crate::NetworkError::OtherProcess).

mod error;
mod frame;
mod in_content;
mod in_network;
mod limits;
mod protocol;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_admission;
#[cfg(test)]
mod tests_support;

pub use self::{
    error::ChannelError,
    in_content::RemoteUserAgent,
    in_network::{ContentProcess, Pin},
};
