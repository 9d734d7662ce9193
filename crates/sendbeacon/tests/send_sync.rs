//! Which public types of the crate are `Send` and `Sync`, checked by the compiler. Those that it has from
//! `sendbeacon-fetch` are checked there.

use sendbeacon::{
    BuildError, ChannelSink, DeferredFetch, Document, Event, EventKind, EventSink, FetchGroup,
    FetchId, FetchInfo, FetchTiming, KeepaliveReservation, Outcome, PendingResponse, Scheduling,
    ShutdownReport, Timeouts, UserAgent, UserAgentBuilder, VisibilityState,
};

const fn is_send_and_sync<T: Send + Sync>() {}

const _: () = {
    is_send_and_sync::<BuildError>();
    is_send_and_sync::<ChannelSink>();
    is_send_and_sync::<DeferredFetch>();
    is_send_and_sync::<Document>();
    is_send_and_sync::<Event>();
    is_send_and_sync::<EventKind>();
    is_send_and_sync::<FetchGroup>();
    is_send_and_sync::<FetchId>();
    is_send_and_sync::<FetchInfo>();
    is_send_and_sync::<FetchTiming>();
    is_send_and_sync::<KeepaliveReservation>();
    is_send_and_sync::<Outcome>();
    is_send_and_sync::<PendingResponse>();
    is_send_and_sync::<Scheduling>();
    is_send_and_sync::<ShutdownReport>();
    is_send_and_sync::<Timeouts>();
    is_send_and_sync::<UserAgent>();
    is_send_and_sync::<UserAgentBuilder>();
    is_send_and_sync::<VisibilityState>();
    is_send_and_sync::<Box<dyn EventSink>>();
};

#[cfg(feature = "cookies")]
const _: () = {
    is_send_and_sync::<sendbeacon::MemoryCookieStore>();
    is_send_and_sync::<sendbeacon::ThirdPartyCookies>();
};

#[cfg(feature = "remote")]
const _: () = {
    is_send_and_sync::<sendbeacon::remote::ChannelError>();
    is_send_and_sync::<sendbeacon::remote::ContentProcess>();
    is_send_and_sync::<sendbeacon::remote::Pin>();
    is_send_and_sync::<sendbeacon::remote::RemoteUserAgent>();
};
