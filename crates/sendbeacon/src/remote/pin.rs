//! What a content process may say of its documents.

use std::ops::RangeInclusive;

use sendbeacon_fetch::{AddressSpace, Client, Origin, PartitionKey, Site};

use super::{error::ChannelError, limits::MAX_POLICIES};

/// What a content process may say of itself: what it runs documents for, which the engine knows
/// better than the process does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pin {
    /// The site of its documents' origins. An opaque origin, which is of no site, may do less and is
    /// let through.
    pub site: Site,
    /// The site of its documents' URLs, which a sandbox leaves as they are when it makes an origin opaque.
    pub url_site: Site,
    /// If given, the only origin, and that of the referrer.
    pub origin: Option<Origin>,
    /// The network partition key of its documents.
    pub network_partition_key: PartitionKey,
    /// The address space that its documents came from; `None` if that is not known.
    pub address_space: Option<AddressSpace>,
    /// The embedder's identifier of the webview it belongs to, whatever its clients say.
    pub webview_id: u64,
    /// The embedder's identifiers of its documents: an embedder that passes events on by them sets
    /// this. Default: any.
    pub document_ids: RangeInclusive<u64>,
}

impl Pin {
    /// The pin for a process that may run documents like `client`'s: of its site, in its partition
    /// and its webview.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        let site = Site::of(&client.origin);
        let url_site = match &client.origin {
            Origin::Tuple { .. } => site.clone(),
            Origin::Opaque(nonce) => Site::of(&Origin::of(&client.creation_url, *nonce)),
        };
        Self {
            site,
            url_site,
            origin: None,
            network_partition_key: client.network_partition_key.clone(),
            address_space: client.address_space,
            webview_id: client.webview_id,
            document_ids: 0..=u64::MAX,
        }
    }

    /// Checks a received client against the pin, and overwrites what the process does not decide.
    pub(super) fn hold(&self, mut client: Client) -> Result<Client, ChannelError> {
        if client.network_partition_key != self.network_partition_key {
            return Err(ChannelError::Pin("network partition key"));
        }
        let is_pinned = match (&self.origin, &client.origin) {
            (Some(origin), of_client) => origin == of_client,
            (None, Origin::Opaque(_)) => true,
            (None, origin @ Origin::Tuple { .. }) => Site::of(origin) == self.site,
        };
        if !is_pinned {
            return Err(ChannelError::Pin("origin"));
        }
        // It is the source of `Referer` and `Ping-From`, and what a report says its document is.
        let url = &client.creation_url;
        let is_own = match &self.origin {
            Some(origin @ Origin::Tuple { .. }) => origin.is_same_origin_with_url(url),
            Some(Origin::Opaque(_)) | None => self.url_site.is_of_url(url),
        };
        if url.has_host() && !is_own {
            return Err(ChannelError::Pin("creation URL"));
        }
        if !self.document_ids.contains(&client.document_id) {
            return Err(ChannelError::Pin("document identifier"));
        }
        if client.csp_list.serialized_length() > MAX_POLICIES {
            return Err(ChannelError::Quota);
        }
        client.has_cross_site_ancestor |= self.site != self.network_partition_key.top_level_site;
        client.address_space = self.address_space;
        client.webview_id = self.webview_id;
        Ok(client)
    }
}
