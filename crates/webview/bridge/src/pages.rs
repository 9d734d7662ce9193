//! The pages that the webviews show, and the tokens by which the app knows the web processes that show them.

use std::collections::HashMap;

use sendbeacon::{Client, Site, remote::Pin};
use url::Url;

use crate::{secret::Secret, settings::page_origin, webview_id::WebviewId};

/// The pages of all webviews.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    shown: HashMap<WebviewId, Page>,
    sites: Sites,
}

/// The page that a webview shows, or a page that comes.
#[derive(Debug)]
struct Page {
    site: Site,
    /// What only a process of this page was told. It stays while the site does.
    token: Secret,
    is_shown: bool,
}

/// The sites of all pages that webviews have shown.
#[derive(Debug, Default)]
enum Sites {
    #[default]
    None,
    One(Site),
    Several,
}

impl Pages {
    /// A response has come with which the webview may show a page at this URL. Returns the page's token if the process of
    /// the webview's last page may be told it, and the head of the response.
    ///
    /// That process may have been taken over by any page that it has shown. A webview that has shown nothing may share the
    /// process of another one.
    pub(crate) fn comes(&mut self, webview: WebviewId, url: &Url) -> Option<&str> {
        let site = Site::of(&page_origin(url)?);
        let page = self.shown.get(&webview);
        let is_of_last_page = page.is_some_and(|page| page.is_shown && page.site == site);
        let is_of_all_pages = match &self.sites {
            Sites::None => true,
            Sites::One(only) => *only == site,
            Sites::Several => false,
        };
        (is_of_last_page || is_of_all_pages).then(|| self.page(webview, site).token.as_str())
    }

    /// The webview shows a page at this URL. `None`: it is not known which page. Returns the page's token.
    pub(crate) fn shows(&mut self, webview: WebviewId, url: Option<&Url>) -> Option<&str> {
        let Some(origin) = url.and_then(page_origin) else {
            self.shown.remove(&webview);
            // An empty page is of nobody.
            if url.is_none_or(|url| url.scheme() != "about") {
                self.sites = Sites::Several;
            }
            return None;
        };
        let site = Site::of(&origin);
        match &self.sites {
            Sites::None => self.sites = Sites::One(site.clone()),
            Sites::One(only) if *only == site => {}
            Sites::One(_) | Sites::Several => self.sites = Sites::Several,
        }
        let page = self.page(webview, site);
        page.is_shown = true;
        Some(page.token.as_str())
    }

    /// The pin of a channel for documents of the site of `document`, from a process of the webview that names this token.
    /// `None` if it is not the token of the page.
    pub(crate) fn pin(&self, webview: WebviewId, token: &str, document: &Url) -> Option<Pin> {
        let page = self.shown.get(&webview).filter(|page| page.token.is(token))?;
        let mut client = Client::with_origin(document.clone(), page_origin(document)?, false);
        client.network_partition_key.top_level_site = page.site.clone();
        client.webview_id = webview.0;
        Some(Pin::of(&client))
    }

    /// The webview has gone.
    pub(crate) fn gone(&mut self, webview: WebviewId) {
        self.shown.remove(&webview);
    }

    /// The webview's page of this site.
    fn page(&mut self, webview: WebviewId, site: Site) -> &mut Page {
        let new = |site| Page { site, token: Secret::random(), is_shown: false };
        let page = self.shown.entry(webview).or_insert_with(|| new(site.clone()));
        if page.site != site {
            *page = new(site);
        }
        page
    }
}

#[cfg(test)]
mod tests;
