//! The Beacon and Fetch algorithms as far as a keepalive request reaches them.
//!
//! This crate is the standards and nothing else: no sockets, no runtime, no clock and no source of
//! randomness of its own. One algorithm of a standard is one function, named as the standard names
//! it, in a file named after its section; `// Step 4.2.` stands above the code of that step, `// NB:`
//! before a remark of ours, and `// TODO(spec):` where a step is missing. `docs/SPEC-MAP.md` lists
//! every step.
//!
//! [`beacon::send_beacon`] runs on the script thread and admits a beacon or refuses it;
//! [`fetch::fetch`] runs on the network side over a [`host::Network`]. Engines use both through the
//! `sendbeacon` crate.

pub mod beacon;
mod body;
mod client;
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub mod deferred;
mod error;
mod error_detail;
pub mod fetch;
mod headers;
pub mod host;
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub mod hyperlink_auditing;
mod keepalive;
mod nonce;
mod origin;
mod policy;
mod pruning;
mod request;
mod response;
mod url_memo;

pub use self::{
    body::{Blob, BlobSource, Body, BodyInit, Extracted, FormDataEntry, FormDataValue, extract},
    client::{Client, EmbedderPolicy},
    deferred::{DeferredRequestInit, FetchLaterError, NavigableContainer, ReservedQuota},
    error::{
        AbandonReason, CorsFailure, NetworkError, PreflightFailure, RedirectFailure, TimeoutKind,
        TypeError,
    },
    error_detail::ErrorDetail,
    headers::origin_header::append_origin,
    keepalive::{Inflight, KeepaliveLimits, Ledger, Reservation, Weight, url_length},
    nonce::Nonce,
    origin::{InvalidOrigin, Origin, PartitionKey, Site},
    policy::{
        address_space::AddressSpace,
        csp::{CspDisposition, CspList, CspViolation, report_violation},
        hsts::MemoryHstsStore,
        local_network_access::local_network_access_check,
        permissions_policy::{ContainerPolicy, PermissionsPolicy, PolicyFeature},
        referrer::determine_referrer,
        referrer_policy::ReferrerPolicy,
        secure_contexts::{is_localhost, is_potentially_trustworthy},
    },
    pruning::Pruning,
    request::{CacheMode, CredentialsMode, InitiatorType, Mode, RedirectMode, Referrer, Request},
    response::{Response, ResponseType},
};
