//! Randomness that is none.

use sendbeacon_fetch::host::Random;

/// Nothing but zeros, so that a form's boundary is always the same.
#[derive(Clone, Copy, Debug)]
pub struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
