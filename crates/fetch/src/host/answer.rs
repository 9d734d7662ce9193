//! The answer of a service, now or later.

use std::{fmt, pin::Pin};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer of a service. Some engines know it at once; others ask another thread or process for it.
///
/// ```
/// use sendbeacon_fetch::host::Answer;
///
/// let known: Answer<bool> = Answer::Ready(true);
/// let asked_for: Answer<bool> = Answer::Later(Box::pin(async { true }));
/// ```
pub enum Answer<T> {
    /// The answer is known now.
    Ready(T),
    /// The future completes with the answer. The library drops it to withdraw the question.
    Later(BoxFuture<'static, T>),
}

impl<T> Answer<T> {
    /// Waits for the answer, if it is not known yet.
    pub async fn get(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
