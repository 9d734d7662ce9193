//! The native functions of `performance` and `Intl`: the clock, the time zone, and the conversion of fetch timings.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{Ctx, IntoJs, Object, Value};

use super::{bare_object, to_number};
use crate::page::{NavigationTiming, ResourceTiming, window::Window};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "timeOrigin" => |this| this.time_origin.get().unix_milliseconds,
        "now" => |this| milliseconds(this.time_origin.get().at.elapsed()),
        "timeZone" => |_this| {
            iana_time_zone::get_timezone().map_or_else(|_| "UTC".to_owned(), canonical_time_zone)
        },
        "navigationTiming" => |this| {
            let navigation = this.environment().navigation.clone()?;
            Some(NavigationSince { navigation, origin: this.time_origin.get().at })
        },
    }
    Ok(())
}

/// [`GetAvailableNamedTimeZoneIdentifier`](https://tc39.es/ecma402/#sec-getavailablenamedtimezoneidentifier), for the names of
/// UTC.
fn canonical_time_zone(name: String) -> String {
    match name.as_str() {
        "Etc/UTC" | "Etc/GMT" | "GMT" | "Etc/UCT" | "UCT" | "Zulu" | "Etc/Zulu" => "UTC".to_owned(),
        _ => name,
    }
}

/// The timing of a document's navigation, whose times become milliseconds since the time origin `origin`.
struct NavigationSince {
    navigation: NavigationTiming,
    origin: Instant,
}

impl<'js> IntoJs<'js> for NavigationSince {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let NavigationTiming { timing, type_, redirect_count } = self.navigation;
        let value = TimingSince { timing, origin: self.origin }.into_js(ctx)?;
        if let Some(object) = value.as_object() {
            object.set("type", type_)?;
            object.set("redirectCount", redirect_count)?;
        }
        Ok(value)
    }
}

/// A timing, whose times become milliseconds since the time origin `origin` of a document.
pub(in crate::page) struct TimingSince {
    pub(in crate::page) timing: ResourceTiming,
    pub(in crate::page) origin: Instant,
}

impl<'js> IntoJs<'js> for TimingSince {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let Self { timing, origin } = self;
        let start = timing.start.saturating_duration_since(origin);
        let after = |offset| milliseconds(start + offset);
        let fetch_start = after(timing.fetch_start);
        let object = bare_object(ctx)?;
        object.set("name", timing.name)?;
        object.set("initiatorType", timing.initiator_type)?;
        object.set("startTime", milliseconds(start))?;
        object.set("redirectStart", timing.redirect_start.map(after))?;
        object.set("redirectEnd", timing.redirect_end.map(after))?;
        object.set("fetchStart", fetch_start)?;
        if let Some(request_start) = timing.request_start {
            // NB: the shell drops the times of connecting that the library reports. These values say that an open
            // connection was used.
            for name in ["domainLookupStart", "domainLookupEnd", "connectStart", "connectEnd"] {
                object.set(name, fetch_start)?;
            }
            object.set("requestStart", after(request_start))?;
        }
        object.set("responseStart", timing.response_start.map(after))?;
        object.set("responseEnd", after(timing.response_end))?;
        object.set("responseStatus", timing.response_status)?;
        object.set("transferSize", to_number(timing.transfer_size))?;
        object.set("encodedBodySize", to_number(timing.encoded_body_size))?;
        object.set("decodedBodySize", to_number(timing.decoded_body_size))?;
        object.set("nextHopProtocol", timing.next_hop_protocol)?;
        Ok(object.into_value())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
