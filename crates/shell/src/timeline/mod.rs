//! `open --timeline` and `demo --timeline`: a page that draws what happened to each document and to each of its fetches.
//!
//! * [`recorder`]: the event sink that keeps what the library tells of fetches and the shell of documents.
//! * `recording`, `document`, `fetch`, `quota`: what is kept, in the form in which the page gets it.
//! * `page`: writes the page. Its parts are in the folder `page/`.

mod document;
mod fetch;
mod page;
mod quota;
mod recorder;
mod recording;

pub(crate) use self::{document::Step, recorder::Recorder};
