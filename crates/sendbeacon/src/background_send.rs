//! The permission to try a request again on another network, when its site is no longer open.

use std::time::Duration;

use sendbeacon_fetch::{Site, host::Answer};
use url::Url;

/// Decides about requests whose site is no longer open: those that did not reach their server before the network changed,
/// and those of an outbox.
///
/// The library tries a request again that did not reach its server. If the device has joined another network
/// meanwhile ([`UserAgent::network_changed`](crate::UserAgent::network_changed)), the operator of that network
/// would learn which site the user has closed. So the library asks this service before each attempt, on the network
/// side, unless a document of the request's network partition is fully active. If the answer is no, the fetch ends
/// with [`AbandonReason::NetworkChanged`](crate::AbandonReason::NetworkChanged).
///
/// The library also asks before it sends a request that comes from an [`Outbox`](crate::host::Outbox), unless a document
/// of its network partition is fully active. If the answer is no, the record waits.
///
/// ```
/// use std::sync::Arc;
///
/// use sendbeacon::{UserAgentBuilder, host::{Answer, BackgroundAttempt, BackgroundSend}};
///
/// /// A kiosk, whose own pages report to one collector on whatever network there is.
/// struct Kiosk;
///
/// impl BackgroundSend for Kiosk {
///     fn permits(&self, attempt: BackgroundAttempt<'_>) -> Answer<bool> {
///         Answer::Ready(attempt.destination.host_str() == Some("collector.kiosk.example"))
///     }
/// }
///
/// # let network = Arc::new(sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!()));
/// let agent = UserAgentBuilder::new(network).background_send(Arc::new(Kiosk)).build()?;
/// # Ok::<(), sendbeacon::BuildError>(())
/// ```
pub trait BackgroundSend: Send + Sync {
    /// Whether the library may make the attempt on the current network.
    fn permits(&self, attempt: BackgroundAttempt<'_>) -> Answer<bool>;
}

/// Permits nothing. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackgroundSend;

impl BackgroundSend for NoBackgroundSend {
    fn permits(&self, _: BackgroundAttempt<'_>) -> Answer<bool> {
        Answer::Ready(false)
    }
}

/// An attempt for which a [`BackgroundSend`] is asked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BackgroundAttempt<'a> {
    /// The top-level site of the request's network partition.
    pub site: &'a Site,
    /// The URL to which the request would go.
    pub destination: &'a Url,
    /// How long ago the fetch was queued.
    pub age: Duration,
    /// How often the network has changed since the fetch was first tried, or, if it has waited for its server before
    /// that, since it was queued. At least 1, except for a request that comes from an
    /// [`Outbox`](crate::host::Outbox): 0.
    pub network_changes: u64,
}
