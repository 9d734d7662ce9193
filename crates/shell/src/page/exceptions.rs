//! The description of exceptions, for messages.

use std::ptr::NonNull;

use rquickjs::{Coerced, Ctx, FromJs, Object, Value, qjs::JSContext};

/// Identifies a JavaScript context.
pub(super) type ContextId = NonNull<JSContext>;

/// Describes a thrown value: `Name: message` and the stack for an error, its string conversion for anything else.
pub(super) fn describe<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> String {
    let described = value.as_object().and_then(describe_error).or_else(|| {
        let text = Coerced::<String>::from_js(ctx, value.clone());
        text.ok().map(|text| text.0)
    });
    described.unwrap_or_else(|| {
        // The string conversion has thrown an exception too: forget that one.
        drop(ctx.catch());
        "a value that cannot be shown".into()
    })
}

fn describe_error(object: &Object<'_>) -> Option<String> {
    let name: String = object.get("name").ok()?;
    let message: String = object.get("message").ok()?;
    let stack: Option<String> = object.get("stack").ok();
    let stack = stack.as_deref().map(str::trim_end).unwrap_or_default();
    let separator = if stack.is_empty() { "" } else { "\n" };
    Some(format!("{name}: {message}{separator}{stack}"))
}
