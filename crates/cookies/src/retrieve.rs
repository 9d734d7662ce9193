//! From the jar to a `Cookie` header value.

use std::{cmp::Reverse, time::SystemTime};

use crate::{
    AccessContext, Cookie, CookieJar, SameSite, SameSiteMode,
    domain::domain_matches,
    path::path_matches,
    site::{borrowed, site_host},
};

impl CookieJar {
    /// The cookies for a request, or for script, in the order in which they are sent:
    /// [retrieve cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-retrieve-cookies).
    ///
    /// It notes that they were used, hence `&mut self`.
    pub fn retrieve(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Vec<&Cookie> {
        let site = site_host(&context.host).to_owned();
        let unpartitioned = Some(&mut self.unpartitioned).filter(|_| context.unpartitioned_allowed);
        let partitioned =
            context.partition.and_then(|partition| self.partitioned.get_mut(partition));
        // Step 2.
        // NB: a domain cookie for what has become a public suffix needs no check: the list is
        // compiled in, and so is as old as the jar.
        let mut cookies: Vec<&mut Cookie> = [unpartitioned, partitioned]
            .into_iter()
            .flatten()
            .filter_map(|sites| sites.get_mut(&site))
            .flatten()
            .filter(|cookie| !cookie.is_expired(now) && is_for(cookie, context))
            .collect();
        // Step 3. NB: longer in bytes, as in 6265bis and in browsers; the draft counts segments.
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

    /// The value of the `Cookie` header for a request, or of `document.cookie`; `None` if there are
    /// no cookies for it.
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
    let host_is_meant = if cookie.host_only {
        cookie.host == context.host
    } else {
        domain_matches(&context.host, &borrowed(&cookie.host))
    };
    // NB: "unset" is enforced as "lax", which the draft leaves open to user agents.
    let same_site_allows = match cookie.same_site {
        SameSite::Strict => context.same_site == SameSiteMode::StrictOrLess,
        SameSite::Lax | SameSite::Unset => context.same_site != SameSiteMode::UnsetOrLess,
        SameSite::None => true,
    };
    host_is_meant
        && path_matches(context.path, &cookie.path)
        && (!cookie.secure || context.is_secure)
        && (!cookie.http_only || context.http_only_allowed)
        && same_site_allows
}

/// [Serialize cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-serialize-cookies):
/// `a=b; c=d`, and no equals sign for a cookie without a name.
///
/// The result has no control characters except tabs, so it always is a header value.
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
