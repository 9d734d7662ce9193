//! The decision when to remove the dead entries of a list.

/// Decides when to remove the dead entries of a list or a map: when its length has doubled since the last time.
/// So the cost is constant for each entry that is added.
#[derive(Debug, Default)]
pub struct Pruning {
    /// The length at which to prune the list next.
    at: usize,
}

impl Pruning {
    /// Whether to prune a list of this length now.
    #[must_use]
    pub fn is_due(&self, length: usize) -> bool {
        length >= self.at
    }

    /// Tells that the list was pruned and now has this length.
    pub fn done(&mut self, length: usize) {
        self.at = 2 * length + 16;
    }
}
