//! The keepalive quota of a document over time, derived from the events of its fetches.

use super::{
    document::{At, DocumentLine},
    fetch::{FetchLine, Kind},
};

/// Sets the quota of each document: the bytes that are in use, from each moment at which they change.
///
/// The library has no event for the quota. A keepalive fetch takes its body's bytes when it is queued; the call of the
/// script is a little earlier. It gives them back when it is done, or when a request of it has not reached its server and
/// waits. A fetch that waits without having been tried gives them back too, which no event tells: it counts until it is
/// done. Reports of violations have a quota of their own.
pub(super) fn set_quotas<'a>(
    documents: impl Iterator<Item = &'a mut DocumentLine>,
    fetches: &[FetchLine],
) {
    let mut changes: Vec<(u64, At, i128)> = Vec::new();
    for fetch in fetches.iter().filter(|it| it.keepalive && it.kind != Kind::Report) {
        let bytes = i128::from(fetch.body_length);
        let Some(taken) = fetch.queued.filter(|_| bytes > 0) else { continue };
        changes.push((fetch.document, taken, bytes));
        if let Some(given_back) = fetch.unreached.or(fetch.to) {
            changes.push((fetch.document, given_back, -bytes));
        }
    }
    changes.sort_by_key(|(document, at, _)| (*document, *at));
    for document in documents {
        let start = changes.partition_point(|(id, ..)| *id < document.id);
        let mut in_use = 0;
        document.quota.clear();
        for (_, at, change) in changes[start..].iter().take_while(|(id, ..)| *id == document.id) {
            in_use += change;
            let bytes = u64::try_from(in_use).unwrap_or(0);
            match document.quota.last_mut() {
                Some(last) if last.0 == *at => last.1 = bytes,
                _ => document.quota.push((*at, bytes)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> At {
        At(Duration::from_millis(ms))
    }

    fn fetch(
        document: u64,
        kind: Kind,
        body_length: u64,
        from: u64,
        unreached: Option<u64>,
        to: Option<u64>,
    ) -> FetchLine {
        let mut line = FetchLine::new(document, kind, "https://a.test/".into(), at(from));
        line.keepalive = kind != Kind::Fetch;
        line.body_length = body_length;
        (line.queued, line.unreached, line.to) = (Some(at(from)), unreached.map(at), to.map(at));
        line
    }

    fn quota(document: &DocumentLine) -> Vec<(u128, u64)> {
        document.quota.iter().map(|(at, bytes)| (at.0.as_millis(), *bytes)).collect()
    }

    #[test]
    fn a_quota_changes_with_each_keepalive_fetch_of_the_document() {
        let document = |id| DocumentLine::new(id, String::new(), false, at(0));
        let mut documents = [document(1), document(2), document(3)];
        let fetches = [
            fetch(1, Kind::Beacon, 10, 1, None, Some(5)),
            fetch(1, Kind::Ping, 4, 2, Some(3), Some(9)),
            fetch(1, Kind::Report, 100, 2, None, Some(3)),
            fetch(1, Kind::Fetch, 100, 2, None, Some(3)),
            fetch(1, Kind::Deferred, 7, 5, None, None),
            fetch(2, Kind::Beacon, 1, 1, None, Some(2)),
        ];
        set_quotas(documents.iter_mut(), &fetches);
        assert_eq!(quota(&documents[0]), [(1, 10), (2, 14), (3, 10), (5, 7)]);
        assert_eq!(quota(&documents[1]), [(1, 1), (2, 0)]);
        assert!(documents[2].quota.is_empty());
    }
}
