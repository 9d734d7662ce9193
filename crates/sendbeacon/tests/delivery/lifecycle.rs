//! A document's lifecycle, in any order.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sendbeacon::{
    AbandonReason, Client, DeferredFetch, DeferredRequestInit, Document, Inflight, NetworkError,
    Nonce, Outcome, Scheduling, VisibilityState,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};
use tokio::runtime::{Handle, Runtime};
use url::Url;

use crate::{
    browser::{Browser, wait_until},
    deferred::{after, request},
    holding_server,
};

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
    /// Whether with a time that does not come.
    Defer(bool),
    /// What was deferred last.
    AbortDeferred,
    AbortGroup,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Visibility(VisibilityState::Hidden)),
        3 => Just(Step::Visibility(VisibilityState::Visible)),
        8 => any::<bool>().prop_map(Step::Pagehide),
        8 => any::<bool>().prop_map(Step::Pageshow),
        3 => Just(Step::Freeze),
        3 => Just(Step::Resume),
        1 => Just(Step::Unload),
        1 => Just(Step::ProcessGone),
        8 => Just(Step::Send),
        10 => any::<bool>().prop_map(Step::Defer),
        3 => Just(Step::AbortDeferred),
        1 => Just(Step::AbortGroup),
    ]
}

/// What a document is, as far as `sendBeacon()` can tell.
#[derive(Default)]
struct Model {
    cached: bool,
    gone: bool,
}

impl Model {
    /// Takes a step, and says whether a call succeeds.
    fn take(&mut self, step: Step) -> Option<bool> {
        match step {
            Step::Pagehide(persisted) => self.cached |= persisted,
            Step::Pageshow(_) => self.cached = false,
            Step::Unload | Step::ProcessGone | Step::AbortGroup => self.gone = true,
            Step::Visibility(_) | Step::Freeze | Step::Resume | Step::AbortDeferred => {}
            Step::Send | Step::Defer(_) => return Some(!self.cached && !self.gone),
        }
        None
    }
}

/// What was deferred and has not been aborted in time.
type Kept = Vec<DeferredFetch>;

fn take(document: &Document, step: Step, kept: &mut Kept) -> Option<bool> {
    match step {
        Step::Visibility(visibility) => document.visibility_change(visibility),
        Step::Pagehide(persisted) => document.pagehide(persisted),
        Step::Pageshow(persisted) => document.pageshow(persisted),
        Step::Freeze => document.freeze(),
        Step::Resume => document.resume(),
        Step::Unload => document.unload(),
        Step::ProcessGone => document.process_gone(),
        Step::Send => return Some(document.send_beacon("/b", Some("x".into())).unwrap()),
        Step::Defer(is_timed) => {
            let init = if is_timed { after(600_000) } else { DeferredRequestInit::default() };
            let deferred = document.fetch_later(request(document, "/later", 0), init);
            let is_deferred = deferred.is_ok();
            kept.extend(deferred);
            return Some(is_deferred);
        }
        Step::AbortDeferred => {
            if let Some(deferred) = kept.pop() {
                deferred.abort();
                kept.extend(deferred.is_activated().then_some(deferred));
            }
        }
        Step::AbortGroup => {
            document.fetch_group().abort();
            kept.retain(DeferredFetch::is_activated);
        }
    }
    None
}

/// Takes the steps, and checks that what was activated is sent, that after a shutdown what was accepted
/// has one outcome each, and that nothing else has any. `hear` lets the network side hear of all before.
fn check(
    browser: &Browser,
    document: &Document,
    steps: impl IntoIterator<Item = Step>,
    loads_at: usize,
    runtime: &Runtime,
    hear: impl AsyncFnOnce(),
) -> Result<(), TestCaseError> {
    let (mut model, mut kept, mut beacons) = (Model::default(), Kept::new(), 0);
    for (at, step) in steps.into_iter().enumerate() {
        if at == loads_at {
            browser.agent.important_loads(true);
        }
        let answer = take(document, step, &mut kept);
        prop_assert_eq!(answer, model.take(step));
        beacons += usize::from(matches!((step, answer), (Step::Send, Some(true))));
        if model.cached || model.gone {
            prop_assert!(kept.iter().all(DeferredFetch::is_activated));
        }
    }
    let count = |path| browser.events.outcomes().iter().filter(|(other, _)| other == path).count();
    let activated = kept.iter().filter(|deferred| deferred.is_activated()).count();
    runtime.block_on(async {
        wait_until(|| count("/later") >= activated).await;
        hear().await;
        browser.agent.shutdown(LONG).await;
    });
    prop_assert_eq!((count("/b"), count("/later")), (beacons, kept.len()));
    Ok(())
}

fn browser() -> Browser {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    Browser::with(|builder| builder.network(network))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn page() -> Client {
    Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_call_answers_as_the_model_does_and_every_true_gets_its_outcome(
        steps in proptest::collection::vec(step(), 1..40),
        loads_at in 0usize..40,
        is_late: bool,
    ) {
        let runtime = runtime();
        let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
        // Of two network sides one looks at nothing before all has happened.
        let browser = Browser::with(|builder| match builder.network(network) {
            builder if is_late => builder.runtime(runtime.handle().clone()),
            builder => builder,
        });
        let document = browser.agent.document(page());
        check(&browser, &document, steps, loads_at, &runtime, async || ())?;
        prop_assert_eq!(document.fetch_group().inflight(), Inflight::default());
    }

    #[cfg(all(unix, feature = "remote"))]
    #[test]
    fn a_content_process_answers_the_same_and_loses_as_little(
        steps in proptest::collection::vec(step(), 1..40),
        loads_at in 0usize..40,
    ) {
        let browser = browser();
        let content = crate::remote::Content::start(&browser, &page());
        let document = content.agent.document(page());
        // What a freeze activates there an abort cannot stop here.
        let steps = steps.into_iter().filter(|step| !matches!(step, Step::Freeze));
        check(&browser, &document, steps, loads_at, &runtime(), async || {
            // It crosses behind all else, and is not held back where its document goes.
            content.agent.document(page()).send_beacon("/last", None).unwrap();
            let is_heard = || browser.events.outcomes().iter().any(|(path, _)| path == "/last");
            wait_until(is_heard).await;
        })?;
    }
}

#[test]
fn events_of_several_threads_lose_nothing() {
    let browser = browser();
    let document = browser.agent.document(page());
    let accepted: usize = std::thread::scope(|scope| {
        let sender = || {
            let send = || take(&document, Step::Send, &mut Kept::new());
            (0..500).filter(|_| send() == Some(true)).count()
        };
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
    let scheduling = Scheduling::default().with_max_delay(Duration::MAX);
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
    let [aborted, cleared, other] =
        ["http://a.test/", "http://b.test/", "http://b.test:81/"].map(|url| {
            browser.agent.document(Client::new(Url::parse(url).unwrap(), Nonce::from_u128(1)))
        });
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
