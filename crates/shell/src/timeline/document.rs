//! The life of a document in a timeline.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::page::Lifecycle;

/// How many steps of a document are kept.
const MAX_STEPS: usize = 1_000;

/// Something that happens to a document and that no event of the library tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The document or the worker has begun.
    Begun {
        /// Its creation URL.
        url: Url,
        /// Whether it is the global scope of a worker.
        is_worker: bool,
    },
    /// A step of its lifecycle.
    Lifecycle(Lifecycle),
    /// A call of `sendBeacon()` was refused.
    Refused {
        /// The URL, as the script passed it.
        url: String,
        /// The message of the exception; `None` if the call returned false.
        error: Option<String>,
    },
}

/// A moment: the time since the beginning of the recording. The page gets it in milliseconds, to a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) Duration);

/// A time during which a document or a fetch is in one state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Span<S> {
    pub(super) from: At,
    pub(super) to: At,
    pub(super) state: S,
}

/// The spans of a line, of which the last may be open.
#[derive(Clone, Debug)]
pub(super) struct Spans<S> {
    pub(super) closed: Vec<Span<S>>,
    open: Option<(At, S)>,
}

/// The state of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Before its `pageshow`.
    Loading,
    Visible,
    Hidden,
    Frozen,
    /// In the back/forward cache.
    Cached,
    /// The only state of a worker.
    Running,
}

/// A document or a worker.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentLine {
    pub(super) id: u64,
    pub(super) url: String,
    pub(super) is_worker: bool,
    pub(super) from: At,
    spans: Spans<State>,
    /// The steps in words, each with its time.
    steps: Vec<(At, &'static str)>,
    /// When and how its life has ended.
    pub(super) ended: Option<(At, &'static str)>,
    /// The bytes of the keepalive quota that are in use from a time on: see [`quota`](super::quota).
    pub(super) quota: Vec<(At, u64)>,
    #[serde(skip)]
    is_hidden: bool,
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1e6).round() / 1e3)
    }
}

impl<S: Copy + PartialEq> Spans<S> {
    /// From `at` on, the line is in `state`.
    pub(super) fn enter(&mut self, at: At, state: S) {
        if self.open.is_some_and(|(_, open)| open == state) {
            return;
        }
        self.close(at);
        self.open = Some((at, state));
    }

    /// Ends the open span at `at`. A span without a length is left out.
    pub(super) fn close(&mut self, at: At) {
        if let Some((from, state)) = self.open.take()
            && from < at
        {
            self.closed.push(Span { from, to: at, state });
        }
    }
}

impl<S> Default for Spans<S> {
    fn default() -> Self {
        Self { closed: Vec::new(), open: None }
    }
}

impl<S: Serialize> Serialize for Spans<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.closed.serialize(serializer)
    }
}

impl DocumentLine {
    pub(super) fn new(id: u64, url: String, is_worker: bool, at: At) -> Self {
        let mut spans = Spans::default();
        spans.enter(at, if is_worker { State::Running } else { State::Loading });
        Self {
            id,
            url,
            is_worker,
            from: at,
            spans,
            steps: vec![(at, "begun")],
            ended: None,
            quota: Vec::new(),
            is_hidden: false,
        }
    }

    /// The document takes a step of its lifecycle.
    pub(super) fn step(&mut self, at: At, step: Lifecycle) {
        if self.ended.is_some() {
            return;
        }
        let word = match step {
            Lifecycle::Visible => "visible",
            Lifecycle::Hidden if self.is_hidden => return,
            Lifecycle::Hidden => "hidden",
            Lifecycle::PageHide { persisted: true } => "cached",
            Lifecycle::PageHide { persisted: false } => "pagehide",
            Lifecycle::PageShow { persisted: true } => "taken from the cache",
            Lifecycle::PageShow { persisted: false } => "loaded",
            Lifecycle::Freeze => "frozen",
            Lifecycle::Resume => "resumed",
            Lifecycle::Unload => return self.end(at, "unloaded"),
        };
        self.note(at, word);
        match step {
            Lifecycle::Visible => self.is_hidden = false,
            Lifecycle::Hidden => self.is_hidden = true,
            _ => {}
        }
        let state = match step {
            Lifecycle::PageHide { persisted: true } => State::Cached,
            Lifecycle::Freeze => State::Frozen,
            Lifecycle::PageHide { persisted: false } => return,
            _ if self.is_hidden => State::Hidden,
            // `visible` comes before `pageshow` when the document is taken from the cache.
            _ => State::Visible,
        };
        self.spans.enter(at, state);
    }

    /// The document's life ends.
    pub(super) fn end(&mut self, at: At, how: &'static str) {
        if self.ended.is_none() {
            self.note(at, how);
            self.ended = Some((at, how));
            self.spans.close(at);
        }
    }

    /// The recording ends at `at`.
    pub(super) fn close(&mut self, at: At) {
        self.spans.close(at);
    }

    fn note(&mut self, at: At, word: &'static str) {
        if self.steps.len() < MAX_STEPS {
            self.steps.push((at, word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> At {
        At(Duration::from_millis(ms))
    }

    fn line(steps: &[(u64, Lifecycle)]) -> DocumentLine {
        let mut line = DocumentLine::new(1, "https://a.test/".into(), false, at(0));
        for (ms, step) in steps {
            line.step(at(*ms), *step);
        }
        line
    }

    fn states(line: &DocumentLine) -> Vec<(u128, u128, State)> {
        line.spans
            .closed
            .iter()
            .map(|it| (it.from.0.as_millis(), it.to.0.as_millis(), it.state))
            .collect()
    }

    #[test]
    fn a_document_has_a_span_for_each_state() {
        let mut line = line(&[
            (1, Lifecycle::PageShow { persisted: false }),
            (2, Lifecycle::Hidden),
            (3, Lifecycle::Freeze),
            (4, Lifecycle::Resume),
            (5, Lifecycle::PageHide { persisted: true }),
            (6, Lifecycle::Visible),
            (6, Lifecycle::PageShow { persisted: true }),
        ]);
        line.end(at(7), "process gone");
        assert_eq!(
            states(&line),
            [
                (0, 1, State::Loading),
                (1, 2, State::Visible),
                (2, 3, State::Hidden),
                (3, 4, State::Frozen),
                (4, 5, State::Hidden),
                (5, 6, State::Cached),
                (6, 7, State::Visible),
            ]
        );
        assert_eq!(line.ended, Some((at(7), "process gone")));
    }

    #[test]
    fn nothing_happens_to_a_document_after_its_end() {
        let mut line = line(&[(1, Lifecycle::Unload), (2, Lifecycle::Visible)]);
        line.end(at(3), "process gone");
        line.close(at(4));
        assert_eq!(line.ended, Some((at(1), "unloaded")));
        assert_eq!(states(&line), [(0, 1, State::Loading)]);
        assert_eq!(line.steps, [(at(0), "begun"), (at(1), "unloaded")]);
    }

    #[test]
    fn a_document_that_is_hidden_before_it_is_loaded_stays_hidden() {
        let mut line =
            line(&[(1, Lifecycle::Hidden), (2, Lifecycle::PageShow { persisted: false })]);
        line.close(at(3));
        assert_eq!(states(&line), [(0, 1, State::Loading), (1, 3, State::Hidden)]);
    }
}
