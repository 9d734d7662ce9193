//! The reference embedder of `sendbeacon`: a headless page shell, small enough to be read in one
//! sitting, that runs the scripts of a page and passes what they ask for to a browser around it.
//!
//! No layout, no rendering, no style. What is here is what a page that sends beacons touches: the
//! parser, a tree of nodes, one JavaScript realm for a document, the event loop, frames, windows and
//! their session history, the document lifecycle, and the Web APIs on the way to
//! `navigator.sendBeacon` and `fetch()`.

pub mod bench;
pub mod browser;
pub mod collector;
pub mod demo;
pub mod page;
mod server;
pub mod wpt;
