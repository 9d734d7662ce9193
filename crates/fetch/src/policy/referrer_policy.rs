//! [Referrer policies](https://w3c.github.io/webappsec-referrer-policy/#referrer-policies) and the `Referrer-Policy` header.

use std::str::FromStr;

use http::{HeaderMap, header::REFERRER_POLICY};

use crate::headers::extract::get;

/// A [referrer policy](https://w3c.github.io/webappsec-referrer-policy/#referrer-policy). The policy "the empty string"
/// is `None` of an `Option<ReferrerPolicy>`.
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
    /// `strict-origin-when-cross-origin`. The default.
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
    /// returns the last token that names a policy. `None` is the empty string.
    #[must_use]
    pub fn parse_header(headers: &HeaderMap) -> Option<Self> {
        // Step 1.
        let value = get(headers, &REFERRER_POLICY)?;
        // Steps 2 to 4.
        let tokens = value.split(|&byte| byte == b',');
        tokens.rev().find_map(|token| str::from_utf8(token).ok()?.trim().parse().ok())
    }
}
