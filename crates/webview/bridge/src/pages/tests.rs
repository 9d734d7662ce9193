//! Tests of who is told which token, and what a token is good for.

use super::*;

const WEBVIEW: WebviewId = WebviewId(1);

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn shows(pages: &mut Pages, webview: WebviewId, at: &str) -> String {
    pages.shows(webview, Some(&url(at))).unwrap().to_owned()
}

fn site(at: &str) -> Site {
    Site::of(&page_origin(&url(at)).unwrap())
}

/// The site of the page that the channel of a document of `bank.test` is pinned to.
fn pin(pages: &Pages, webview: WebviewId, token: &str) -> Option<Site> {
    let pin = pages.pin(webview, token, &url("https://bank.test/"))?;
    assert_eq!((pin.webview_id, pin.site), (webview.0, site("https://bank.test/")));
    Some(pin.network_partition_key.top_level_site)
}

#[test]
fn a_process_gets_channels_of_the_page_whose_token_it_was_told_and_of_no_other() {
    let mut pages = Pages::default();
    let evil = shows(&mut pages, WEBVIEW, "https://evil.test/");
    // The process of this page starts a load of another site, and names that site's page.
    assert_eq!(pages.comes(WEBVIEW, &url("https://bank.test/?code=1")), None);
    assert_eq!(pin(&pages, WEBVIEW, &evil), Some(site("https://evil.test/")));
    let bank = shows(&mut pages, WEBVIEW, "https://bank.test/?code=1");
    assert_ne!(evil, bank);
    assert_eq!(pin(&pages, WEBVIEW, &evil), None);
    assert_eq!(pin(&pages, WEBVIEW, ""), None);
    assert_eq!(pin(&pages, WEBVIEW, &bank), Some(site("https://bank.test/")));
    // A token is that of one webview.
    shows(&mut pages, WebviewId(2), "https://bank.test/");
    assert_eq!(pin(&pages, WebviewId(2), &bank), None);
    assert_eq!(pin(&pages, WebviewId(3), &bank), None);
    pages.gone(WEBVIEW);
    assert_eq!(pin(&pages, WEBVIEW, &bank), None);
}

#[test]
fn a_response_is_told_before_its_page_begins_if_the_last_page_has_its_site() {
    let mut pages = Pages::default();
    let token = shows(&mut pages, WEBVIEW, "https://a.test/1");
    shows(&mut pages, WebviewId(2), "https://b.test/");
    assert_eq!(pages.comes(WEBVIEW, &url("https://x.a.test/2")), Some(&*token));
    assert_eq!(shows(&mut pages, WEBVIEW, "https://x.a.test/2"), token);
    assert_eq!(pages.comes(WEBVIEW, &url("http://a.test/")), None);
    assert_eq!(pages.comes(WEBVIEW, &url("https://b.test/")), None);
    assert_eq!(pages.comes(WEBVIEW, &url("data:,x")), None);
}

#[test]
fn the_first_page_of_a_webview_is_told_at_once_while_no_page_of_another_site_was_shown() {
    let mut pages = Pages::default();
    let token = pages.comes(WEBVIEW, &url("https://a.test/")).unwrap().to_owned();
    assert_eq!(shows(&mut pages, WEBVIEW, "https://a.test/"), token);
    assert!(pages.comes(WebviewId(2), &url("https://a.test/")).is_some());
    // A window that a page has opened has the page's process.
    shows(&mut pages, WebviewId(2), "https://evil.test/");
    assert_eq!(pages.shows(WebviewId(3), Some(&url("about:blank"))), None);
    assert_eq!(pages.comes(WebviewId(3), &url("https://a.test/")), None);
    assert_eq!(pages.comes(WebviewId(4), &url("https://evil.test/")), None);
}

#[test]
fn a_page_that_is_not_known_has_no_token() {
    let mut pages = Pages::default();
    let token = shows(&mut pages, WEBVIEW, "https://a.test/");
    assert_eq!(pages.shows(WEBVIEW, Some(&url("about:blank"))), None);
    assert_eq!(pin(&pages, WEBVIEW, &token), None);
    assert!(pages.comes(WEBVIEW, &url("https://a.test/")).is_some());
    assert_eq!(pages.shows(WEBVIEW, None), None);
    assert_eq!(pages.comes(WEBVIEW, &url("https://a.test/")), None);
}
