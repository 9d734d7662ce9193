//! The [Local Network Access](https://wicg.github.io/local-network-access/) check.

use url::Url;

use super::{address_space::AddressSpace, secure_contexts::is_potentially_trustworthy};
use crate::{client::Client, error::NetworkError, host::LocalNetworkAccess};

/// [Local Network Access check](https://wicg.github.io/local-network-access/#local-network-access-check)
/// for a request of `client` to `url` over a connection to an address in `target`.
///
/// A [`Network`](crate::host::Network) makes this check for every request and connection before it writes anything,
/// also when it reuses a connection that it opened for another client. It should make the check before it connects:
/// otherwise the time until the refusal tells a page whether the port is open.
///
/// # Errors
/// [`NetworkError::LocalNetworkAccess`] if the client may not reach the address.
pub async fn local_network_access_check(
    client: &Client,
    url: &Url,
    target: AddressSpace,
    permission: &dyn LocalNetworkAccess,
) -> Result<(), NetworkError> {
    // Step 1. NB: the standard asks whether the origin is potentially trustworthy. The URL has this origin, so it gives
    // the same answer.
    if client.origin.is_same_origin_with_url(url) && is_potentially_trustworthy(url) {
        return Ok(());
    }
    // Step 2. NB: a client whose address space is unknown is treated like one without a policy container.
    // Step 3 is not done: script cannot name a target address space here.
    let Some(space) = client.address_space else { return Ok(()) };
    // Step 4.
    let is_less_public = target < space;
    // Step 4.2, and Step 4.4 if the client is a secure context.
    let is_permitted = !is_less_public
        || (client.is_secure_context && permission.permits(client, url, target).get().await);
    if !is_permitted {
        // Steps 4.1 and 4.3.
        return Err(NetworkError::LocalNetworkAccess { client: space, target });
    }
    // Step 5.
    Ok(())
}
