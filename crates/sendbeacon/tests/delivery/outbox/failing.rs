//! A disk that fails, or does not answer.

use sendbeacon::{ErrorDetail, host::Sealer};

use super::*;

#[tokio::test]
async fn a_full_disk_stops_no_beacon_and_is_told() {
    let storage = MemoryStorage::default();
    storage.fail(Some(OutboxError::Full(ErrorDetail::new("no space"))));
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let away = Away::new();
    let app = App::start(&storage);
    let page = app.open(&server.url("/page"));
    assert_eq!(page.send_beacon(&away.url("/away"), None), Ok(true));
    assert!(matches!(app.heard.wait(1, failed).await[0], OutboxError::Full(_)));
    assert_eq!(page.send_beacon("/here", None), Ok(true));
    assert_eq!(app.heard.done(1).await, [("/here".to_owned(), delivered(204))]);
    assert_eq!(page.send_beacon("/here", None), Ok(true));
    app.heard.done(2).await;
    let report = app.agent.shutdown(Duration::ZERO).await;
    assert_eq!((report.kept.len(), report.lost.len()), (0, 1), "{report:?}");
    assert_eq!(app.heard.all(failed).len(), 1, "it is told once");
}

#[tokio::test]
async fn a_disk_that_does_not_answer_stops_neither_a_beacon_nor_a_shutdown() {
    let storage = MemoryStorage::default();
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    storage.set_stuck(true);
    let app = App::start(&storage);
    let page = app.open(&server.url("/page"));
    for _ in 0..5 {
        assert_eq!(page.send_beacon("/", Some("x".into())), Ok(true));
    }
    assert!(app.heard.done(5).await.iter().all(|(_, outcome)| *outcome == delivered(204)));
    drop(page);
    let report = app.agent.shutdown(Duration::from_millis(100)).await;
    assert!(report.completed && report.lost.is_empty());
    storage.set_stuck(false);
}

#[tokio::test]
async fn what_could_not_be_removed_is_removed_when_the_disk_works_again() {
    let storage = MemoryStorage::default();
    let (away, _) = leave_a_beacon(&storage).await;
    let url = away.url("/page");
    let server = away.start();
    let app = App::start(&storage);
    let page = app.open(&url);
    app.heard.done(1).await;
    crate::browser::wait_until(|| storage.records().is_empty()).await;
    storage.fail(Some(OutboxError::Storage(ErrorDetail::new("i/o"))));
    assert_eq!(page.send_beacon("/1", None), Ok(true));
    app.heard.done(2).await;
    storage.fail(None);
    assert_eq!(page.send_beacon("/2", None), Ok(true));
    app.heard.done(3).await;
    drop(page);
    app.agent.shutdown(LONG).await;
    assert_eq!((server.requests().len(), storage.records()), (3, vec![]));
}

/// A sealer that panics.
struct Panics;

impl Sealer for Panics {
    fn seal(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        panic!("the key store has gone")
    }

    fn open(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        panic!("the key store has gone")
    }
}

#[tokio::test]
async fn a_sealer_that_panics_keeps_nothing_and_stops_no_beacon() {
    let storage = MemoryStorage::default();
    leave_a_beacon(&storage).await;
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let app = App::start_with(&storage, |it| it.with_sealer(Arc::new(Panics)), |it| it);
    let page = app.open(&server.url("/page"));
    assert_eq!(page.send_beacon("/here", None), Ok(true));
    assert_eq!(app.heard.done(1).await, [("/here".to_owned(), delivered(204))]);
    drop(page);
    assert!(app.agent.shutdown(LONG).await.completed);
    assert_eq!(storage.records(), []);
}

#[tokio::test]
async fn a_shutdown_while_a_record_is_made_leaves_one_record() {
    let storage = MemoryStorage::default();
    for _ in 0..20 {
        let (away, storage) = (Away::new(), storage.image());
        let app = App::start(&storage);
        let page = app.open(&away.url("/page"));
        assert_eq!(page.send_beacon("/kept", None), Ok(true));
        drop(page);
        let report = app.agent.shutdown(Duration::from_millis(20)).await;
        crate::browser::wait_until(|| storage.records().len() == report.kept.len()).await;
        assert!(report.kept.len() <= 1);
    }
}
