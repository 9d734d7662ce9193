//! How a fetch sends a request again that did not reach its server.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use futures_util::future::BoxFuture;
use sendbeacon_fetch::{AbandonReason, NetworkError, TimeoutKind};
use tokio::sync::oneshot;
use url::Url;

use super::{
    dispatcher::CONNECT_TIMEOUT,
    mailbox::{Hop, HopNews, Message, Turn},
    teller::Teller,
};
use crate::{background_send::BackgroundAttempt, clock, event::EventKind, message::Flag};

impl Teller {
    /// Whether a request of the fetch may be sent again: the embedder has not turned this off, and nobody waits for the
    /// response.
    fn may_try_again(&self) -> bool {
        self.retries().is_on && self.outlives_its_reader()
    }

    /// Whether the fetch is keepalive, and script does not wait for its response or its document has gone.
    pub(super) fn outlives_its_reader(&self) -> bool {
        self.info.keepalive && (!self.is_awaited || self.group.is(Flag::Terminated))
    }

    pub(super) fn limit_of_connecting(&self) -> Option<Duration> {
        self.may_try_again().then_some(CONNECT_TIMEOUT)
    }

    /// If any destination is away, returns a future that ends when a request to `url` has its turn. The dispatcher
    /// gives the turn at once if the destination of `url` is not away.
    pub(super) fn turn_at(&self, url: &Url) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        let is_any_away = self.retries().is_any_away();
        (is_any_away && self.may_try_again()).then(|| self.wait(url, HopNews::Held))
    }

    /// The turn of the next attempt after a request to `url` has failed, if there is one.
    pub(super) fn turn_after(
        &self,
        url: &Url,
        error: &NetworkError,
    ) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        if has_reached(error) {
            self.tell_reached(url);
        }
        if !error.is_unreached() || !self.may_try_again() {
            return None;
        }
        let attempt = self.unreached_attempts.fetch_add(1, Relaxed) + 1;
        self.tell_at(clock::now(), || {
            let (url, error) = (url.clone(), error.clone());
            EventKind::Unreached { url, error, attempt }
        });
        Some(self.wait(url, |turn| HopNews::Unreached(error.clone(), turn)))
    }

    /// Tells the dispatcher that a request has reached the server of `url`.
    pub(super) fn tell_reached(&self, url: &Url) {
        if self.retries().is_any_away() {
            self.tell_hop(url, HopNews::Reached);
        }
    }

    fn wait(
        &self,
        url: &Url,
        news: impl FnOnce(Turn) -> HopNews,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        let (turn, its_turn) = oneshot::channel();
        self.tell_hop(url, news(turn));
        let url = url.clone();
        Box::pin(async move {
            its_turn.await.map_err(|_| AbandonReason::Dropped)?;
            self.permitted_on_this_network(&url).await
        })
    }

    fn tell_hop(&self, url: &Url, news: HopNews) {
        let hop = Hop { id: self.info.id, url: url.clone(), news };
        self.mailbox().put(Message::Hop(Box::new(hop)));
    }

    /// Returns an error if the network has changed since the fetch was first tried, no document of its partition is
    /// fully active, and the embedder does not permit the attempt.
    pub(super) async fn permitted_on_this_network(&self, url: &Url) -> Result<(), NetworkError> {
        let retries = self.retries();
        let network_changes = self.network_changes();
        let partition = &self.info.client.network_partition_key;
        if network_changes == 0 || retries.documents.is_any_fully_active(partition) {
            return Ok(());
        }
        let age = clock::now().saturating_duration_since(self.account().timing.start);
        let (site, destination) = (&partition.top_level_site, url);
        let attempt = BackgroundAttempt { site, destination, age, network_changes };
        let is_permitted = retries.background_send.permits(attempt).get().await;
        if is_permitted { Ok(()) } else { Err(AbandonReason::NetworkChanged.into()) }
    }
}

/// Whether the error is one of a connection that was made. Others, such as that of a policy, say nothing about the
/// server.
fn has_reached(error: &NetworkError) -> bool {
    let is_made = matches!(
        error,
        NetworkError::Tls(_)
            | NetworkError::Protocol(_)
            | NetworkError::Timeout { kind: TimeoutKind::ResponseHead, .. }
    );
    is_made && !error.is_unreached()
}
