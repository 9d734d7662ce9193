//! The future of a fetch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;

/// A future whose drop may panic without harm to the other futures.
pub(super) struct Contained<T>(Option<BoxFuture<'static, T>>);

impl<T> Contained<T> {
    pub(super) fn new(future: BoxFuture<'static, T>) -> Self {
        Self(Some(future))
    }
}

impl<T> Future for Contained<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    }
}
