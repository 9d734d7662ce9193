//! The permission for a page to reach a local address.

use url::Url;

use super::answer::Answer;
use crate::{client::Client, policy::address_space::AddressSpace};

/// The permissions of [Local Network Access](https://wicg.github.io/local-network-access/), which a user or an
/// administrator grants.
///
/// The [`Network`](super::Network) asks for them, because it knows the addresses.
///
/// ```
/// use sendbeacon_fetch::{AddressSpace, Client, host::{Answer, LocalNetworkAccess}};
///
/// /// The administrator lets one site reach devices of the local network.
/// struct Managed;
///
/// impl LocalNetworkAccess for Managed {
///     fn permits(&self, client: &Client, _: &url::Url, target: AddressSpace) -> Answer<bool> {
///         let is_managed = client.origin.to_string() == "https://devices.example";
///         Answer::Ready(is_managed && target == AddressSpace::Local)
///     }
/// }
/// ```
pub trait LocalNetworkAccess: Send + Sync {
    /// Whether `client` may reach `url` at an address in the address space `target`, which is less public
    /// than the client's.
    ///
    /// The network asks only for a secure context with a document, whose permissions policy allows
    /// `local-network` or `loopback-network`. A request of any other client fails.
    ///
    /// The network asks for every request. An implementation that prompts a user stores the answer.
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool>;
}

/// Refuses every request to an address less public than its client's. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseAll;

impl LocalNetworkAccess for RefuseAll {
    fn permits(&self, _: &Client, _: &Url, _: AddressSpace) -> Answer<bool> {
        Answer::Ready(false)
    }
}
