//! Documents of URLs that are no network's: `data:` and `blob:`.

use std::rc::Rc;

use data_url::mime::Mime;
use sendbeacon::{Client, Referrer, ReferrerPolicy};
use url::Url;

use super::{
    Navigable,
    settings::{inherit, inherit_policies, nest, referrer_of_navigation},
};
use crate::page::FetchedDocument;

impl Navigable {
    /// A `data:` URL, whose document has an origin of its own.
    pub(super) fn load_data(
        self: &Rc<Self>,
        url: &Url,
        source: &Client,
        container: Option<&Client>,
        referrer_policy: Option<ReferrerPolicy>,
    ) {
        let decoded = data_url::DataUrl::process(url.as_str()).ok().and_then(|url| {
            let (body, _) = url.decode_to_vec().ok()?;
            Some((url.mime_type().clone(), body))
        });
        let realm = self.active();
        // A top-level one would look like any site.
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

    /// A blob URL of the source's origin: its document has that, and the policies of the source.
    ///
    /// NB: by the standard they are the creator's, which in one origin mostly has the same.
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
        // A Blob without a type is text.
        let type_ = type_.parse().unwrap_or_else(|_| "text/plain".parse().expect("it is a type"));
        self.load_local(url, client, referrer, &type_, body);
    }

    /// Loads a document that is in its URL.
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

/// `document.referrer` of what is fetched without a network.
pub(super) fn referrer_of(source: &Client, url: &Url, policy: Option<ReferrerPolicy>) -> String {
    match referrer_of_navigation(source, url, Referrer::Client, policy) {
        Referrer::Url(url) => url.into(),
        _ => String::new(),
    }
}
