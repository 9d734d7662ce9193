//! Retrieves cookies from the jar and serializes them for a `Cookie` header.

use std::{cmp::Reverse, time::SystemTime};

use bytes::Bytes;
use url::Host;

use crate::{
    AccessContext, Cookie, CookieJar, SameSite, SameSiteMode,
    domain::domain_matches,
    jar::UNPARTITIONED,
    path::path_matches,
    remembered::{FoundPlace, Made},
    site::{borrowed, site_host},
};

/// A cookie that is about to be sent.
pub(crate) struct Found<'a> {
    pub(crate) place: FoundPlace,
    pub(crate) cookie: &'a mut Cookie,
}

impl CookieJar {
    /// Returns the cookies for a request or for script, in the order in which they are sent:
    /// [retrieve cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-retrieve-cookies).
    ///
    /// Takes `&mut self`, because it sets the last-access-time of the cookies to `now`.
    pub fn retrieve(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Vec<&Cookie> {
        let site = site_host(&context.host).to_owned();
        // Step 5.
        self.find(&site, context, now).into_iter().map(|found| &*found.cookie).collect()
    }

    /// Steps 1 to 4 of retrieve cookies. `site` is the site of the context's host.
    pub(crate) fn find(
        &mut self,
        site: &Host,
        context: &AccessContext<'_>,
        now: SystemTime,
    ) -> Vec<Found<'_>> {
        let unpartitioned = context.unpartitioned_allowed.then_some(UNPARTITIONED);
        let unpartitioned = unpartitioned.map(|key| self.unpartitioned.get_for_use(key, site, now));
        let partitioned = context.partition.map(|key| self.partitioned.get_for_use(key, site, now));
        // Step 2. NB: the draft asks for a check whether the cookie's host has become a public suffix.
        // That cannot happen here: the list is compiled in, so it does not change while the jar lives.
        let mut found: Vec<_> = [(false, unpartitioned), (true, partitioned)]
            .into_iter()
            .flat_map(|(is_partitioned, cookies)| {
                cookies.into_iter().flatten().enumerate().map(move |(index, cookie)| Found {
                    place: FoundPlace { is_partitioned, index },
                    cookie,
                })
            })
            .filter(|Found { cookie, .. }| !cookie.is_expired(now) && is_for(cookie, context))
            .collect();
        // Step 3. NB: a longer path has more bytes, as in 6265bis and in browsers. Layered Cookies
        // counts segments.
        found.sort_by_key(|Found { cookie, .. }| {
            (Reverse(cookie.path.len()), cookie.creation_time, cookie.sequence)
        });
        // Step 4.
        for Found { cookie, .. } in &mut found {
            cookie.last_access_time = now;
        }
        found
    }

    /// Returns the value of the `Cookie` header for a request, or of `document.cookie` for a script;
    /// `None` if there are no cookies.
    pub fn cookie_header(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Option<Bytes> {
        let header = self.remembered_header(context, now);
        let header = header.unwrap_or_else(|| self.new_header(context, now));
        // NB: a cookie has a name or a value.
        (!header.is_empty()).then_some(header)
    }

    /// Finds the cookies, serializes them, and remembers the result, which is empty without cookies.
    fn new_header(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Bytes {
        let site = site_host(&context.host).to_owned();
        let found = self.find(&site, context, now);
        let cookies: Vec<&Cookie> = found.iter().map(|found| &*found.cookie).collect();
        let header = Bytes::from(serialize_cookies(&cookies));
        let until = cookies.iter().filter_map(|cookie| cookie.expiry_time).min();
        let places = found.iter().map(|found| found.place).collect();
        let versions = self.versions();
        self.remembered.add(context, || Made {
            versions,
            since: now,
            until,
            site,
            places,
            header: header.clone(),
        });
        header
    }

    /// The header for a request or for script, if it is remembered. Its cookies are used, as if they had been searched.
    fn remembered_header(&mut self, context: &AccessContext<'_>, now: SystemTime) -> Option<Bytes> {
        let remembered = self.remembered.find(context, self.versions(), now)?;
        let sections = [
            (context.unpartitioned_allowed.then_some(UNPARTITIONED), &mut self.unpartitioned),
            (context.partition, &mut self.partitioned),
        ];
        for ((key, section), is_partitioned) in sections.into_iter().zip([false, true]) {
            let places = remembered.places.iter();
            let mut places = places.filter(|it| it.is_partitioned == is_partitioned).peekable();
            if let (Some(key), Some(_)) = (key, places.peek()) {
                let cookies = section.get_for_use(key, &remembered.site, now);
                for place in places {
                    if let Some(cookie) = cookies.get_mut(place.index) {
                        cookie.last_access_time = now;
                    }
                }
            }
        }
        Some(remembered.header.clone())
    }

    /// The versions of the unpartitioned and the partitioned cookies.
    fn versions(&self) -> [u64; 2] {
        [self.unpartitioned.version(), self.partitioned.version()]
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
