//! Stores a parsed cookie in the jar.

use std::{sync::Arc, time::SystemTime};

use url::Host;

use crate::{
    AccessContext, Cookie, CookieJar, Rejected, SameSite, SameSiteMode,
    domain::domain_matches,
    jar::UNPARTITIONED,
    parse::{ParsedCookie, parse_cookie},
    path::{cookie_default_path, path_matches},
    section::Place,
    site::{borrowed, is_public_suffix, site_host},
};

/// The longest path of a cookie, in bytes.
///
/// A `Path` attribute cannot have more than 1024 bytes. The default path comes from a URL, which can
/// have any length.
const MAX_PATH_LENGTH: usize = 4096;

impl CookieJar {
    /// Stores the cookie of one `Set-Cookie` header value, or of one assignment to `document.cookie`:
    /// [parse and store a cookie](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-parse-and-store-a-cookie).
    /// Then evicts cookies that exceed the [limits](crate::Limits).
    ///
    /// A cookie that has already expired removes the cookie that it would replace. The result is `Ok`.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use sendbeacon_cookies::{AccessContext, CookieJar, Rejected};
    /// use url::Url;
    ///
    /// let mut jar = CookieJar::default();
    /// let now = SystemTime::now();
    /// let url = Url::parse("https://widget.example/")?;
    ///
    /// // The response to a cross-site request, in a frame on https://news.example.
    /// let embedded = AccessContext::for_url(&url)
    ///     .expect("an https URL has a host")
    ///     .with_partition(Some("https://news.example"));
    /// assert_eq!(jar.store(b"id=1", &embedded, now), Err(Rejected::CrossSite));
    /// jar.store(b"id=1; Secure; SameSite=None; Partitioned", &embedded, now)?;
    ///
    /// // The partitioned cookie is not sent on another top-level site.
    /// let elsewhere = embedded.clone().with_partition(Some("https://shop.example"));
    /// assert_eq!(jar.cookie_header(&embedded, now).as_deref(), Some(&b"id=1"[..]));
    /// assert_eq!(jar.cookie_header(&elsewhere, now), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The reason why the cookie is ignored. The jar then only loses its expired cookies.
    // NB: "allowNonHostOnlyCookieForPublicSuffix" is not a parameter. It is false for every caller in
    // Fetch and HTML, and the jar relies on that: it keeps the cookies of a site together.
    pub fn store(
        &mut self,
        set_cookie: &[u8],
        context: &AccessContext<'_>,
        now: SystemTime,
    ) -> Result<(), Rejected> {
        // Steps 1 and 2.
        let parsed = parse_cookie(set_cookie, self.limits.max_age, now)?;
        // NB: 6265bis lets no expired cookie stay at any time. One that is still here must not have an
        // effect on the new cookie.
        self.remove_expired_cookies(now);
        // Step 3.
        self.store_a_cookie(&parsed, context, now)?;
        // NB: Fetch passes the host of the URL here. The limits are those of its site.
        self.garbage_collect(&site_host(&context.host).to_owned(), context.partition, now);
        Ok(())
    }

    /// [Store a cookie](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-store-a-cookie).
    fn store_a_cookie(
        &mut self,
        parsed: &ParsedCookie<'_>,
        context: &AccessContext<'_>,
        now: SystemTime,
    ) -> Result<(), Rejected> {
        // Steps 1 to 3: the parser makes sure of them.
        // Steps 6, 6.1, 6.2 and 8.
        let (host, host_only) = match &parsed.host {
            None => (context.host.to_owned(), true),
            Some(host) => (host.clone(), bind_to_domain(&borrowed(host), context)?),
        };
        // Step 14 of parse a cookie.
        let path = parsed.path.unwrap_or_else(|| cookie_default_path(context.path));
        if path.len() > MAX_PATH_LENGTH {
            return Err(Rejected::PathTooLong);
        }
        // Step 9.
        if !context.http_only_allowed && parsed.http_only {
            return Err(Rejected::HttpOnlyFromScript);
        }
        // Step 10.
        if !context.is_secure {
            // Step 10.1.
            if parsed.secure {
                return Err(Rejected::SecureFromInsecure);
            }
            // Step 10.2.
            if self.has_overlaid(parsed.name, &borrowed(&host), path, context.partition) {
                return Err(Rejected::OverlaysSecure);
            }
        }
        // Step 11. NB: "sameSiteStrictOrLaxAllowed" is whether the same-site mode is "strict-or-less".
        if parsed.same_site != SameSite::None && context.same_site != SameSiteMode::StrictOrLess {
            return Err(Rejected::CrossSite);
        }
        // Step 12.
        if parsed.same_site == SameSite::None && !parsed.secure {
            return Err(Rejected::SameSiteNoneWithoutSecure);
        }
        // Steps 13 to 17.
        check_prefixes(parsed, host_only)?;
        // NB: the draft on partitioned cookies has its steps here, after the prefixes.
        let partition = partition_of(parsed, context)?;
        // Step 18. NB: the cookies of a partition are kept apart, so the partition needs no comparison.
        let (section, key) = match partition {
            None => (&mut self.unpartitioned, UNPARTITIONED),
            Some(key) => (&mut self.partitioned, key),
        };
        let site = site_host(&context.host).to_owned();
        let place = Place { partition: section.key(key), site };
        let old_cookie = section.get(key, &place.site).iter().position(|cookie| {
            *cookie.name == *parsed.name
                && cookie.host == host
                && cookie.host_only == host_only
                && *cookie.path == *path
        });
        let cookie = Cookie {
            name: parsed.name.into(),
            value: parsed.value.into(),
            secure: parsed.secure,
            host,
            host_only,
            path: path.into(),
            same_site: parsed.same_site,
            http_only: parsed.http_only,
            partition: partition.map(|_| Arc::clone(&place.partition)),
            // Step 4.
            creation_time: now,
            expiry_time: parsed.expiry_time,
            last_access_time: now,
            sequence: self.next_sequence,
        };
        self.next_sequence += 1;
        section.change(&place, |cookies| insert(cookies, cookie, old_cookie, context))
    }

    /// Whether a cookie from an insecure origin would overlay a secure one: Steps 10.2.1 to 10.2.4 of
    /// store a cookie.
    // NB: compares with the cookies that may be sent together with the new one: the unpartitioned
    // cookies and those of the same partition. Otherwise a site could learn about its other partitions.
    fn has_overlaid(
        &self,
        name: &[u8],
        host: &Host<&str>,
        path: &str,
        partition: Option<&str>,
    ) -> bool {
        let site = site_host(host).to_owned();
        let partitioned = partition.map(|key| self.partitioned.get(key, &site));
        [Some(self.unpartitioned.get(UNPARTITIONED, &site)), partitioned]
            .into_iter()
            .flatten()
            .flatten()
            .any(|existing| {
                let existing_host = borrowed(&existing.host);
                *existing.name == *name
                    && existing.secure
                    && (domain_matches(&existing_host, host)
                        || domain_matches(host, &existing_host))
                    && path_matches(path, &existing.path)
            })
    }
}

/// Steps 5 and 7 of store a cookie, for a cookie with a `Domain` attribute. Returns whether the cookie is
/// host-only.
fn bind_to_domain(domain: &Host<&str>, context: &AccessContext<'_>) -> Result<bool, Rejected> {
    // Steps 5.1 and 5.2.
    if is_public_suffix(domain) {
        return if *domain == context.host { Ok(true) } else { Err(Rejected::PublicSuffix) };
    }
    // Step 7.1.
    if !domain_matches(&context.host, domain) {
        return Err(Rejected::DomainMismatch);
    }
    // NB: a public suffix can be below a registrable domain, as s3.amazonaws.com is. The sites below
    // it must not set cookies for each other by naming the domain above. Chromium has the same rule.
    if site_host(domain) != site_host(&context.host) {
        return Err(Rejected::PublicSuffix);
    }
    // Step 7.2.
    Ok(false)
}

/// Steps 13 to 17 of store a cookie.
fn check_prefixes(parsed: &ParsedCookie<'_>, host_only: bool) -> Result<(), Rejected> {
    let host_prefix_compatible = parsed.secure && host_only && parsed.path == Some("/");
    // NB: the draft says "http-only is false" here, which contradicts its own section on `__Http-`.
    let http_prefix_compatible = parsed.secure && parsed.http_only;
    // Step 13.
    if has_prefix(parsed.name, b"__secure-") && !parsed.secure {
        return Err(Rejected::PrefixSecure);
    }
    // Step 14, and half of step 16.
    if has_prefix(parsed.name, b"__host-") && !host_prefix_compatible {
        return Err(Rejected::PrefixHost);
    }
    // Step 15, and the other half of step 16.
    if (has_prefix(parsed.name, b"__http-") || has_prefix(parsed.name, b"__host-http-"))
        && !http_prefix_compatible
    {
        return Err(Rejected::PrefixHttp);
    }
    // Step 17.
    let prefixes: [&[u8]; 4] = [b"__secure-", b"__host-", b"__http-", b"__host-http-"];
    if parsed.name.is_empty() && prefixes.iter().any(|prefix| has_prefix(parsed.value, prefix)) {
        return Err(Rejected::PrefixInNamelessValue);
    }
    Ok(())
}

fn has_prefix(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The cookie partition key under which a cookie is stored:
/// [using Set-Cookie with Partitioned](https://github.com/privacycg/CHIPS#using-set-cookie-with-partitioned)
/// and third-party cookie controls. `None` for an unpartitioned cookie.
fn partition_of<'a>(
    parsed: &ParsedCookie<'_>,
    context: &AccessContext<'a>,
) -> Result<Option<&'a str>, Rejected> {
    if !parsed.partitioned {
        return if context.unpartitioned_allowed {
            Ok(None)
        } else {
            Err(Rejected::UnpartitionedBlocked)
        };
    }
    if !parsed.secure {
        return Err(Rejected::PartitionedWithoutSecure);
    }
    context.partition.map(Some).ok_or(Rejected::PartitionedWithoutKey)
}

/// Steps 18 to 20 of store a cookie.
fn insert(
    cookies: &mut Vec<Cookie>,
    mut cookie: Cookie,
    old_cookie: Option<usize>,
    context: &AccessContext<'_>,
) -> Result<(), Rejected> {
    let Some(old_cookie) = old_cookie.and_then(|index| cookies.get_mut(index)) else {
        // Step 19.
        cookies.push(cookie);
        return Ok(());
    };
    // Step 18.1.
    if !context.http_only_allowed && old_cookie.http_only {
        return Err(Rejected::OverwritesHttpOnly);
    }
    // Step 18.2. NB: nothing to do. Until https://github.com/httpwg/http-extensions/pull/3510 the step
    // refused a cookie that differs from the old one only in its value or in `HttpOnly`. Now the step is
    // about change events (WPT cookies/attributes/httponly-overwrite).
    // Step 18.3.
    cookie.creation_time = old_cookie.creation_time;
    cookie.sequence = old_cookie.sequence;
    // Steps 18.4 and 19.
    *old_cookie = cookie;
    Ok(())
}
