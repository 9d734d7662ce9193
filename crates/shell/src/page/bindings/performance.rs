//! `performance`: the clock, and what the browser says of fetches.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{Ctx, Function, IntoJs, Object, Value};

use crate::page::{ResourceTiming, window::Window};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    native.set("timeOrigin", window.time_origin.unix_milliseconds)?;
    let window = Rc::clone(window);
    let now = move || milliseconds(window.time_origin.at.elapsed());
    native.set("now", Function::new(native.ctx().clone(), now)?)
}

/// A timing as the document that began at this instant sees it.
pub(in crate::page) struct Seen(pub(in crate::page) ResourceTiming, pub(in crate::page) Instant);

impl<'js> IntoJs<'js> for Seen {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let Self(timing, origin) = self;
        let start = timing.start.saturating_duration_since(origin);
        let after = |offset| milliseconds(start + offset);
        let fetch_start = after(timing.fetch_start);
        let object = Object::new(ctx.clone())?;
        object.set("name", timing.name)?;
        object.set("initiatorType", timing.initiator_type)?;
        object.set("startTime", milliseconds(start))?;
        object.set("redirectStart", timing.redirect_start.map(after))?;
        object.set("redirectEnd", timing.redirect_end.map(after))?;
        object.set("fetchStart", fetch_start)?;
        if let Some(request_start) = timing.request_start {
            // NB: connecting is told apart by nobody, which is how a connection that was there looks.
            for name in ["domainLookupStart", "domainLookupEnd", "connectStart", "connectEnd"] {
                object.set(name, fetch_start)?;
            }
            object.set("requestStart", after(request_start))?;
        }
        object.set("responseStart", timing.response_start.map(after))?;
        object.set("responseEnd", after(timing.response_end))?;
        object.set("responseStatus", timing.response_status)?;
        object.set("transferSize", number(timing.transfer_size))?;
        object.set("encodedBodySize", number(timing.encoded_body_size))?;
        object.set("decodedBodySize", number(timing.decoded_body_size))?;
        object.set("nextHopProtocol", timing.next_hop_protocol)?;
        Ok(object.into_value())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Sizes of bodies come nowhere near 2⁵³.
#[allow(clippy::cast_precision_loss)]
fn number(size: u64) -> f64 {
    size as f64
}
