use sendbeacon_fetch::{BodyInit, Extracted, TypeError, host::Random};

/// [Extracts a body with type](https://fetch.spec.whatwg.org/#concept-bodyinit-extract) for a
/// [`Request`](crate::Request), in two halves: this one finds its length and type,
/// [`Extracted::into_body`] copies the bytes.
///
/// # Errors
/// [`TypeError::StreamBody`] for a `ReadableStream`.
pub fn extract(object: BodyInit<'_>) -> Result<Extracted<'_>, TypeError> {
    sendbeacon_fetch::extract(object, &SystemRandom)
}

/// The operating system's randomness.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // The systems that can fail here do so before their first program runs.
        getrandom::fill(bytes).expect("the operating system has random bytes");
    }
}
