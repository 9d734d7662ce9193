//! Conformance cases as data, and what runs them.
//!
//! A case says what a page is, what its script does, how servers answer and what must then be seen on
//! the wire. Cases are in `cases/*.json`, one file a topic; each names the web platform test or the
//! observation of browsers that it follows. README.md describes the format. [`load`] reads them all,
//! [`Case::run`] runs one, and [`Expectations`] holds the result against `expectations.txt`.
//!
//! Nothing here knows what a right answer is: no value that a case expects is computed.

mod case;
mod check;
mod cookies;
mod expectations;
mod fetch_init;
mod later;
mod load;
mod page;
mod server;
mod setup;
mod step;
mod value;

pub use self::{
    case::Case,
    expectations::{Expectations, Verdict},
    load::load,
};

/// What went wrong, in words.
pub type Failure = String;
