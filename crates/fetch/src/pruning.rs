//! When a list that forgets dead entries is to be pruned.

/// Says when to prune a list or a map of entries that may be dead: when it has doubled since the last time, so
/// that pruning costs a constant for each entry that is added.
#[derive(Debug, Default)]
pub struct Pruning {
    /// The length at which the list is pruned next.
    at: usize,
}

impl Pruning {
    /// Whether a list of this length is to be pruned now.
    #[must_use]
    pub fn is_due(&self, length: usize) -> bool {
        length >= self.at
    }

    /// Tells that the list was pruned, to this length.
    pub fn done(&mut self, length: usize) {
        self.at = 2 * length + 16;
    }
}
