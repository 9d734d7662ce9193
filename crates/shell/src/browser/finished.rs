//! The list of the keepalive fetches that have ended.

use std::{fmt, time::Instant};

use sendbeacon::{Outcome, host::Progress};
use url::Url;

use crate::room::Room;

/// How many fetches are kept.
const MAX_FETCHES: usize = 20_000;

/// How many bytes of URLs are kept.
const MAX_BYTES: usize = 8 << 20;

/// A finished keepalive fetch.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The URL of the request.
    pub url: Url,
    /// The length of the request's body in bytes.
    pub body_length: u64,
    /// How the fetch ended.
    pub outcome: Outcome,
    /// When the fetch ended.
    pub at: Instant,
}

/// The first keepalive fetches that have ended, and how many more there were.
pub(super) struct FinishedList {
    fetches: Vec<Finished>,
    room: Room,
    left_out: LeftOut,
}

/// How many keepalive fetches have ended for which the list had no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Those that were delivered.
    pub delivered: u64,
    /// The others.
    pub others: u64,
}

impl FinishedList {
    pub(super) fn push(&mut self, finished: Finished) {
        if self.room.take_item(finished.url.as_str().len()) {
            self.fetches.push(finished);
        } else if matches!(finished.outcome, Outcome::Delivered { .. }) {
            self.left_out.delivered += 1;
        } else {
            self.left_out.others += 1;
        }
    }

    pub(super) fn fetches(&self) -> &[Finished] {
        &self.fetches
    }

    pub(super) fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

impl Default for FinishedList {
    fn default() -> Self {
        let room = Room::new(MAX_FETCHES, MAX_BYTES);
        Self { fetches: Vec::new(), room, left_out: LeftOut::default() }
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, body_length, outcome, .. } = self;
        match outcome {
            Outcome::Delivered { status } => {
                write!(f, "delivered: {url} ({body_length} bytes): {status}")
            }
            Outcome::Failed { error, progress: Progress::Sent } => {
                write!(f, "sent: {url} ({body_length} bytes): {error}")
            }
            Outcome::Failed { error, progress } => {
                write!(f, "lost ({progress}): {url} ({body_length} bytes): {error}")
            }
            Outcome::Kept { error, .. } => write!(f, "kept: {url} ({body_length} bytes): {error}"),
            Outcome::Unknown => {
                write!(f, "unknown: {url} ({body_length} bytes): an earlier run may have sent it")
            }
            other => write!(f, "{url}: {other:?}"),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, others } = self;
        let noun = if *others == 1 { "other" } else { "others" };
        write!(f, "not listed, as there are so many: {delivered} delivered, {others} {noun}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_counted_by_how_it_ended() {
        let mut list = FinishedList { room: Room::new(1, 1_000), ..FinishedList::default() };
        let status = http::StatusCode::OK;
        for outcome in [Outcome::Unknown, Outcome::Delivered { status }, Outcome::Unknown] {
            let (url, at) = (Url::parse("https://a.test/").expect("it is a URL"), Instant::now());
            list.push(Finished { url, body_length: 0, outcome, at });
        }
        assert_eq!(list.fetches().len(), 1);
        assert_eq!(list.left_out(), LeftOut { delivered: 1, others: 1 });
        assert!(list.left_out().to_string().ends_with("1 delivered, 1 other"));
    }

    #[test]
    fn the_urls_of_the_list_are_limited() {
        let mut list = FinishedList::default();
        let url =
            Url::parse(&format!("https://a.test/{}", "x".repeat(1 << 20))).expect("it is a URL");
        for _ in 0..9 {
            let (url, at) = (url.clone(), Instant::now());
            list.push(Finished { url, body_length: 0, outcome: Outcome::Unknown, at });
        }
        assert_eq!(list.fetches().len(), 7);
        assert_eq!(list.left_out().others, 2);
    }
}
