//! [Local Network Access](https://wicg.github.io/local-network-access/): its check, and its part of Mixed Content.

use url::{Host, Url};

use super::{
    address_space::AddressSpace, permissions_policy::PolicyFeature,
    secure_contexts::is_potentially_trustworthy,
};
use crate::{client::Client, error::NetworkError, host::LocalNetworkAccess};

/// [Local Network Access check](https://wicg.github.io/local-network-access/#local-network-access-check)
/// for a request of `client` to `url` over a connection to an address in `target`.
///
/// A [`Network`](crate::host::Network) makes this check for every request and connection before it writes anything,
/// also when it reuses a connection that it opened for another client. It should make the check before it connects:
/// otherwise the time until the refusal tells a page whether the port is open. If the network does not know the address,
/// because a proxy chooses it, it makes the check for [`AddressSpace::Public`].
///
/// # Errors
/// [`NetworkError::LocalNetworkAccess`] if the client may not reach the address.
pub async fn local_network_access_check(
    client: &Client,
    url: &Url,
    target: AddressSpace,
    permission: &dyn LocalNetworkAccess,
) -> Result<(), NetworkError> {
    // Step 1. The network has determined the address space `target`.
    // Step 2. NB: the standard asks whether the origin is potentially trustworthy. The URL has this origin, so it gives
    // the same answer.
    if client.origin.is_same_origin_with_url(url) && is_potentially_trustworthy(url) {
        return Ok(());
    }
    // Step 3. NB: a client whose address space is unknown is treated like one without a policy container.
    let Some(space) = client.address_space else { return Ok(()) };
    let refusal = Err(NetworkError::LocalNetworkAccess { client: space, target });
    // Step 4. NB: by step 4.3 the address would then need no permission. It does here.
    if target_ip_address_space(client, url).is_some_and(|expected| expected != target) {
        // Step 4.2.
        return refusal;
    }
    // Step 5.
    if target < space {
        // Step 5.4.
        let feature = match target {
            AddressSpace::Loopback => PolicyFeature::LoopbackNetwork,
            _ => PolicyFeature::LocalNetwork,
        };
        // Steps 5.2, 5.8 and 5.9.
        let is_allowed = client.is_secure_context
            && client.has_document
            && client.permissions_policy.get_feature_value_for_origin(feature, &client.origin);
        // Steps 5.10 to 5.13.
        if !is_allowed || !permission.permits(client, url, target).get().await {
            return refusal;
        }
    }
    // Step 6.
    Ok(())
}

/// The [target IP address space](https://wicg.github.io/local-network-access/#request-target-ip-address-space) of a
/// request of `client` whose current URL is `url`. It counts only for a URL that would be blocked as mixed content
/// without it. So it is `None` for every other URL.
///
/// NB: the standard sets it once, for the request's first URL, and whether or not the URL is mixed content. By the letter,
/// a document from the local network could then follow no redirect to a public server.
pub(super) fn target_ip_address_space(client: &Client, url: &Url) -> Option<AddressSpace> {
    let is_mixed = client.prohibits_mixed_security_contexts && !is_potentially_trustworthy(url);
    let is_local = is_mixed
        && client.address_space.is_some()
        && match url.host() {
            Some(Host::Ipv4(ip)) => AddressSpace::of(ip.into()) == AddressSpace::Local,
            Some(Host::Ipv6(ip)) => AddressSpace::of(ip.into()) == AddressSpace::Local,
            Some(Host::Domain(name)) => name.rsplit('.').next() == Some("local"),
            None => false,
        };
    is_local.then_some(AddressSpace::Local)
}
