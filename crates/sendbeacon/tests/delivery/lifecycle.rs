//! A document's lifecycle, in any order.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sendbeacon::{
    AbandonReason, Client, Document, DocumentLifecycle, Inflight, NetworkError, Outcome,
    Scheduling, VisibilityState,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};
use tokio::runtime::Handle;
use url::Url;

use crate::{browser::Browser, holding_server};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Step {
    Visibility(VisibilityState),
    Pagehide(bool),
    Pageshow(bool),
    Freeze,
    Resume,
    Unload,
    ProcessGone,
    Send,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Visibility(VisibilityState::Hidden)),
        1 => Just(Step::Visibility(VisibilityState::Visible)),
        2 => any::<bool>().prop_map(Step::Pagehide),
        2 => any::<bool>().prop_map(Step::Pageshow),
        1 => Just(Step::Freeze),
        1 => Just(Step::Resume),
        1 => Just(Step::Unload),
        1 => Just(Step::ProcessGone),
        8 => Just(Step::Send),
    ]
}

/// What a document is, as far as `sendBeacon()` can tell.
#[derive(Default)]
struct Model {
    cached: bool,
    gone: bool,
}

impl Model {
    /// Takes a step, and says what a call returns.
    fn take(&mut self, step: Step) -> Option<bool> {
        match step {
            Step::Pagehide(persisted) => self.cached |= persisted,
            Step::Pageshow(_) => self.cached = false,
            Step::Unload | Step::ProcessGone => self.gone = true,
            Step::Visibility(_) | Step::Freeze | Step::Resume => {}
            Step::Send => return Some(!self.cached && !self.gone),
        }
        None
    }
}

fn take(document: &Document, step: Step) -> Option<bool> {
    match step {
        Step::Visibility(visibility) => document.visibility_change(visibility),
        Step::Pagehide(persisted) => document.pagehide(persisted),
        Step::Pageshow(persisted) => document.pageshow(persisted),
        Step::Freeze => document.freeze(),
        Step::Resume => document.resume(),
        Step::Unload => document.unload(),
        Step::ProcessGone => document.process_gone(),
        Step::Send => return Some(document.send_beacon("/b", Some("x".into())).unwrap()),
    }
    None
}

fn browser() -> Browser {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    Browser::with(|builder| builder.network(network))
}

fn page() -> Client {
    Client::new(Url::parse("http://a.test/").unwrap(), 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_call_answers_as_the_model_does_and_every_true_gets_its_outcome(
        steps in proptest::collection::vec(step(), 1..40),
        loads_at in 0usize..40,
    ) {
        let browser = browser();
        let document = browser.agent.document(page());
        let (mut model, mut accepted) = (Model::default(), 0);
        for (at, step) in steps.into_iter().enumerate() {
            if at == loads_at {
                browser.agent.important_loads(true);
            }
            let answer = take(&document, step);
            prop_assert_eq!(answer, model.take(step));
            accepted += usize::from(answer == Some(true));
        }
        browser.agent.shutdown_blocking(LONG);
        prop_assert_eq!(browser.events.outcomes().len(), accepted);
        prop_assert_eq!(document.fetch_group().inflight(), Inflight::default());
    }
}

#[test]
fn events_of_several_threads_lose_nothing() {
    let browser = browser();
    let document = browser.agent.document(page());
    let accepted: usize = std::thread::scope(|scope| {
        let sender = || (0..500).filter(|_| take(&document, Step::Send) == Some(true)).count();
        let senders = [scope.spawn(sender), scope.spawn(sender)];
        scope.spawn(|| {
            for _ in 0..200 {
                document.pagehide(true);
                document.pageshow(true);
                document.visibility_change(VisibilityState::Hidden);
            }
            document.unload();
        });
        senders.map(|sender| sender.join().unwrap()).into_iter().sum()
    });
    browser.agent.shutdown_blocking(LONG);
    assert_eq!(browser.events.outcomes().len(), accepted);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[test]
fn ten_thousand_documents_may_go_at_once() {
    let browser = browser();
    let documents: Vec<_> = (0..10_000).map(|_| browser.agent.document(page())).collect();
    for document in &documents {
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    }
    drop(documents);
    browser.agent.shutdown_blocking(LONG);
    assert_eq!(browser.events.outcomes().len(), 10_000);
}

#[tokio::test]
async fn important_loads_hold_back_until_the_document_is_hidden() {
    let browser = browser();
    browser.agent.important_loads(true);
    let [hidden, other] = [(); 2].map(|()| browser.agent.document(page()));
    assert_eq!(other.send_beacon("/other", None), Ok(true));
    assert_eq!(hidden.send_beacon("/hidden", None), Ok(true));
    hidden.visibility_change(VisibilityState::Hidden);
    assert_eq!(hidden.send_beacon("/hidden", None), Ok(true));
    browser.events.wait_for(2).await;
    browser.agent.shutdown(LONG).await;
    let paths: Vec<_> = browser.events.outcomes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/hidden", "/hidden", "/other"]);
}

#[tokio::test]
async fn a_document_that_was_hidden_for_a_moment_has_nothing_held_back() {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let mut scheduling = Scheduling::default();
    scheduling.max_delay = Duration::MAX;
    let browser = Browser::with(|builder| {
        builder.network(network).scheduling(scheduling).runtime(Handle::current())
    });
    browser.agent.important_loads(true);
    let document = browser.agent.document(page());
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    document.visibility_change(VisibilityState::Hidden);
    document.visibility_change(VisibilityState::Visible);
    browser.events.wait_for(1).await;
}

#[tokio::test]
async fn an_abort_and_cleared_site_data_end_what_is_under_way() {
    let browser = Browser::with(|builder| builder.network(Arc::new(NeverAnswers)));
    let [aborted, cleared, other] = ["http://a.test/", "http://b.test/", "http://b.test:81/"]
        .map(|url| browser.agent.document(Client::new(Url::parse(url).unwrap(), 1)));
    for document in [&aborted, &cleared, &other] {
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    }
    aborted.fetch_group().abort();
    assert_eq!(aborted.send_beacon("/b", None), Ok(false));
    browser.agent.clear_site_data(&cleared.client().origin);
    let outcomes = browser.events.wait_for(2).await;
    let failed = |reason: AbandonReason| Outcome::Failed(NetworkError::Abandoned(reason));
    assert_eq!(outcomes[0].1, failed(AbandonReason::Aborted));
    assert_eq!(outcomes[1].1, failed(AbandonReason::SiteDataCleared));
    assert_eq!(cleared.fetch_group().inflight(), Inflight::default());
    assert_eq!(other.fetch_group().inflight().requests, 1);
    assert_eq!(cleared.send_beacon("/b", None), Ok(true), "the document lives");
}

struct NeverAnswers;

impl Network for NeverAnswers {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn each_document_of_a_page_has_a_quota_of_its_own() {
    let (server, gate) = holding_server().await;
    let browser = Browser::new();
    let (parent, frame) = (browser.open(&server.url("/")), browser.open(&server.url("/frame")));
    let full = "x".repeat(65_536);
    let send = |document: &Document| document.send_beacon("/b", Some((&*full).into()));
    assert_eq!([send(&parent), send(&parent)], [Ok(true), Ok(false)]);
    assert_eq!([send(&frame), send(&frame)], [Ok(true), Ok(false)]);
    // The frame is removed; what it has sent goes on, and its quota was never the parent's.
    drop(frame);
    assert_eq!(send(&parent), Ok(false));
    server.wait_for(2).await;
    gate.notify_one();
    browser.events.wait_for(1).await;
    gate.notify_one();
    browser.events.wait_for(2).await;
    assert_eq!(send(&parent), Ok(true));
    gate.notify_one();
    browser.events.wait_for(3).await;
}
