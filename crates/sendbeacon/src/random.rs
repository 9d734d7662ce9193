//! Body extraction with the operating system's random numbers.

use std::time::Duration;

use sendbeacon_fetch::{BodyInit, Extracted, TypeError, host::Random};

/// [Extracts a body with type](https://fetch.spec.whatwg.org/#concept-bodyinit-extract) for a
/// [`Request`](crate::Request).
///
/// This function finds the body's length and type. [`Extracted::into_body`] then copies the bytes.
///
/// ```
/// let extracted = sendbeacon::extract("hello".into())?;
/// assert_eq!(extracted.length, 5);
/// assert_eq!(extracted.content_type.as_ref().unwrap(), "text/plain;charset=UTF-8");
/// let body = extracted.into_body();
/// # Ok::<(), sendbeacon::TypeError>(())
/// ```
///
/// # Errors
/// [`TypeError::StreamBody`], if the object is a `ReadableStream`.
pub fn extract(object: BodyInit<'_>) -> Result<Extracted<'_>, TypeError> {
    sendbeacon_fetch::extract(object, &SystemRandom)
}

/// A duration between zero and `longest`, each as likely as any other.
pub(crate) fn up_to(longest: Duration) -> Duration {
    let mut bytes = [0; 4];
    SystemRandom.fill(&mut bytes);
    longest.mul_f64(f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

/// The operating system's random number generator.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // A system that has no random bytes lacks them early during its start, before any browser runs.
        getrandom::fill(bytes).expect("the operating system has random bytes");
    }
}
