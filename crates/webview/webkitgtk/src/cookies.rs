//! WebKit's cookies, which only the main thread can ask for.

use std::{cell::RefCell, collections::VecDeque, mem::ManuallyDrop};

use glib::MainContext;
use gtk::gio::Cancellable;
use http::HeaderValue;
use sendbeacon::host::BoxFuture;
use sendbeacon_webview::{SameSite, WebviewCookie, WebviewCookies, WebviewId};
use soup::SameSitePolicy;
use tokio::sync::{mpsc, oneshot};
use url::Url;
use webkit2gtk::{CookieManager, CookieManagerExt, WebContext, WebContextExt};

/// How many webviews' cookies are kept. The beacons of a webview that has gone may still need its cookies.
const MAX_MANAGERS: usize = 256;

/// The cookie manager of a webview. It is dropped before the context, without which WebKit cannot free it.
struct CookiesOf {
    webview: WebviewId,
    manager: CookieManager,
    _context: WebContext,
}

thread_local! {
    /// The cookie manager of each webview, also of those that have gone. Most share one.
    ///
    /// NB: it is not dropped when the thread ends: GTK has gone by then.
    static MANAGERS: ManuallyDrop<RefCell<VecDeque<CookiesOf>>> =
        const { ManuallyDrop::new(RefCell::new(VecDeque::new())) };
}

/// Keeps the cookie manager of a webview that has this context.
pub(crate) fn keep(webview: WebviewId, context: WebContext) {
    let Some(manager) = context.cookie_manager() else { return };
    MANAGERS.with(|managers| {
        let mut managers = managers.borrow_mut();
        if managers.len() == MAX_MANAGERS {
            managers.pop_front();
        }
        managers.push_back(CookiesOf { webview, manager, _context: context });
    });
}

fn manager(webview: WebviewId) -> Option<CookieManager> {
    MANAGERS.with(|managers| {
        let managers = managers.borrow();
        managers.iter().find(|it| it.webview == webview).map(|it| it.manager.clone())
    })
}

/// The cookies of all webviews.
pub(crate) struct WebKitCookies;

impl WebviewCookies for WebKitCookies {
    fn cookies(&self, webview: WebviewId, url: &Url) -> BoxFuture<'static, Vec<WebviewCookie>> {
        let (sender, receiver) = oneshot::channel();
        let url = url.to_string();
        MainContext::default().invoke(move || {
            let Some(manager) = manager(webview) else { return };
            manager.cookies(&url, None::<&Cancellable>, move |cookies| {
                let cookies = cookies.unwrap_or_default().into_iter().map(cookie).collect();
                // An error means that the request has gone.
                let _ = sender.send(cookies);
            });
        });
        // An error means that the webview is unknown, or that the main loop has ended.
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
        MainContext::default().invoke(move || {
            let Some(manager) = manager(webview) else { return };
            let Ok(origin) = glib::Uri::parse(&url, glib::UriFlags::NONE) else { return };
            for value in set_cookie {
                let cookie = value.to_str().ok();
                let cookie = cookie.and_then(|it| soup::Cookie::parse(it, Some(&origin)));
                if let Some(mut cookie) = cookie {
                    let sender = sender.clone();
                    manager.add_cookie(&mut cookie, None::<&Cancellable>, |_| drop(sender));
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
