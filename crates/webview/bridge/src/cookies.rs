//! The cookies of a webview, for the requests that the app sends for its pages.

use std::sync::Arc;

use http::HeaderValue;
use sendbeacon::host::{Answer, BoxFuture, CookieContext, CookieStore, SameSiteMode};
use url::Url;

use crate::webview_id::WebviewId;

/// The cookies that a webview keeps. The library calls it on its network side, and it must not block there: a webview that
/// answers on its own thread gives a future.
///
/// The library decides which cookies go with a request ([`SameSite`], third parties), and the webview which ones a URL has.
pub trait WebviewCookies: Send + Sync {
    /// The cookies of `url` in this webview, `HttpOnly` ones included, in the order of a `Cookie` header.
    fn cookies(&self, webview: WebviewId, url: &Url) -> BoxFuture<'static, Vec<WebviewCookie>>;

    /// Stores the cookies of these `Set-Cookie` headers of a response from `url`.
    fn set_cookies(
        &self,
        webview: WebviewId,
        url: &Url,
        set_cookie: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()>;
}

/// A cookie, as a request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebviewCookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Its attribute `SameSite`.
    pub same_site: SameSite,
}

/// The attribute `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// `None`
    None,
    /// `Lax`, or no such attribute.
    Lax,
    /// `Strict`
    Strict,
}

/// The library's view of a webview's cookies.
///
/// NB: a request to a third party has no cookies. A webview may have its own rules on them (tracking prevention), which
/// nobody can ask it for.
pub(crate) struct CookiesOfWebviews(pub(crate) Arc<dyn WebviewCookies>);

impl CookieStore for CookiesOfWebviews {
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        if is_third_party(&context) {
            return Answer::Ready(None);
        }
        let (webview, same_site) = (WebviewId(context.client.webview_id), context.same_site);
        let cookies = self.0.cookies(webview, context.url);
        Answer::Later(Box::pin(async move { header(&cookies.await, same_site) }))
    }

    fn store(&self, context: CookieContext<'_>, mut set_cookie: Vec<HeaderValue>) -> Answer<()> {
        if is_third_party(&context) {
            return Answer::Ready(());
        }
        if context.same_site != SameSiteMode::StrictOrLess {
            set_cookie.retain(is_same_site_none);
        }
        if set_cookie.is_empty() {
            return Answer::Ready(());
        }
        let webview = WebviewId(context.client.webview_id);
        Answer::Later(self.0.set_cookies(webview, context.url, set_cookie))
    }
}

fn is_third_party(context: &CookieContext<'_>) -> bool {
    let CookieContext { client, url, .. } = context;
    client.cookies_disabled
        || client.has_cross_site_ancestor
        || !client.network_partition_key.top_level_site.is_of_url(url)
}

/// The header `Cookie`, with the cookies that the mode allows.
fn header(cookies: &[WebviewCookie], mode: SameSiteMode) -> Option<HeaderValue> {
    let is_allowed = |cookie: &&WebviewCookie| match mode {
        SameSiteMode::StrictOrLess => true,
        SameSiteMode::LaxOrLess => cookie.same_site != SameSite::Strict,
        SameSiteMode::UnsetOrLess => cookie.same_site == SameSite::None,
    };
    let pair = |WebviewCookie { name, value, .. }: &WebviewCookie| match &**name {
        "" => value.clone(),
        name => format!("{name}={value}"),
    };
    let pairs: Vec<_> = cookies.iter().filter(is_allowed).map(pair).collect();
    (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).ok()).flatten()
}

/// Whether a `Set-Cookie` header has `SameSite=None`. Of several such attributes the last one counts.
fn is_same_site_none(set_cookie: &HeaderValue) -> bool {
    let attributes = set_cookie.as_bytes().split(|&byte| byte == b';').skip(1);
    let values = attributes.filter_map(|attribute| {
        let at = attribute.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (attribute[..at].trim_ascii(), attribute[at + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"samesite").then_some(value)
    });
    values.last().is_some_and(|value| value.eq_ignore_ascii_case(b"none"))
}

#[cfg(test)]
mod tests;
