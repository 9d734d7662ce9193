//! The script side: documents, their fetch groups, and what the calls of scripts return.

mod deferred_fetch;
mod document;
mod fetch_group;
mod groups;
mod keepalive_reservation;
mod pending_response;

pub(crate) use self::groups::Groups;
pub use self::{
    deferred_fetch::DeferredFetch,
    document::{Document, DocumentLifecycle, VisibilityState},
    fetch_group::FetchGroup,
    keepalive_reservation::KeepaliveReservation,
    pending_response::PendingResponse,
};
