//! Exceptions and promise rejections that no script handles.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
    ptr::NonNull,
};

use rquickjs::{Coerced, Ctx, FromJs, Object, Value, qjs::JSContext};

/// Identifies a JavaScript context.
pub(super) type ContextId = NonNull<JSContext>;

/// A promise rejected without a handler.
pub(super) struct Rejection {
    pub(super) context: ContextId,
    pub(super) reason: String,
    /// The [`identity`] of the promise.
    promise: u64,
}

/// The [about-to-be-notified rejected promises list](https://html.spec.whatwg.org/multipage/webappapis.html#about-to-be-notified-rejected-promises-list).
#[derive(Default)]
pub(super) struct Rejections(RefCell<Vec<Rejection>>);

impl Rejections {
    /// [HostPromiseRejectionTracker](https://html.spec.whatwg.org/multipage/webappapis.html#the-hostpromiserejectiontracker-implementation)
    pub(super) fn track<'js>(
        &self,
        ctx: &Ctx<'js>,
        promise: &Value<'js>,
        reason: &Value<'js>,
        is_handled: bool,
    ) {
        let promise = identity(promise);
        if is_handled {
            self.0.borrow_mut().retain(|rejection| rejection.promise != promise);
            return;
        }
        let reason = describe(ctx, reason);
        self.0.borrow_mut().push(Rejection { context: ctx.as_raw(), reason, promise });
    }

    pub(super) fn take(&self) -> Vec<Rejection> {
        self.0.take()
    }
}

/// A number that identifies a value as long as the value lives.
///
/// NB: the list of rejections keeps this number instead of the promise, because a reference to the promise could
/// outlive the JavaScript heap.
fn identity(value: &Value<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

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
