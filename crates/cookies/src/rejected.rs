//! Why a cookie was not stored.

use thiserror::Error;

/// Why a cookie was not stored. The message of each case says what the author has to change.
///
/// Show it in a console or a log. Script and servers must not learn it: `document.cookie` and
/// `Set-Cookie` fail silently.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The `Set-Cookie` value has one of the bytes 0x00 to 0x08, 0x0A to 0x1F and 0x7F.
    #[error("remove the control character")]
    ControlCharacter,
    /// The cookie has neither a name nor a value.
    #[error("give the cookie a name or a value")]
    Empty,
    /// The name and the value together have more than 4096 bytes.
    #[error("shorten the name and the value to 4096 bytes together")]
    TooLarge,
    /// The `Domain` attribute is not a host.
    #[error("the Domain attribute is not a valid host")]
    Domain,
    /// The `Domain` attribute names a public suffix, or a domain above the host's public suffix.
    #[error("name a registrable domain in the Domain attribute, not a public suffix")]
    PublicSuffix,
    /// The host is not in the domain that the `Domain` attribute names.
    #[error("the Domain attribute must name the host or a domain it is in")]
    DomainMismatch,
    /// The `Path` attribute has a byte outside ASCII, which no URL path has.
    #[error("percent-encode the Path attribute")]
    Path,
    /// The cookie has no `Path` attribute, and the default path has more than 4096 bytes.
    #[error("set a Path attribute: the default path is too long")]
    PathTooLong,
    /// A `Secure` cookie came over an insecure connection.
    #[error("set a Secure cookie over https")]
    SecureFromInsecure,
    /// A cookie that came over an insecure connection would overlay a `Secure` cookie.
    #[error("a Secure cookie of this name exists: set this one over https")]
    OverlaysSecure,
    /// Script tried to set an `HttpOnly` cookie.
    #[error("set an HttpOnly cookie with Set-Cookie, not from script")]
    HttpOnlyFromScript,
    /// Script tried to replace an `HttpOnly` cookie.
    #[error("an HttpOnly cookie of this name exists: replace it with Set-Cookie")]
    OverwritesHttpOnly,
    /// A cookie that is not `SameSite=None` came in a cross-site context.
    #[error("a cookie set cross-site needs SameSite=None and Secure")]
    CrossSite,
    /// The cookie has `SameSite=None` and not `Secure`.
    #[error("SameSite=None needs Secure")]
    SameSiteNoneWithoutSecure,
    /// The name has the prefix `__Secure-`, and the cookie is not `Secure`.
    #[error("the prefix __Secure- needs Secure")]
    PrefixSecure,
    /// The name has the prefix `__Host-`, and the cookie is not bound to its host.
    #[error("the prefix __Host- needs Secure and Path=/, and no Domain")]
    PrefixHost,
    /// The name has the prefix `__Http-` or `__Host-Http-`, and script could see or set the cookie.
    #[error("the prefixes __Http- and __Host-Http- need Secure and HttpOnly")]
    PrefixHttp,
    /// The cookie has no name, and a server would take its value for a name with a prefix.
    #[error("a cookie without a name must not have a value that begins with a name prefix")]
    PrefixInNamelessValue,
    /// The cookie has `Partitioned` and not `Secure`.
    #[error("Partitioned needs Secure")]
    PartitionedWithoutSecure,
    /// The cookie has `Partitioned`, and the context has no partition.
    #[error("there is no top-level site to partition by")]
    PartitionedWithoutKey,
    /// The user agent blocks third-party cookies, and the cookie is not partitioned.
    #[error("third-party cookies are blocked: use Partitioned")]
    UnpartitionedBlocked,
}
