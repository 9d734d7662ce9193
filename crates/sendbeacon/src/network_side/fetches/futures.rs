//! The futures of the running fetches.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{future::BoxFuture, task::AtomicWaker};

/// Futures that are polled together. Each can be removed on its own, and its drop may panic without harm to the others.
///
/// NB: `FuturesUnordered` allocates for each future, and so does the handle that aborts one. Here a future gets the place of
/// an earlier one.
pub(super) struct Futures<T> {
    places: Vec<Place<T>>,
    /// The places without a future.
    free: Vec<usize>,
    woken: Arc<Woken>,
}

struct Place<T> {
    future: Option<BoxFuture<'static, T>>,
    wake: Arc<WakePlace>,
    /// Made of `wake`. An earlier future of the place may still have a clone: then the present one is polled in vain.
    waker: Waker,
}

/// Where a future is until it has ended or is removed.
pub(super) struct FuturePlace(usize);

/// The places whose futures are to be polled.
#[derive(Default)]
struct Woken {
    places: Mutex<VecDeque<usize>>,
    /// Wakes the task that polls the futures.
    task: AtomicWaker,
}

/// Wakes the future of a place.
struct WakePlace {
    place: usize,
    /// Whether the place is among those to be polled.
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl<T> Futures<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Adds a future, which is then polled.
    pub(super) fn push(&mut self, future: BoxFuture<'static, T>) -> FuturePlace {
        let at = self.free.pop().unwrap_or_else(|| {
            let (place, woken) = (self.places.len(), Arc::clone(&self.woken));
            let wake = Arc::new(WakePlace { place, is_woken: AtomicBool::new(false), woken });
            let waker = Arc::clone(&wake).into();
            self.places.push(Place { future: None, wake, waker });
            place
        });
        let place = &mut self.places[at];
        place.future = Some(future);
        place.waker.wake_by_ref();
        FuturePlace(at)
    }

    /// Drops a future that has not ended.
    pub(super) fn remove(&mut self, FuturePlace(at): FuturePlace) {
        self.free.push(at);
        drop_contained(self.places[at].future.take());
    }

    /// Polls those that were woken until one has ended, and returns its output.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.woken.task.register(cx.waker());
        let woken = self.woken.places().len();
        for _ in 0..woken {
            let Some(at) = self.woken.places().pop_front() else { break };
            let Place { future, wake, waker } = &mut self.places[at];
            wake.is_woken.store(false, SeqCst);
            let Some(polled) = future else { continue };
            if let Poll::Ready(output) = polled.as_mut().poll(&mut Context::from_waker(waker)) {
                self.free.push(at);
                drop_contained(future.take());
                return Poll::Ready(output);
            }
        }
        // Those that have woken themselves are polled again after the task has yielded.
        if !self.woken.places().is_empty() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T> Default for Futures<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), woken: Arc::default() }
    }
}

impl<T> Drop for Futures<T> {
    fn drop(&mut self) {
        self.places.drain(..).for_each(|place| drop_contained(place.future));
    }
}

impl Woken {
    fn places(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for WakePlace {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, SeqCst) {
            self.woken.places().push_back(self.place);
            self.woken.task.wake();
        }
    }
}

fn drop_contained<T>(future: Option<BoxFuture<'static, T>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::Weak,
        thread,
    };

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    fn next(futures: &mut Futures<u8>) -> Option<u8> {
        poll_fn(|cx| futures.poll_next(cx)).now_or_never()
    }

    #[test]
    fn a_removed_future_is_dropped_at_once_and_its_place_is_used_again() {
        let mut futures = Futures::default();
        let held = Arc::new(());
        let (is_there, held): (Weak<()>, _) = (Arc::downgrade(&held), Some(held));
        let place = futures.push(Box::pin(async move {
            pending::<()>().await;
            drop(held);
            1
        }));
        assert_eq!(next(&mut futures), None);
        let early_waker = futures.places[0].waker.clone();
        futures.remove(place);
        assert!(is_there.upgrade().is_none() && futures.is_empty());
        let (sender, receiver) = oneshot::channel();
        let _place = futures.push(Box::pin(async { receiver.await.unwrap() }));
        early_waker.wake();
        assert_eq!((next(&mut futures), futures.places.len()), (None, 1));
        sender.send(2).unwrap();
        assert_eq!(next(&mut futures), Some(2));
        assert!(futures.is_empty());
    }

    #[test]
    fn a_drop_that_panics_does_not_reach_the_others() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let mut futures = Futures::default();
        let panics = || {
            let panics = Panics;
            async move { pending::<Panics>().map(|_| drop(panics)).map(|()| 1).await }.boxed()
        };
        let (place, _other) = (futures.push(panics()), futures.push(panics()));
        futures.remove(place);
        let _places = [2, 3].map(|output| futures.push(Box::pin(async move { output })));
        assert_eq!([(); 3].map(|()| next(&mut futures)), [Some(2), Some(3), None]);
    }

    #[test]
    fn a_future_that_wakes_itself_lets_the_task_yield() {
        let mut futures = Futures::<u8>::default();
        let mut polls = 0;
        let _place = futures.push(Box::pin(poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(3) }
        })));
        assert_eq!([(); 3].map(|()| next(&mut futures)), [None, None, Some(3)]);
    }

    #[tokio::test]
    async fn another_thread_wakes_a_future() {
        let mut futures = Futures::default();
        let (sender, receiver) = oneshot::channel();
        let _place = futures.push(Box::pin(async { receiver.await.unwrap() }));
        assert_eq!(next(&mut futures), None);
        let thread = thread::spawn(move || sender.send(4));
        assert_eq!(poll_fn(|cx| futures.poll_next(cx)).await, 4);
        thread.join().unwrap().unwrap();
    }
}
