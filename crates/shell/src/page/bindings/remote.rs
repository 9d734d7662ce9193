//! The native functions of windows whose documents other processes run.

use std::rc::Rc;

use rquickjs::Object;
use serde::{
    Deserialize,
    de::{IntoDeserializer, value},
};

use crate::page::{
    navigable::NavigableId,
    remote::{Command, PostedMessage, WindowMessage},
    window::Window,
};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "postMessage" => |this, source: Option<u32>, origin: String, target_origin: String,
            text: String| {
            if let (Some(source), Some(target)) = (source, this.navigable.get()) {
                let source = NavigableId(source);
                let posted = PostedMessage { source, origin, target_origin, text };
                this.host().send(target, WindowMessage::PostMessage(Box::new(posted)));
            }
        },
        "command" => |this, name: String| {
            let name: value::StrDeserializer<'_, value::Error> = name.as_str().into_deserializer();
            if let (Ok(command), Some(target)) = (Command::deserialize(name), this.navigable.get()) {
                this.host().command(target, command);
            }
        },
    }
    Ok(())
}
