//! The future of a fetch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;

use super::Completed;

/// A future whose drop may panic without harm to the other futures.
pub(super) struct Contained(Option<BoxFuture<'static, Completed>>);

impl Contained {
    pub(super) fn new(future: BoxFuture<'static, Completed>) -> Self {
        Self(Some(future))
    }
}

impl Future for Contained {
    type Output = Completed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completed> {
        match &mut self.0 {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    }
}
