//! Knows again what a memory has missed lately.

use std::hash::{Hash, Hasher};

// NB: this hash has no secret. Two values with one hash do no harm: something is remembered one time too early.
use rustc_hash::FxHasher;

/// The latest values that a memory has missed. A memory that remembers a value when it comes a second time costs little where
/// each value is new.
// NB: for the crate `sendbeacon-fetch` alone, besides this one. It may change in any release.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Missed {
    /// Hashes of the values.
    hashes: [u64; Self::KEPT],
    next: usize,
}

impl Missed {
    /// How many values are known again.
    pub const KEPT: usize = 32;

    /// Whether the value is among the latest that came. If it is not, it is from now on.
    pub fn came_before(&mut self, value: impl Hash) -> bool {
        let mut hasher = FxHasher::default();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        if self.hashes.contains(&hash) {
            return true;
        }
        self.hashes[self.next] = hash;
        self.next = (self.next + 1) % Self::KEPT;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_again_until_32_others_have_come() {
        let mut missed = Missed::default();
        assert!(!missed.came_before("x"));
        assert!(missed.came_before("x"));
        assert!((1..Missed::KEPT).all(|value| !missed.came_before(value)));
        assert!(missed.came_before("x"));
        assert!(!missed.came_before("y"));
        assert!(!missed.came_before("x"));
    }
}
