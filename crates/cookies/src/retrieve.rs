//! Retrieves cookies from the jar and serializes them for a `Cookie` header.

use std::{cmp::Reverse, time::SystemTime};

use crate::{
    AccessContext, Cookie, CookieJar, SameSite, SameSiteMode,
    domain::domain_matches,
    jar::UNPARTITIONED,
    path::path_matches,
    site::{borrowed, site_host},
};

impl CookieJar {
    /// Returns the cookies for a request or for script, in the order in which they are sent:
    /// [retrieve cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-retrieve-cookies).
    ///
    /// Takes `&mut self`, because it sets the last-access-time of the cookies to `now`.
    pub fn retrieve(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Vec<&Cookie> {
        let site = site_host(&context.host).to_owned();
        let unpartitioned = context.unpartitioned_allowed.then_some(UNPARTITIONED);
        let unpartitioned =
            unpartitioned.map(|key| self.unpartitioned.get_for_use(key, &site, now));
        let partitioned =
            context.partition.map(|key| self.partitioned.get_for_use(key, &site, now));
        // Step 2. NB: the draft asks for a check whether the cookie's host has become a public suffix.
        // That cannot happen here: the list is compiled in, so it does not change while the jar lives.
        let mut cookies: Vec<&mut Cookie> = [unpartitioned, partitioned]
            .into_iter()
            .flatten()
            .flatten()
            .filter(|cookie| !cookie.is_expired(now) && is_for(cookie, context))
            .collect();
        // Step 3. NB: a longer path has more bytes, as in 6265bis and in browsers. Layered Cookies
        // counts segments.
        cookies.sort_by_key(|cookie| {
            (Reverse(cookie.path.len()), cookie.creation_time, cookie.sequence)
        });
        // Step 4.
        for cookie in &mut cookies {
            cookie.last_access_time = now;
        }
        // Step 5.
        cookies.into_iter().map(|cookie| &*cookie).collect()
    }

    /// Returns the value of the `Cookie` header for a request, or of `document.cookie` for a script;
    /// `None` if there are no cookies.
    pub fn cookie_header(
        &mut self,
        context: &AccessContext<'_>,
        now: SystemTime,
    ) -> Option<Vec<u8>> {
        let cookies = self.retrieve(context, now);
        (!cookies.is_empty()).then(|| serialize_cookies(&cookies))
    }
}

/// The conditions in step 2 of retrieve cookies.
fn is_for(cookie: &Cookie, context: &AccessContext<'_>) -> bool {
    let host_matches = if cookie.host_only {
        cookie.host == context.host
    } else {
        domain_matches(&context.host, &borrowed(&cookie.host))
    };
    // NB: "unset" is enforced as "lax". 6265bis wants that; Layered Cookies would send an "unset" cookie
    // in every mode.
    let same_site_allows = match cookie.same_site {
        SameSite::Strict => context.same_site == SameSiteMode::StrictOrLess,
        SameSite::Lax | SameSite::Unset => context.same_site != SameSiteMode::UnsetOrLess,
        SameSite::None => true,
    };
    host_matches
        && path_matches(context.path, &cookie.path)
        && (!cookie.secure || context.is_secure)
        && (!cookie.http_only || context.http_only_allowed)
        && same_site_allows
}

/// [Serialize cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-serialize-cookies):
/// for example `a=b; c=d`. A cookie without a name has no equals sign.
///
/// The result has no control characters except tabs, so it is always a valid header value.
#[must_use]
pub fn serialize_cookies(cookies: &[&Cookie]) -> Vec<u8> {
    // Step 1.
    let length = cookies.iter().map(|cookie| cookie.name.len() + cookie.value.len() + 3).sum();
    let mut output = Vec::with_capacity(length);
    // Step 2.
    for cookie in cookies {
        // Step 2.1.
        if !output.is_empty() {
            output.extend_from_slice(b"; ");
        }
        // Step 2.2.
        if !cookie.name.is_empty() {
            output.extend_from_slice(&cookie.name);
            output.push(b'=');
        }
        // Step 2.3.
        output.extend_from_slice(&cookie.value);
    }
    // Step 3.
    output
}
