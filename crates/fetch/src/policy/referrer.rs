//! [Referrer Policy](https://w3c.github.io/webappsec-referrer-policy/).

use std::str::FromStr;

use http::{HeaderMap, header::REFERRER_POLICY};
use url::Url;

use super::secure_contexts::is_potentially_trustworthy;
use crate::{Origin, Request, headers::extract::get, origin::same_origin, request::Referrer};

/// A [referrer policy](https://w3c.github.io/webappsec-referrer-policy/#referrer-policy) other than
/// the empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReferrerPolicy {
    /// `no-referrer`
    NoReferrer,
    /// `no-referrer-when-downgrade`
    NoReferrerWhenDowngrade,
    /// `same-origin`
    SameOrigin,
    /// `origin`
    Origin,
    /// `strict-origin`
    StrictOrigin,
    /// `origin-when-cross-origin`
    OriginWhenCrossOrigin,
    /// `strict-origin-when-cross-origin`, the default.
    #[default]
    StrictOriginWhenCrossOrigin,
    /// `unsafe-url`
    UnsafeUrl,
}

impl FromStr for ReferrerPolicy {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        const NAMES: [(&str, ReferrerPolicy); 8] = [
            ("no-referrer", ReferrerPolicy::NoReferrer),
            ("no-referrer-when-downgrade", ReferrerPolicy::NoReferrerWhenDowngrade),
            ("same-origin", ReferrerPolicy::SameOrigin),
            ("origin", ReferrerPolicy::Origin),
            ("strict-origin", ReferrerPolicy::StrictOrigin),
            ("origin-when-cross-origin", ReferrerPolicy::OriginWhenCrossOrigin),
            ("strict-origin-when-cross-origin", ReferrerPolicy::StrictOriginWhenCrossOrigin),
            ("unsafe-url", ReferrerPolicy::UnsafeUrl),
        ];
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(token))
            .map(|(_, policy)| *policy)
            .ok_or(())
    }
}

impl ReferrerPolicy {
    /// [Parse a referrer policy from a `Referrer-Policy` header](https://w3c.github.io/webappsec-referrer-policy/#parse-referrer-policy-from-header):
    /// the last token that is a policy; `None` is the empty string.
    #[must_use]
    pub fn parse_header(headers: &HeaderMap) -> Option<Self> {
        // Step 1.
        let value = get(headers, &REFERRER_POLICY)?;
        // Steps 2 to 4.
        let tokens = value.split(|&byte| byte == b',');
        tokens.rev().find_map(|token| str::from_utf8(token).ok()?.trim().parse().ok())
    }
}

/// [Set request's referrer policy on redirect](https://w3c.github.io/webappsec-referrer-policy/#set-requests-referrer-policy-on-redirect).
pub(crate) fn set_policy_on_redirect(request: &mut Request, response_headers: &HeaderMap) {
    // Steps 1 and 2.
    if let Some(policy) = ReferrerPolicy::parse_header(response_headers) {
        request.referrer_policy = Some(policy);
    }
}

/// [Determine request's Referrer](https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer):
/// that of its current URL by `policy`. For an embedder whose navigations do not go through the library.
#[must_use]
pub fn determine_referrer(request: &Request, policy: ReferrerPolicy) -> Referrer {
    use ReferrerPolicy as P;
    // Steps 1 and 2. Step 3.
    let source = match &request.referrer {
        Referrer::NoReferrer => return Referrer::NoReferrer,
        Referrer::Client => {
            if matches!(request.client.origin, Origin::Opaque(_)) {
                return Referrer::NoReferrer;
            }
            &request.client.creation_url
        }
        Referrer::Url(url) => url,
    };
    // Steps 4 to 6, each done where step 8 wants it: only one of the two is sent, and stripping
    // changes nothing of what is compared.
    let origin = || strip_url(source, true);
    let url = || strip_url(source, false).filter(|url| url.as_str().len() <= 4096).or_else(origin);
    // Step 7 is the user agent's liberty, not taken. Step 8.
    let current = request.current_url();
    let is_same_origin = same_origin(source, current);
    let is_downgrade = is_potentially_trustworthy(source) && !is_potentially_trustworthy(current);
    let referrer = match policy {
        P::SameOrigin | P::OriginWhenCrossOrigin | P::StrictOriginWhenCrossOrigin
            if is_same_origin =>
        {
            url()
        }
        P::StrictOrigin | P::StrictOriginWhenCrossOrigin | P::NoReferrerWhenDowngrade
            if is_downgrade =>
        {
            None
        }
        P::NoReferrer | P::SameOrigin => None,
        P::Origin | P::StrictOrigin | P::OriginWhenCrossOrigin | P::StrictOriginWhenCrossOrigin => {
            origin()
        }
        P::UnsafeUrl | P::NoReferrerWhenDowngrade => url(),
    };
    referrer.map_or(Referrer::NoReferrer, Referrer::Url)
}

/// [Strip url for use as a referrer](https://w3c.github.io/webappsec-referrer-policy/#strip-url).
fn strip_url(url: &Url, origin_only: bool) -> Option<Url> {
    // Step 2: a local scheme; so too a URL that can have no host, whose credentials the next steps
    // could not set.
    if url.cannot_be_a_base() || matches!(url.scheme(), "about" | "blob" | "data") {
        return None;
    }
    let mut url = url.clone();
    // Steps 3 and 4: they fail only where there is no host, and then there are no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    // Step 5.
    url.set_fragment(None);
    // Step 6.
    if origin_only {
        url.set_path("");
        url.set_query(None);
    }
    Some(url)
}
