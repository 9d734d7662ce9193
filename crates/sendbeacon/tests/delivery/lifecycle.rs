//! Tests of a document's lifecycle: its calls and its changes of state, in any order.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sendbeacon::{
    AbandonReason, DeferredFetch, DeferredRequestInit, Document, DocumentLifecycle, Inflight,
    MemoryLimits, NetworkError, Scheduling, VisibilityState,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use tokio::runtime::{Handle, Runtime};

use crate::{
    browser::{Browser, LONG, failure, scripted_network, wait_until},
    deferred::{activate_after, request_with_body},
    server_that_waits,
};

/// The page of the tests.
const PAGE: &str = "https://a.test/";

/// A call on a document, or a change of its state.
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
    /// Defers a fetch. If true, with an `activateAfter` that is not reached.
    Defer(bool),
    /// Aborts the fetch that was deferred last.
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

/// The state of a document, as far as `sendBeacon()` depends on it.
#[derive(Default)]
struct Model {
    cached: bool,
    gone: bool,
}

impl Model {
    /// Takes a step. Returns whether the call succeeds, if the step is a call.
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

/// The deferred fetches that no abort has stopped.
type Kept = Vec<DeferredFetch>;

/// Takes a step on a document. Returns whether the call succeeds, if the step is a call.
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
            let init =
                if is_timed { activate_after(600_000) } else { DeferredRequestInit::default() };
            let deferred = document.fetch_later(request_with_body(document, "/later", 0), init);
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

/// Takes the steps and compares each answer with the model.
///
/// Then checks that each activated fetch is sent, and that after a shutdown each accepted call has one outcome
/// and no other call has an outcome. `deliver_messages` waits, before the shutdown, until the network side has
/// every message of the document.
fn check(
    browser: &Browser,
    document: &Document,
    steps: impl IntoIterator<Item = Step>,
    loads_at: usize,
    runtime: &Runtime,
    deliver_messages: impl AsyncFnOnce(),
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
        deliver_messages().await;
        browser.agent.shutdown(LONG).await;
    });
    prop_assert_eq!((count("/b"), count("/later")), (beacons, kept.len()));
    Ok(())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn calls_answer_as_the_model_does_and_each_true_gets_one_outcome(
        steps in proptest::collection::vec(step(), 1..40),
        loads_at in 0usize..40,
        is_late: bool,
    ) {
        let runtime = runtime();
        // On the runtime of the test the network side gets its first message after the last step.
        let browser = Browser::with(|builder| match builder.network(scripted_network()) {
            builder if is_late => builder.runtime(runtime.handle().clone()),
            builder => builder,
        });
        let document = browser.open(PAGE);
        check(&browser, &document, steps, loads_at, &runtime, async || ())?;
        prop_assert_eq!(document.fetch_group().inflight(), Inflight::default());
    }

    #[cfg(all(unix, feature = "remote"))]
    #[test]
    fn calls_in_a_content_process_answer_as_the_model_does(
        steps in proptest::collection::vec(step(), 1..40),
        loads_at in 0usize..40,
    ) {
        let browser = Browser::scripted();
        let page = crate::browser::client(PAGE);
        let content = crate::remote::start_content_process(&browser, &page);
        let document = content.document(page.clone());
        // A freeze activates fetches in the network process. The content process hears of that later, so an
        // abort may seem to have stopped such a fetch.
        let steps = steps.into_iter().filter(|step| !matches!(step, Step::Freeze));
        check(&browser, &document, steps, loads_at, &runtime(), async || {
            // This beacon crosses the channel last. It is not held back, because its document goes.
            content.document(page).send_beacon("/last", None).unwrap();
            let is_done = || browser.events.outcomes().iter().any(|(path, _)| path == "/last");
            wait_until(is_done).await;
        })?;
    }
}

#[test]
fn lifecycle_calls_on_several_threads_lose_no_beacon() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
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
fn beacons_of_ten_thousand_dropped_documents_get_their_outcomes() {
    let memory = MemoryLimits::default().with_user_agent(1 << 30).with_partition(1 << 30);
    let browser =
        Browser::with(|builder| builder.network(scripted_network()).memory_limits(memory));
    let documents: Vec<_> = (0..10_000).map(|_| browser.open(PAGE)).collect();
    for document in &documents {
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    }
    drop(documents);
    browser.agent.shutdown_blocking(LONG);
    assert_eq!(browser.events.outcomes().len(), 10_000);
}

#[tokio::test]
async fn important_loads_hold_beacons_back_until_the_document_is_hidden() {
    let browser = Browser::scripted();
    browser.agent.important_loads(true);
    let [hidden, other] = [(); 2].map(|()| browser.open(PAGE));
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
async fn hiding_a_document_for_a_moment_releases_its_beacons() {
    let scheduling = Scheduling::default().with_max_delay(Duration::MAX);
    let browser = Browser::with(|builder| {
        builder.network(scripted_network()).scheduling(scheduling).runtime(Handle::current())
    });
    browser.agent.important_loads(true);
    let document = browser.open(PAGE);
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    document.visibility_change(VisibilityState::Hidden);
    document.visibility_change(VisibilityState::Visible);
    browser.events.wait_for(1).await;
}

#[tokio::test]
async fn a_document_behaves_behind_its_trait_as_by_its_own_methods() {
    let scheduling = Scheduling::default().with_max_delay(Duration::MAX);
    let browser =
        Browser::with(|builder| builder.network(scripted_network()).scheduling(scheduling));
    browser.agent.important_loads(true);
    let document = browser.open(PAGE);
    let send = || document.send_beacon("/b", None).unwrap();
    let lifecycle: &dyn DocumentLifecycle = &document;
    assert!(send());
    lifecycle.visibility_change(VisibilityState::Hidden);
    // The beacon is not held back any longer.
    browser.events.wait_for(1).await;
    let later = request_with_body(&document, "/later", 0);
    let deferred = document.fetch_later(later, activate_after(600_000)).unwrap();
    lifecycle.freeze();
    wait_until(|| deferred.is_activated()).await;
    lifecycle.resume();
    assert!(send());
    lifecycle.pagehide(false);
    assert!(send());
    lifecycle.pagehide(true);
    assert!(!send());
    lifecycle.pageshow(true);
    assert!(send());
    lifecycle.unload();
    assert!(!send());
    let gone = browser.open(PAGE);
    (&gone as &dyn DocumentLifecycle).process_gone();
    assert_eq!(gone.send_beacon("/b", None), Ok(false));
    browser.agent.shutdown(LONG).await;
    assert_eq!(browser.events.outcomes().len(), 5);
}

#[tokio::test]
async fn an_abort_and_clear_site_data_end_unfinished_beacons() {
    let browser = Browser::with(|builder| builder.network(Arc::new(NeverAnswers)));
    let [aborted, cleared, other] =
        ["http://a.test/", "http://b.test/", "http://b.test:81/"].map(|url| browser.open(url));
    for document in [&aborted, &cleared, &other] {
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    }
    aborted.fetch_group().abort();
    assert_eq!(aborted.send_beacon("/b", None), Ok(false));
    drop(browser.agent.clear_site_data(&cleared.client().origin));
    let outcomes = browser.events.wait_for(2).await;
    assert_eq!(failure(&outcomes[0].1), AbandonReason::Aborted.into());
    assert_eq!(failure(&outcomes[1].1), AbandonReason::SiteDataCleared.into());
    assert_eq!(cleared.fetch_group().inflight(), Inflight::default());
    assert_eq!(other.fetch_group().inflight().requests, 1);
    assert_eq!(cleared.send_beacon("/b", None), Ok(true), "the document can send again");
}

/// A network that never answers.
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
async fn a_frame_has_a_quota_of_its_own() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let (parent, frame) = (browser.open(&server.url("/")), browser.open(&server.url("/frame")));
    let full = "x".repeat(65_536);
    let send = |document: &Document| document.send_beacon("/b", Some((&*full).into()));
    assert_eq!([send(&parent), send(&parent)], [Ok(true), Ok(false)]);
    assert_eq!([send(&frame), send(&frame)], [Ok(true), Ok(false)]);
    // The page removes the frame. Its beacon goes on, and the parent gets no quota from it.
    drop(frame);
    assert_eq!(send(&parent), Ok(false));
    server.wait_for(2).await;
    answer.notify_one();
    browser.events.wait_for(1).await;
    answer.notify_one();
    browser.events.wait_for(2).await;
    assert_eq!(send(&parent), Ok(true));
    answer.notify_one();
    browser.events.wait_for(3).await;
}
