//! A crash at every step of a beacon: what the next run of the app sends.

use sendbeacon::{
    AbandonReason, NetworkError, Nonce, Origin, SiteData,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse, Progress},
    net::HttpNetwork,
    outbox::Redelivery,
};

use super::*;

/// Copies of the disk at the steps of a beacon, each with what had happened before.
type Images = Arc<Mutex<Vec<(&'static str, MemoryStorage)>>>;

/// A network that takes an image after the outbox has noted that a byte may be sent, and before it is.
struct Noted {
    network: HttpNetwork,
    storage: MemoryStorage,
    images: Images,
}

impl Network for Noted {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(async move {
            request.transmission.report(Progress::InPart);
            if let Some(noted) = request.transmission.before_writing() {
                noted.await;
            }
            self.images.lock().unwrap().push(("noted", self.storage.image()));
            self.network.http_network_fetch(request).await
        })
    }

    fn waits_before_writing(&self) -> bool {
        true
    }
}

/// Sends a beacon that is kept before it is sent, and takes an image of the disk at each step.
async fn images_of_a_beacon(redelivery: Redelivery) -> (RecordingServer, Images) {
    let (storage, images) = (MemoryStorage::default(), Images::default());
    let server = RecordingServer::start({
        let (storage, images) = (storage.clone(), Arc::clone(&images));
        move |request| {
            if request.index == 0 {
                images.lock().unwrap().push(("received", storage.image()));
            }
            Behavior::status(204)
        }
    })
    .await;
    let network = Noted {
        network: HttpNetwork::default(),
        storage: storage.clone(),
        images: Arc::clone(&images),
    };
    let app = App::start_with(
        &storage,
        |it| it.with_redelivery(redelivery),
        |it| it.network(Arc::new(network)),
    );
    let take = |step| images.lock().unwrap().push((step, storage.image()));
    take("accepted");
    app.agent.set_online(false);
    let page = app.open(&server.url("/page"));
    assert_eq!(page.send_beacon("/kept", Some("x".into())), Ok(true));
    app.heard.safe(1).await;
    take("safe");
    app.agent.set_online(true);
    app.heard.done(1).await;
    take("answered");
    drop(page);
    app.agent.shutdown(LONG).await;
    take("removed");
    (server, images)
}

/// How often the next run of the app sends the beacon, when it finds this on the disk.
async fn copies(server: &RecordingServer, image: &MemoryStorage, redelivery: Redelivery) -> usize {
    let before = server.requests().len();
    let app = App::start_with(image, |it| it.with_redelivery(redelivery), |it| it);
    let page = app.open(&server.url("/page"));
    let records = image.records().len();
    app.heard.wait(records, ended).await;
    drop(page);
    app.agent.shutdown(LONG).await;
    assert_eq!(image.records(), []);
    server.requests().len() - before
}

#[tokio::test]
async fn after_a_crash_only_what_was_unsent_is_sent() {
    let redelivery = Redelivery::OnlyUnsent;
    let (server, images) = images_of_a_beacon(redelivery).await;
    let images = std::mem::take(&mut *images.lock().unwrap());
    let mut sent = Vec::new();
    for (step, image) in &images {
        sent.push((*step, copies(&server, image, redelivery).await));
    }
    // The crash before the record is safe loses the beacon. From the note on a server may have it.
    let expected = [
        ("accepted", 0),
        ("safe", 1),
        ("noted", 0),
        ("received", 0),
        ("answered", 0),
        ("removed", 0),
    ];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn after_a_crash_everything_is_sent_whose_end_is_unknown_if_the_embedder_wants_it() {
    let redelivery = Redelivery::AtLeastOnce;
    let (server, images) = images_of_a_beacon(redelivery).await;
    let images = std::mem::take(&mut *images.lock().unwrap());
    for (step, image) in &images {
        let sent = copies(&server, image, redelivery).await;
        match *step {
            "accepted" | "removed" => assert_eq!(sent, 0, "{step}"),
            "answered" => assert!(sent <= 1, "the removal may be under way"),
            _ => assert_eq!(sent, 1, "{step}"),
        }
    }
}

#[tokio::test]
async fn a_record_that_three_runs_have_not_finished_ends() {
    let (storage, away) = (MemoryStorage::default(), Away::new());
    let url = away.url("/page");
    let (kept, _) = {
        let app = App::start(&storage);
        let page = app.open(&url);
        assert_eq!(page.send_beacon("/kept", None), Ok(true));
        app.heard.safe(1).await;
        // A crash: the image is all that is left.
        (storage.image(), page)
    };
    let mut image = kept;
    for run in 1..=4 {
        let app = App::start(&image);
        let _page = app.open(&url);
        if run == 4 {
            assert_eq!(app.heard.done(1).await, [("/kept".to_owned(), Outcome::Unknown)]);
            break;
        }
        // The attempt is noted before it begins. The app crashes while the server is away.
        crate::browser::wait_until(|| image.commits() == 1).await;
        image = image.image();
    }
}

#[tokio::test]
async fn a_later_attempt_does_not_make_unsent_what_may_have_arrived() {
    let redelivery = Redelivery::AtLeastOnce;
    let (server, images) = images_of_a_beacon(redelivery).await;
    let noted = images.lock().unwrap().iter().find(|(step, _)| *step == "noted").unwrap().1.image();
    let start = |image: &MemoryStorage| {
        App::start_with(image, |it| it.with_redelivery(redelivery), |it| it)
    };
    let second = start(&noted);
    second.agent.set_online(false);
    let _page = second.open(&server.url("/page"));
    // The second run notes its attempt, and crashes.
    crate::browser::wait_until(|| noted.commits() == 1).await;
    let after_second = noted.image();

    let strict = App::start(&after_second.image());
    assert_eq!(strict.heard.done(1).await, [("/kept".to_owned(), Outcome::Unknown)]);

    let third = start(&after_second);
    let origin = Origin::of(&server.url("/").parse().unwrap(), Nonce::from_u128(1));
    third.agent.clear_site_data(SiteData::of(&origin)).await.unwrap();
    let error = NetworkError::Abandoned(AbandonReason::SiteDataCleared);
    let cleared = Outcome::Failed { error, progress: Progress::InPart };
    assert_eq!(third.heard.done(1).await, [("/kept".to_owned(), cleared)]);
}
