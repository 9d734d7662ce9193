//! The table of faults: what each may do to beacons, stated before a run.

use crate::Transport;

/// How many beacons of a cell are under way at once, where the fault does not ask for another number.
pub(crate) const IN_FLIGHT: usize = 6;

/// What the server does wrong. The rows of [`ROWS`] describe each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    // Strange answers.
    Slow,
    SingleBytes,
    SlowReader,
    EarlyAnswer,
    Interim,
    EndlessBody,
    ShortBody,
    TwoAnswers,
    Redirects,
    AnnouncedClose,
    // Bad answers.
    Garbage,
    HalfHead,
    InterimThenEnd,
    Silence,
    HalfHeadThenSilence,
    // Connections that end.
    IdleClose,
    IdleReset,
    HalfClosed,
    HalfClosedAtOnce,
    Unread,
    EndOnFresh,
    EndOnReused,
    ResetOnFresh,
    ResetOnReused,
    PartOnFresh,
    PartOnReused,
    TimeoutOnIdle,
    TimeoutOnReused,
    // Connections that are not made.
    Backlog,
    Away,
    LookUps,
    HelloCut,
    HandshakeCut,
    HandshakeSilence,
    NoTls,
    Alert,
    ClientCertificate,
    // HTTP/2.
    GoAwayAtOnce,
    GoAwayBefore,
    GoAwayTwice,
    GoAwayThenAnswer,
    GoAwayInAnswer,
    GoAwayThenEnd,
    GoAwayThenReset,
    BusyReset,
    ResetStream,
    RefusedStream,
    Http1Required,
    SettingsFlood,
    PingFlood,
    NoWindow,
    NoStreams,
    OddFrames,
    BrokenFrames,
}

impl Fault {
    /// Whether only a limit on time ends what the server does, so that the limits have to be short.
    pub(crate) fn needs_short_limits(self) -> bool {
        use Fault::{HalfHeadThenSilence, HandshakeSilence, Silence};
        matches!(self, Silence | HalfHeadThenSilence | HandshakeSilence)
    }

    /// Whether the server does it in the place of an answer or with it.
    pub(crate) fn is_about_answers(self) -> bool {
        use Fault::{
            BrokenFrames, BusyReset, EndOnFresh, EndOnReused, EndlessBody, Garbage, GoAwayInAnswer,
            GoAwayThenAnswer, GoAwayThenEnd, HalfClosed, HalfHead, HalfHeadThenSilence, IdleClose,
            IdleReset, Interim, InterimThenEnd, OddFrames, PingFlood, ResetOnFresh, ResetOnReused,
            ResetStream, SettingsFlood, ShortBody, Silence, SingleBytes, Slow, SlowReader,
            TimeoutOnIdle, TwoAnswers,
        };
        let strange =
            matches!(self, Slow | SlowReader | SingleBytes | Interim | EndlessBody | ShortBody)
                || matches!(self, TwoAnswers | SettingsFlood | PingFlood | OddFrames);
        let bad = matches!(self, Garbage | HalfHead | InterimThenEnd | ResetStream | BrokenFrames)
            || matches!(self, Silence | HalfHeadThenSilence)
            || matches!(self, GoAwayThenAnswer | GoAwayInAnswer | GoAwayThenEnd);
        let end = matches!(self, IdleClose | IdleReset | HalfClosed | TimeoutOnIdle | BusyReset)
            || matches!(self, EndOnFresh | EndOnReused | ResetOnFresh | ResetOnReused);
        strange || bad || end
    }

    /// Whether the fault happens on connections of this kind. A reused connection has had an answer before.
    pub(crate) fn is_for(self, is_reused: bool) -> bool {
        match self {
            Self::EndOnFresh | Self::ResetOnFresh | Self::PartOnFresh => !is_reused,
            Self::EndOnReused | Self::ResetOnReused | Self::PartOnReused => is_reused,
            _ => true,
        }
    }

    /// Whether the server announces the end of each connection, because the fault belongs to fresh connections.
    pub(crate) fn renews_connections(self) -> bool {
        use Fault::{
            Alert, AnnouncedClose, Away, Backlog, ClientCertificate, EndOnFresh, GoAwayAtOnce,
            HalfClosedAtOnce, HandshakeCut, HandshakeSilence, HelloCut, LookUps, NoStreams, NoTls,
            PartOnFresh, ResetOnFresh, Unread,
        };
        matches!(
            self,
            AnnouncedClose
                | HalfClosedAtOnce
                | Unread
                | EndOnFresh
                | ResetOnFresh
                | PartOnFresh
                | Backlog
                | Away
                | LookUps
                | HelloCut
                | HandshakeCut
                | HandshakeSilence
                | NoTls
                | Alert
                | ClientCertificate
                | NoStreams
                | GoAwayAtOnce
        )
    }

    /// Whether the fault ends an HTTP/2 connection in a way that harms all requests on it.
    fn ends_http2(self) -> bool {
        use Fault::{
            BrokenFrames, EndOnReused, Garbage, GoAwayThenReset, HalfClosed, HalfHead, IdleClose,
            IdleReset, InterimThenEnd, PartOnReused, ResetOnReused,
        };
        matches!(
            self,
            Garbage
                | HalfHead
                | InterimThenEnd
                | IdleClose
                | IdleReset
                | HalfClosed
                | EndOnReused
                | ResetOnReused
                | PartOnReused
                | GoAwayThenReset
                | BrokenFrames
        )
    }

    /// How many beacons are under way at once. One, if they would share an HTTP/2 connection that the server strikes:
    /// then each strike can harm one beacon only.
    pub(crate) fn in_flight(self, transport: Transport) -> usize {
        match transport {
            Transport::Http2 if self.ends_http2() || self.renews_connections() => 1,
            _ if self.needs_short_limits() => 16,
            _ => IN_FLIGHT,
        }
    }
}

/// What a fault may do to beacons over one transport: to how many, for each time that the server did what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    /// Its name in docs/RELIABILITY.md.
    pub(crate) name: &'static str,
    /// The embedder is told that the beacon failed.
    pub(crate) failed: usize,
    /// The server never got the whole beacon.
    pub(crate) lost: usize,
    /// The server got the whole beacon twice. It never gets one three times.
    pub(crate) twice: usize,
    /// The server got the beginning of the beacon's body without its end, at least once.
    pub(crate) part: usize,
}

/// Every beacon arrives once, and the embedder is told so.
const HARMLESS: Statement = Statement { name: "harmless", failed: 0, lost: 0, twice: 0, part: 0 };
/// The server gets the beacon once, and its answer is lost.
const ANSWER_LOST: Statement = Statement { name: "answer lost", failed: 1, ..HARMLESS };
/// The connection was used before and ends without a byte of an answer: the beacon is sent once more.
const SENT_AGAIN: Statement = Statement { name: "sent again", twice: 1, ..HARMLESS };
/// A reused connection ends after the server has read a part of the beacon: the beacon is sent once more.
const PART_SENT_AGAIN: Statement = Statement { name: "part, sent again", part: 1, ..HARMLESS };
/// An HTTP/2 connection ends after the beginning of a frame. The library does not see that beginning.
const SENT_AGAIN_OR_FAILED: Statement =
    Statement { name: "sent again or failed", failed: 1, ..SENT_AGAIN };
/// A fresh connection ends after a byte may have been written, and the server does not read it.
const CUT: Statement = Statement { name: "cut", lost: 1, failed: 1, ..HARMLESS };
/// The server does not want to speak TLS with this client. The library does not try again.
const REFUSED: Statement = Statement { name: "refused", ..CUT };
/// A fresh connection ends, and the server had read a part of the beacon.
const CUT_IN_PART: Statement = Statement { name: "cut in part", part: 1, ..CUT };
/// All beacons that are under way are cut at once.
const CUT_TOGETHER: Statement =
    Statement { name: "cut together", failed: IN_FLIGHT, lost: IN_FLIGHT, ..HARMLESS };
/// An HTTP/2 connection ends under several requests. The library may send some of them once more.
const RESET_TOGETHER: Statement =
    Statement { name: "reset together", twice: IN_FLIGHT, ..CUT_TOGETHER };

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) fault: Fault,
    /// What the server does, in words.
    pub(crate) name: &'static str,
    /// The server strikes at each so-many-th opportunity.
    pub(crate) every: usize,
    http1: Option<Statement>,
    tls: Option<Statement>,
    http2: Option<Statement>,
}

impl Row {
    /// The statement over this transport. `None` if the fault does not exist there.
    pub(crate) fn statement(&self, transport: Transport) -> Option<Statement> {
        match transport {
            Transport::Http1 => self.http1,
            Transport::Tls => self.tls,
            Transport::Http2 => self.http2,
        }
    }

    /// The same statement over each transport.
    const fn all(fault: Fault, name: &'static str, every: usize, statement: Statement) -> Self {
        let it = Some(statement);
        Self { fault, name, every, http1: it, tls: it, http2: it }
    }

    /// A row of HTTP/1.1.
    const fn http1(fault: Fault, name: &'static str, every: usize, statement: Statement) -> Self {
        Self { http2: None, ..Self::all(fault, name, every, statement) }
    }

    /// A row of HTTP/2.
    const fn http2(fault: Fault, name: &'static str, every: usize, statement: Statement) -> Self {
        Self { http1: None, tls: None, ..Self::all(fault, name, every, statement) }
    }

    /// A row of TLS, for both versions of HTTP.
    const fn tls(fault: Fault, name: &'static str, every: usize, statement: Statement) -> Self {
        Self { http1: None, ..Self::all(fault, name, every, statement) }
    }

    /// Another statement over HTTP/1.1 without TLS.
    const fn but_without_tls(mut self, statement: Statement) -> Self {
        self.http1 = Some(statement);
        self
    }

    /// Another statement over HTTP/2.
    const fn but_over_http2(mut self, statement: Statement) -> Self {
        self.http2 = Some(statement);
        self
    }
}

/// All faults.
pub(crate) const ROWS: &[Row] = &[
    Row::all(Fault::Nothing, "no fault", 1, HARMLESS),
    Row::all(Fault::Slow, "slow answer", 8, HARMLESS),
    Row::all(Fault::SingleBytes, "answer in single bytes", 2, HARMLESS),
    Row::http1(Fault::SlowReader, "request read in single bytes", 4, HARMLESS),
    Row::all(Fault::EarlyAnswer, "answer before the body", 2, HARMLESS),
    Row::all(Fault::Interim, "interim answers first", 2, HARMLESS),
    Row::all(Fault::EndlessBody, "answer without an end", 4, HARMLESS),
    Row::all(Fault::ShortBody, "answer cut short", 4, HARMLESS),
    Row::http1(Fault::TwoAnswers, "two answers to one request", 4, HARMLESS),
    Row::all(Fault::Redirects, "redirects, 1 to 3 hops", 1, HARMLESS),
    Row::all(Fault::AnnouncedClose, "announced close", 1, HARMLESS),
    Row::all(Fault::Garbage, "garbage", 4, ANSWER_LOST),
    // Without TLS, the end of the connection ends a head, as it does in Chromium.
    Row::all(Fault::HalfHead, "half a head, then the end", 4, ANSWER_LOST)
        .but_without_tls(HARMLESS)
        .but_over_http2(SENT_AGAIN_OR_FAILED),
    Row::all(Fault::InterimThenEnd, "interim answer, then the end", 4, ANSWER_LOST),
    Row::all(Fault::Silence, "no answer", 16, ANSWER_LOST),
    Row::http1(Fault::HalfHeadThenSilence, "half a head, then nothing", 16, ANSWER_LOST),
    Row::all(Fault::IdleClose, "idle connection closed", 2, HARMLESS),
    Row::all(Fault::IdleReset, "idle connection reset", 2, HARMLESS),
    Row::all(Fault::HalfClosed, "idle connection half-closed", 2, SENT_AGAIN),
    Row::all(Fault::HalfClosedAtOnce, "fresh connection half-closed", 4, CUT),
    Row::all(Fault::Unread, "fresh connection closed unread", 4, CUT),
    Row::all(Fault::EndOnFresh, "fresh connection closed after the request", 4, ANSWER_LOST),
    Row::all(Fault::EndOnReused, "reused connection closed after the request", 4, SENT_AGAIN),
    Row::all(Fault::ResetOnFresh, "fresh connection reset after the request", 4, ANSWER_LOST),
    Row::all(Fault::ResetOnReused, "reused connection reset after the request", 4, SENT_AGAIN),
    Row::all(Fault::PartOnFresh, "fresh connection reset in the request", 4, CUT_IN_PART),
    Row::all(Fault::PartOnReused, "reused connection reset in the request", 4, PART_SENT_AGAIN),
    Row::http1(Fault::TimeoutOnIdle, "408 on an idle connection", 2, HARMLESS),
    Row::http1(Fault::TimeoutOnReused, "408 to a request on a reused connection", 4, HARMLESS),
    Row::all(Fault::Backlog, "listener replaced, its backlog dropped", 16, CUT_TOGETHER),
    Row::all(Fault::Away, "server away", 16, HARMLESS).but_without_tls(CUT_TOGETHER),
    Row::all(Fault::LookUps, "look-ups that fail", 8, HARMLESS),
    Row::tls(Fault::HelloCut, "TLS cut before the hello is read", 4, HARMLESS),
    Row::tls(Fault::HandshakeCut, "TLS cut in the server's hello", 4, HARMLESS),
    Row::tls(Fault::HandshakeSilence, "no answer to the TLS hello", 32, HARMLESS),
    Row::tls(Fault::NoTls, "plain text instead of TLS", 4, REFUSED),
    Row::tls(Fault::Alert, "TLS alert in the handshake", 4, REFUSED),
    Row::tls(Fault::ClientCertificate, "TLS alert after the handshake", 4, REFUSED),
    Row::http2(Fault::GoAwayAtOnce, "GOAWAY before any request", 2, HARMLESS),
    Row::http2(Fault::GoAwayBefore, "GOAWAY that leaves the request out", 8, HARMLESS),
    Row::http2(Fault::GoAwayTwice, "GOAWAY of all, then of less", 8, HARMLESS),
    Row::http2(Fault::GoAwayThenAnswer, "GOAWAY before the answer", 8, HARMLESS),
    Row::http2(Fault::GoAwayInAnswer, "GOAWAY in the answer", 8, HARMLESS),
    Row::http2(Fault::GoAwayThenEnd, "GOAWAY instead of the answer", 8, ANSWER_LOST),
    Row::http2(Fault::GoAwayThenReset, "GOAWAY of less, then a reset", 4, HARMLESS),
    Row::http2(Fault::BusyReset, "connection reset under several requests", 16, RESET_TOGETHER),
    Row::http2(Fault::ResetStream, "RST_STREAM of every other code", 2, ANSWER_LOST),
    Row::http2(Fault::RefusedStream, "RST_STREAM: REFUSED_STREAM", 2, HARMLESS),
    Row::http2(Fault::Http1Required, "RST_STREAM: HTTP_1_1_REQUIRED", 4, HARMLESS),
    Row::http2(Fault::SettingsFlood, "flood of SETTINGS", 8, HARMLESS),
    Row::http2(Fault::PingFlood, "flood of PING", 8, HARMLESS),
    Row::http2(Fault::NoWindow, "window of 0 that grows by bytes", 1, HARMLESS),
    Row::http2(Fault::NoStreams, "no streams allowed, then one", 4, HARMLESS),
    Row::http2(Fault::OddFrames, "unknown, padded and split frames", 2, HARMLESS),
    Row::http2(Fault::BrokenFrames, "frames that break the protocol", 4, ANSWER_LOST),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_reliability_states_each_row() {
        let docs = include_str!("../../../../docs/RELIABILITY.md");
        let transports = [Transport::Http1, Transport::Tls, Transport::Http2];
        for row in ROWS {
            let [http1, tls, http2] =
                transports.map(|it| row.statement(it).map_or("–", |statement| statement.name));
            let line = format!("\n| {} | {http1} | {tls} | {http2} |\n", row.name);
            assert!(docs.contains(&line), "docs/RELIABILITY.md needs the line {line}");
        }
    }
}
