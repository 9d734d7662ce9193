//! A headless page shell, the reference embedder of `sendbeacon`.
//!
//! The shell loads a page, runs its scripts and delivers its beacons. It shows how a browser engine embeds the library.
//! There is no layout, no rendering and no style. The shell has what a page needs to send beacons: an HTML parser, a
//! tree of nodes, a JavaScript realm for each document, the event loop, frames, windows and their session history, the
//! document lifecycle, `navigator.sendBeacon`, `fetch()`, and the Web APIs that pages use around them.
//!
//! * [`page`]: documents and their scripts. It asks a host for everything outside the page.
//! * [`browser`]: the host, which embeds the library.
//! * [`progress`]: says what the program waits for.
//! * [`collector`], [`demo`], [`outage`], [`mod@bench`], [`wpt`]: the other commands of the program.

pub mod bench;
pub mod browser;
pub mod collector;
pub mod demo;
mod live;
mod lock;
pub mod outage;
pub mod page;
pub mod progress;
mod room;
mod server;
mod timeline;
pub mod wpt;
