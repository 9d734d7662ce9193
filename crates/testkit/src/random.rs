//! A source of random bytes with a known result.

use sendbeacon_fetch::host::Random;

/// Gives zeros only, so that the boundary of a form's body is always the same.
#[derive(Clone, Copy, Debug)]
pub struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
