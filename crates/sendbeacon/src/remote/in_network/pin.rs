//! The facts about the documents of a content process that the process itself does not decide.

use std::ops::RangeInclusive;

use sendbeacon_fetch::{AddressSpace, Client, Origin, PartitionKey, Site};

use crate::remote::{error::ChannelError, limits::MAX_POLICIES};

/// The facts about a content process that the engine knows. The network process refuses a document that contradicts
/// them. So a process that an attacker has taken over may lie about its documents, but not about these facts.
///
/// ```
/// use sendbeacon::{Client, Nonce, remote::Pin};
///
/// let client = Client::new("https://a.test/".parse()?, Nonce::random());
/// let mut pin = Pin::of(&client);
/// // This process runs one document, and not every document of its site.
/// pin.origin = Some(client.origin);
/// pin.document_ids = 42..=42;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pin {
    /// The site of the documents' origins. A document with an opaque origin, which has no site, is allowed as
    /// well, because it may do less.
    pub site: Site,
    /// The site of the documents' URLs. It differs from `site` if the documents are sandboxed: their origins are
    /// opaque and their URLs are not.
    pub url_site: Site,
    /// The only allowed origin of the documents and of their URLs. Default: `None`, for every origin of the site.
    pub origin: Option<Origin>,
    /// The network partition key of the documents.
    pub network_partition_key: PartitionKey,
    /// The address space that the documents came from; `None` if it is not known.
    pub address_space: Option<AddressSpace>,
    /// The embedder's identifier of the webview that the process belongs to.
    pub webview_id: u64,
    /// The embedder's identifiers of the documents. An embedder that looks its documents up by the identifiers in
    /// events sets this. Default: all.
    pub document_ids: RangeInclusive<u64>,
}

impl Pin {
    /// Makes the pin of a process that may run documents like that of `client`: of the same site, in the same
    /// partition and in the same webview.
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
        // The creation URL is checked, because `Referer`, `Ping-From` and reports are made from it.
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
        if client.policies_length() > MAX_POLICIES {
            return Err(ChannelError::Quota);
        }
        client.has_cross_site_ancestor |= self.site != self.network_partition_key.top_level_site;
        client.address_space = self.address_space;
        client.webview_id = self.webview_id;
        Ok(client)
    }
}
