//! WebKit's cookies, which only the main thread can ask for.

use std::{
    cell::RefCell,
    mem::ManuallyDrop,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use gtk::gio::Cancellable;
use http::HeaderValue;
use sendbeacon::host::BoxFuture;
use sendbeacon_webview::{Bridge, SameSite, WebviewCookie, WebviewCookies, WebviewId};
use soup::SameSitePolicy;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::{
    api::{self, Session, prelude::*},
    main_thread,
};

/// How long the cookies of a webview are kept at least after it has gone. What its web processes have written is read by
/// then.
const KEEP: Duration = Duration::from_secs(60);

/// Something of each webview that the beacons of the webview need, also after it has gone.
#[derive(Debug)]
struct Kept<T> {
    list: Vec<KeptOf<T>>,
}

#[derive(Debug)]
struct KeptOf<T> {
    webview: WebviewId,
    /// When the webview has gone. `None` while it is there.
    gone: Option<Instant>,
    value: T,
}

/// The cookie manager of a webview. It is dropped before the session, without which WebKit cannot free it.
struct Cookies {
    manager: CookieManager,
    _session: Session,
    bridge: Weak<Bridge>,
}

thread_local! {
    /// The cookie manager of each webview. Most share one.
    ///
    /// NB: it is not dropped when the thread ends: GTK has gone by then.
    static COOKIES: ManuallyDrop<RefCell<Kept<Cookies>>> =
        const { ManuallyDrop::new(RefCell::new(Kept { list: Vec::new() })) };
}

/// Keeps the cookie manager of a webview that has this session.
pub(crate) fn keep(bridge: &Arc<Bridge>, webview: WebviewId, session: Session) {
    remove_unneeded();
    let Some(manager) = session.cookie_manager() else { return };
    let bridge = Arc::downgrade(bridge);
    let cookies = Cookies { manager, _session: session, bridge };
    COOKIES.with(|kept| kept.borrow_mut().keep(webview, cookies));
}

/// The webview has gone. Its beacons may still need its cookies.
pub(crate) fn gone(webview: WebviewId) {
    COOKIES.with(|kept| kept.borrow_mut().gone(webview, Instant::now()));
    remove_unneeded();
}

fn remove_unneeded() {
    let is_busy = |webview, cookies: &Cookies| {
        cookies.bridge.upgrade().is_some_and(|bridge| bridge.is_busy(webview))
    };
    let removed = COOKIES.with(|kept| kept.borrow_mut().remove_unneeded(Instant::now(), is_busy));
    // NB: a session that goes may call anything.
    drop(removed);
}

fn manager(webview: WebviewId) -> Option<CookieManager> {
    COOKIES.with(|kept| kept.borrow().get(webview).map(|it| it.manager.clone()))
}

impl<T> Kept<T> {
    fn keep(&mut self, webview: WebviewId, value: T) {
        self.list.push(KeptOf { webview, gone: None, value });
    }

    fn get(&self, webview: WebviewId) -> Option<&T> {
        self.list.iter().find(|it| it.webview == webview).map(|it| &it.value)
    }

    fn gone(&mut self, webview: WebviewId, now: Instant) {
        let gone = self.list.iter_mut().filter(|it| it.webview == webview);
        gone.for_each(|it| it.gone = Some(now));
    }

    /// Removes what is of webviews that have gone a while ago and are not busy.
    fn remove_unneeded(&mut self, now: Instant, is_busy: impl Fn(WebviewId, &T) -> bool) -> Vec<T> {
        let is_unneeded = |it: &mut KeptOf<T>| {
            let is_old = it.gone.is_some_and(|gone| now.saturating_duration_since(gone) >= KEEP);
            is_old && !is_busy(it.webview, &it.value)
        };
        self.list.extract_if(.., is_unneeded).map(|it| it.value).collect()
    }
}

/// The cookies of all webviews.
pub(crate) struct WebKitCookies;

impl WebviewCookies for WebKitCookies {
    fn cookies(&self, webview: WebviewId, url: &Url) -> BoxFuture<'static, Vec<WebviewCookie>> {
        let (sender, receiver) = oneshot::channel();
        let url = url.to_string();
        main_thread::post(move || {
            let Some(manager) = manager(webview) else { return };
            manager.cookies(&url, None::<&Cancellable>, move |cookies| {
                let cookies = cookies.unwrap_or_default().into_iter().map(cookie).collect();
                // An error means that the request has gone.
                let _ = sender.send(cookies);
            });
        });
        // An error means that the webview is unknown.
        Box::pin(async move { receiver.await.unwrap_or_default() })
    }

    fn set_cookies(
        &self,
        webview: WebviewId,
        url: &Url,
        set_cookie: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()> {
        let (sender, mut receiver) = mpsc::unbounded_channel::<()>();
        let url = url.to_string();
        main_thread::post(move || {
            let Some(manager) = manager(webview) else { return };
            let Ok(origin) = glib::Uri::parse(&url, glib::UriFlags::NONE) else { return };
            for value in set_cookie {
                let cookie = value.to_str().ok();
                let cookie = cookie.and_then(|it| soup::Cookie::parse(it, Some(&origin)));
                if let Some(mut cookie) = cookie {
                    api::add_cookie(&manager, &mut cookie, sender.clone());
                }
            }
        });
        // It ends when every cookie was stored, because nothing is ever sent.
        Box::pin(async move { while receiver.recv().await.is_some() {} })
    }
}

fn cookie(mut cookie: soup::Cookie) -> WebviewCookie {
    WebviewCookie {
        name: cookie.name().map(Into::into).unwrap_or_default(),
        value: cookie.value().map(Into::into).unwrap_or_default(),
        same_site: match cookie.same_site_policy() {
            SameSitePolicy::None => SameSite::None,
            SameSitePolicy::Strict => SameSite::Strict,
            _ => SameSite::Lax,
        },
    }
}

#[cfg(test)]
mod tests {
    use sendbeacon::UserAgent;

    use super::*;

    #[test]
    fn the_cookies_of_a_webview_that_is_there_or_busy_are_kept() {
        let bridge = Bridge::new(UserAgent::builder(), None, None, || {}).unwrap();
        let webviews: Vec<_> = (0..1_000).map(|_| bridge.open("post", None).0).collect();
        let mut kept = Kept { list: Vec::new() };
        let begun = Instant::now();
        for &webview in &webviews {
            kept.keep(webview, ());
            assert_eq!(kept.remove_unneeded(begun + 2 * KEEP, |_, ()| false), []);
        }
        assert!(webviews.iter().all(|&it| kept.get(it).is_some()));
        let (busy, gone) = (webviews[0], webviews[1]);
        kept.gone(busy, begun);
        kept.gone(gone, begun);
        let is_busy = |webview, (): &()| webview == busy;
        assert_eq!(kept.remove_unneeded(begun + KEEP / 2, is_busy), []);
        assert_eq!(kept.remove_unneeded(begun + KEEP, is_busy), [()]);
        assert!(kept.get(busy).is_some() && kept.get(gone).is_none());
        assert_eq!(kept.remove_unneeded(begun + KEEP, |_, ()| false), [()]);
        assert_eq!(kept.list.len(), 998);
    }
}
