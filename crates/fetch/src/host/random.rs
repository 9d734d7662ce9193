//! The source of randomness.

/// Random bytes that pages and servers cannot predict. Called on any thread.
///
/// ```
/// struct SystemRandom;
///
/// impl sendbeacon_fetch::host::Random for SystemRandom {
///     fn fill(&self, bytes: &mut [u8]) {
///         getrandom::fill(bytes).expect("the operating system has random bytes");
///     }
/// }
/// ```
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Gives zeros, so that a test knows the boundary of a form.
#[cfg(test)]
pub(crate) struct Zeros;

#[cfg(test)]
impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
