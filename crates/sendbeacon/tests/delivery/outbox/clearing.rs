//! Clearing site data reaches the outbox.

use std::time::SystemTime;

use sendbeacon::{Nonce, Origin, Site, SiteData};

use super::*;

/// The number of records after `data` was cleared. An app has kept a beacon of a frame before, in this run or in the one
/// before.
async fn left_after(data: SiteData, in_next_run: bool) -> usize {
    let storage = MemoryStorage::default();
    let app = App::start(&storage);
    app.agent.set_online(false);
    let mut framed = client("https://frame.test/");
    framed.network_partition_key = client("https://top.test/").network_partition_key;
    framed.has_cross_site_ancestor = true;
    let page = app.agent.document(framed);
    assert_eq!(page.send_beacon("https://collector.test/kept", None), Ok(true));
    app.heard.safe(1).await;
    drop(page);
    let app = if in_next_run {
        app.agent.shutdown(Duration::ZERO).await;
        App::start(&storage)
    } else {
        app
    };
    app.agent.clear_site_data(data).await.unwrap();
    storage.records().len()
}

fn origin(url: &str) -> Origin {
    Origin::of(&url.parse().unwrap(), Nonce::from_u128(1))
}

fn data(url: &str) -> SiteData {
    SiteData::of_site(&Site::of(&origin(url)))
}

#[tokio::test]
async fn a_record_is_removed_by_its_initiator_its_destination_and_its_top_level_site() {
    for in_next_run in [false, true] {
        for url in ["https://frame.test/", "https://collector.test/", "https://top.test/"] {
            assert_eq!(left_after(data(url), in_next_run).await, 0, "{url}");
        }
        assert_eq!(left_after(data("https://other.test/"), in_next_run).await, 1);
        // The data of an origin are only its own.
        for (url, left) in [
            ("https://frame.test/", 0),
            ("https://collector.test/", 0),
            ("https://top.test/", 1),
            ("https://frame.test:8443/", 1),
        ] {
            assert_eq!(left_after(SiteData::of(&origin(url)), in_next_run).await, left, "{url}");
        }
    }
}

#[tokio::test]
async fn only_the_records_of_the_time_range_are_removed() {
    let hour = Duration::from_secs(3600);
    for in_next_run in [false, true] {
        let top = || data("https://top.test/");
        assert_eq!(left_after(top().since(SystemTime::now() - hour), in_next_run).await, 0);
        assert_eq!(left_after(top().since(SystemTime::now() + hour), in_next_run).await, 1);
    }
}

#[tokio::test]
async fn what_could_not_be_cleared_is_an_error_and_is_removed_later() {
    let storage = MemoryStorage::default();
    leave_a_beacon(&storage).await;
    let app = App::start(&storage);
    storage.fail(Some(OutboxError::Storage(sendbeacon::ErrorDetail::new("i/o"))));
    let error = app.agent.clear_site_data(data("http://127.0.0.1/")).await.unwrap_err();
    assert!(matches!(error, OutboxError::Storage(_)));
    storage.fail(None);
    crate::browser::wait_until(|| storage.records().is_empty()).await;
}

#[tokio::test]
async fn records_that_could_not_be_read_make_clearing_fail() {
    let storage = MemoryStorage::default();
    leave_a_beacon(&storage).await;
    storage.set_unreadable();
    let app = App::start(&storage);
    let error = app.agent.clear_site_data(data("http://127.0.0.1/")).await.unwrap_err();
    assert!(matches!(error, OutboxError::Storage(_)));
}
