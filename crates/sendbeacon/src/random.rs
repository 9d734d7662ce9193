use sendbeacon_fetch::host::Random;

/// The operating system's randomness.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // The systems that can fail here do so before their first program runs.
        getrandom::fill(bytes).expect("the operating system has random bytes");
    }
}
