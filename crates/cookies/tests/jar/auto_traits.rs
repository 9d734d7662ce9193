//! A compile-time check of `Send` and `Sync`.

use sendbeacon_cookies::{
    AccessContext, ClearContext, Cookie, CookieJar, InvalidLimits, Limits, Rejected, SameSite,
    SameSiteMode,
};

const fn is_send_and_sync<T: Send + Sync>() {}

const _: () = {
    is_send_and_sync::<AccessContext<'_>>();
    is_send_and_sync::<ClearContext<'_>>();
    is_send_and_sync::<Cookie>();
    is_send_and_sync::<CookieJar>();
    is_send_and_sync::<InvalidLimits>();
    is_send_and_sync::<Limits>();
    is_send_and_sync::<Rejected>();
    is_send_and_sync::<SameSite>();
    is_send_and_sync::<SameSiteMode>();
};
