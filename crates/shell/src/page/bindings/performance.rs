//! The native functions of `performance`: the clock, and the conversion of fetch timings.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{Ctx, Function, IntoJs, Object, Value};

use super::{bare_object, to_number};
use crate::page::{ResourceTiming, window::Window};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    native.set("timeOrigin", window.time_origin.unix_milliseconds)?;
    let window = Rc::clone(window);
    let now = move || milliseconds(window.time_origin.at.elapsed());
    native.set("now", Function::new(native.ctx().clone(), now)?)
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
