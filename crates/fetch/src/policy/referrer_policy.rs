//! [Referrer policies](https://w3c.github.io/webappsec-referrer-policy/#referrer-policies) and the `Referrer-Policy` header.

use std::str::FromStr;

use http::{HeaderMap, header::REFERRER_POLICY};

use crate::headers::extract::tokens;

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
    /// returns the last token that names a policy.
    ///
    /// `None` is the empty string: there is no header, no token is known, or one of the values is not a list of tokens.
    #[must_use]
    pub fn parse_header(headers: &HeaderMap) -> Option<Self> {
        // Step 1. NB: a token is a name of letters and hyphens, so not every token of HTTP is one.
        let is_name_byte = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        // Step 2.
        let mut policy = None;
        for token in tokens(headers, &REFERRER_POLICY) {
            let token = token.ok().filter(|token| token.bytes().all(is_name_byte))?;
            // Step 3.
            policy = token.parse().ok().or(policy);
        }
        // Step 4.
        policy
    }
}
