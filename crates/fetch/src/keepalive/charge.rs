//! What one request counts in the memory shares of its client.

use std::sync::Arc;

use crate::client::Client;

/// The bytes that one request, and its client, count in the memory shares. Dropping it gives them back.
///
/// `Charge::default()` counts nothing.
#[derive(Debug, Default)]
pub(super) struct Charge(Option<(Arc<Client>, u64)>);

impl Charge {
    /// Counts `bytes` for a request of `client`. `None` if there is no room. For a client that counts nowhere this
    /// counts nothing.
    #[inline]
    pub(super) fn take(client: &Arc<Client>, bytes: u64) -> Option<Self> {
        let Some(counted) = client.account.counted() else { return Some(Self::default()) };
        counted.take(bytes).then(|| Self(Some((Arc::clone(client), bytes))))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some((client, bytes)) = &self.0
            && let Some(counted) = client.account.counted()
        {
            counted.give_back(*bytes);
        }
    }
}
