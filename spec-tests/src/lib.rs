//! Conformance cases as data, and their runner.
//!
//! A case describes a page, what its script does, how servers answer, and which requests must then be sent. The cases
//! are in `cases/*.json`, one file for each topic. Each case names the web platform test or the observation of
//! browsers that it follows. README.md describes the format.
//!
//! [`load`] reads the cases, [`Case::run`] runs one, and [`Expectations`] compares the result with `expectations.txt`.
//! The runner computes no expected value: each stands in the case.

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

/// A description of what went wrong.
pub type Failure = String;
