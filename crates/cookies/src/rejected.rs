//! Why a cookie was not stored.

use thiserror::Error;

/// Why a cookie was not stored; each case names what its author has to change.
///
/// Script learns none of this: `document.cookie` and `Set-Cookie` fail silently. It is for a console
/// or a log.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The bytes 0x00 to 0x08, 0x0A to 0x1F and 0x7F may stand nowhere in a `Set-Cookie` value.
    #[error("remove the control character")]
    ControlCharacter,
    /// There is neither a name nor a value.
    #[error("give the cookie a name or a value")]
    Empty,
    /// Name and value together have more than 4096 bytes.
    #[error("shorten name and value to 4096 bytes together")]
    TooLarge,
    /// The `Domain` attribute is not a host.
    #[error("the Domain attribute is not a valid host")]
    Domain,
    /// The `Domain` attribute names a public suffix, or a domain above one.
    #[error("name a registrable domain in the Domain attribute, not a public suffix")]
    PublicSuffix,
    /// The host is not in the domain that the `Domain` attribute names.
    #[error("the Domain attribute must name the host or a domain it is in")]
    DomainMismatch,
    /// The `Path` attribute has a byte that no URL path has.
    #[error("percent-encode the Path attribute")]
    Path,
    /// There is no `Path` attribute, and the default path is too long to be kept.
    #[error("set a Path attribute: the default path is too long")]
    PathTooLong,
    /// A `Secure` cookie came over an insecure connection.
    #[error("set a Secure cookie over https")]
    SecureFromInsecure,
    /// A cookie that came over an insecure connection would overlay a `Secure` one.
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
    /// `SameSite=None` without `Secure`.
    #[error("SameSite=None needs Secure")]
    SameSiteNoneWithoutSecure,
    /// The prefix `__Secure-` on a cookie that is not secure.
    #[error("the prefix __Secure- needs Secure")]
    PrefixSecure,
    /// The prefix `__Host-` on a cookie that is not bound to its host.
    #[error("the prefix __Host- needs Secure and Path=/, and no Domain")]
    PrefixHost,
    /// The prefix `__Http-` or `__Host-Http-` on a cookie that script may see.
    #[error("the prefixes __Http- and __Host-Http- need Secure and HttpOnly")]
    PrefixHttp,
    /// A cookie without a name, whose value a server would take for a prefixed name.
    #[error("a cookie without a name must not have a value that begins with a name prefix")]
    PrefixInNamelessValue,
    /// `Partitioned` without `Secure`.
    #[error("Partitioned needs Secure")]
    PartitionedWithoutSecure,
    /// `Partitioned` where there is no partition.
    #[error("there is no top-level site to partition by")]
    PartitionedWithoutKey,
    /// The user agent blocks cookies that are not partitioned.
    #[error("third-party cookies are blocked: use Partitioned")]
    UnpartitionedBlocked,
}
