//! Navigation to `data:` and `blob:` URLs, whose documents do not come from the network.

use std::rc::Rc;

use data_url::mime::Mime;
use sendbeacon::{Client, Referrer, ReferrerPolicy};
use url::Url;

use super::{
    Navigable,
    settings::{inherit, inherit_policies, nest, referrer_of_navigation},
};
use crate::page::{FetchedDocument, data_urls::process_data_url};

impl Navigable {
    /// Loads the document of a `data:` URL. The document gets a new opaque origin.
    pub(super) fn load_data(
        self: &Rc<Self>,
        url: &Url,
        source: &Client,
        container: Option<&Client>,
        referrer_policy: Option<ReferrerPolicy>,
    ) {
        let decoded = process_data_url(url.as_str());
        let realm = self.active();
        // NB: browsers refuse a `data:` document at the top level, because it could pretend to be any site.
        let (Some((type_, body)), Some(container)) = (decoded, container) else {
            realm.console_error(&format!("{url} cannot be shown."));
            self.end_without_document(&realm);
            return;
        };
        let mut client = inherit_policies(source, url);
        nest(&mut client, container);
        let referrer = referrer_of(source, url, referrer_policy);
        self.load_local(url, client, referrer, &type_, body);
    }

    /// Loads the document of a blob URL, which must belong to the origin of `source`. The document gets that origin,
    /// and the policies of `source`.
    ///
    /// NB: the standard takes the policies of the document that has created the URL.
    pub(super) fn load_blob(
        self: &Rc<Self>,
        url: &Url,
        source: &Client,
        container: Option<&Client>,
        referrer_policy: Option<ReferrerPolicy>,
    ) {
        let realm = self.active();
        let blob = realm.blob_document(url).filter(|_| {
            url.path().rsplit_once('/').is_some_and(|(it, _)| it == source.origin.to_string())
        });
        let Some((body, type_)) = blob else {
            realm.console_error(&format!("{url} cannot be shown."));
            self.end_without_document(&realm);
            return;
        };
        let mut client = inherit(source, url);
        if let Some(container) = container {
            nest(&mut client, container);
        }
        let referrer = referrer_of(source, &source.creation_url, referrer_policy);
        // A blob without a type is plain text.
        let type_ = type_.parse().unwrap_or_else(|_| "text/plain".parse().expect("it is a type"));
        self.load_local(url, client, referrer, &type_, body);
    }

    /// Loads a document with the given body.
    fn load_local(
        self: &Rc<Self>,
        url: &Url,
        client: Client,
        referrer: String,
        type_: &Mime,
        body: Vec<u8>,
    ) {
        let document = FetchedDocument {
            referrer,
            charset: type_.get_parameter("charset").map(str::to_owned),
            type_: format!("{}/{}", type_.type_, type_.subtype),
            body: body.into(),
            ..FetchedDocument::local(url.clone(), client)
        };
        self.load(document, None);
    }
}

/// The value of `document.referrer` in a document that does not come from the network.
pub(super) fn referrer_of(source: &Client, url: &Url, policy: Option<ReferrerPolicy>) -> String {
    match referrer_of_navigation(source, url, Referrer::Client, policy) {
        Referrer::Url(url) => url.into(),
        _ => String::new(),
    }
}
