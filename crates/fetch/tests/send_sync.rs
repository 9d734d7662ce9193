//! Which public types of the crate are `Send` and `Sync`, checked by the compiler.

use sendbeacon_fetch::{
    AbandonReason, AddressSpace, Blob, BlobSource, Body, BodyInit, CacheMode, Client,
    ContainerPolicy, CorsFailure, CredentialsMode, CspDisposition, CspList, CspViolation,
    DeferredRequestInit, EmbedderPolicy, Extracted, FetchLaterError, FormDataEntry, FormDataValue,
    Inflight, InitiatorType, InvalidOrigin, KeepaliveLimits, Ledger, MemoryHstsStore, Mode,
    NavigableContainer, NetworkError, Nonce, Origin, PartitionKey, PermissionsPolicy,
    PolicyFeature, PreflightFailure, RedirectFailure, RedirectMode, Referrer, ReferrerPolicy,
    Request, Reservation, ReservedQuota, Response, ResponseType, Site, TimeoutKind, TypeError,
    beacon::Beacon,
    fetch::{NoObserver, Observation, Observer, Profile},
    host::{
        Answer, AuthenticationEntries, BodyStream, Clock, ConnectionKey, CookieStore, EmptyBody,
        HstsEntry, HstsStore, HttpCache, InterceptedRequest, Interception, Interceptor,
        LocalNetworkAccess, Network, NetworkRequest, NetworkResponse, NoAuthenticationEntries,
        NoHttpCache, NoServiceWorkers, PassEverything, Random, RefuseAll, SameSiteMode,
        ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    },
};

const fn is_send_and_sync<T: Send + Sync>() {}
const fn is_send<T: Send>() {}

const _: () = {
    is_send_and_sync::<AbandonReason>();
    is_send_and_sync::<AddressSpace>();
    is_send_and_sync::<Beacon>();
    is_send_and_sync::<Blob>();
    is_send_and_sync::<Body>();
    is_send_and_sync::<BodyInit<'_>>();
    is_send_and_sync::<CacheMode>();
    is_send_and_sync::<Client>();
    is_send_and_sync::<ConnectionKey>();
    is_send_and_sync::<ContainerPolicy>();
    is_send_and_sync::<CorsFailure>();
    is_send_and_sync::<CredentialsMode>();
    is_send_and_sync::<CspDisposition>();
    is_send_and_sync::<CspList>();
    is_send_and_sync::<CspViolation>();
    is_send_and_sync::<DeferredRequestInit>();
    is_send_and_sync::<EmbedderPolicy>();
    is_send_and_sync::<EmptyBody>();
    is_send_and_sync::<Extracted<'_>>();
    is_send_and_sync::<FetchLaterError>();
    is_send_and_sync::<FormDataEntry>();
    is_send_and_sync::<FormDataValue>();
    is_send_and_sync::<HstsEntry>();
    is_send_and_sync::<Inflight>();
    is_send_and_sync::<InitiatorType>();
    is_send_and_sync::<InterceptedRequest<'_>>();
    is_send_and_sync::<InvalidOrigin>();
    is_send_and_sync::<KeepaliveLimits>();
    is_send_and_sync::<Ledger>();
    is_send_and_sync::<MemoryHstsStore>();
    is_send_and_sync::<Mode>();
    is_send_and_sync::<NavigableContainer>();
    is_send_and_sync::<NetworkError>();
    is_send_and_sync::<NetworkRequest>();
    is_send_and_sync::<NoAuthenticationEntries>();
    is_send_and_sync::<NoHttpCache>();
    is_send_and_sync::<NoObserver>();
    is_send_and_sync::<NoServiceWorkers>();
    is_send_and_sync::<Nonce>();
    is_send_and_sync::<Observation>();
    is_send_and_sync::<Origin>();
    is_send_and_sync::<PartitionKey>();
    is_send_and_sync::<PassEverything>();
    is_send_and_sync::<PermissionsPolicy>();
    is_send_and_sync::<PolicyFeature>();
    is_send_and_sync::<PreflightFailure>();
    is_send_and_sync::<Profile>();
    is_send_and_sync::<RedirectFailure>();
    is_send_and_sync::<RedirectMode>();
    is_send_and_sync::<Referrer>();
    is_send_and_sync::<ReferrerPolicy>();
    is_send_and_sync::<RefuseAll>();
    is_send_and_sync::<Request>();
    is_send_and_sync::<Reservation>();
    is_send_and_sync::<ReservedQuota>();
    is_send_and_sync::<ResponseType>();
    is_send_and_sync::<SameSiteMode>();
    is_send_and_sync::<Site>();
    is_send_and_sync::<TimeoutKind>();
    is_send_and_sync::<TypeError>();
    is_send_and_sync::<Box<dyn AuthenticationEntries>>();
    is_send_and_sync::<Box<dyn BlobSource>>();
    is_send_and_sync::<Box<dyn Clock>>();
    is_send_and_sync::<Box<dyn CookieStore>>();
    is_send_and_sync::<Box<dyn HstsStore>>();
    is_send_and_sync::<Box<dyn HttpCache>>();
    is_send_and_sync::<Box<dyn Interceptor>>();
    is_send_and_sync::<Box<dyn LocalNetworkAccess>>();
    is_send_and_sync::<Box<dyn Network>>();
    is_send_and_sync::<Box<dyn Observer>>();
    is_send_and_sync::<Box<dyn Random>>();
    is_send_and_sync::<Box<dyn ServiceWorkers>>();

    // Each holds a body that is read by one reader at a time.
    is_send::<Answer<()>>();
    is_send::<Box<dyn BodyStream>>();
    is_send::<Interception>();
    is_send::<NetworkResponse>();
    is_send::<Response>();
    is_send::<ServiceWorkerAnswer>();
    is_send::<ServiceWorkerResponse>();
};
