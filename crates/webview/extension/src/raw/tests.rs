//! The native functions in `JavaScriptCore` alone, without a web process. `crates/webview/sanitize` runs these tests under
//! the address sanitizer and Valgrind.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::function;
use crate::api::prelude::*;

/// Makes so much garbage that the engine collects it.
const COLLECT: &str = "for (let i = 0; i < 200; i++) new Uint8Array(1_000_000); 0";

/// Counts how often a function is dropped.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn evaluate(context: &Context, script: &str) -> Value {
    context.evaluate(script).expect("the engine returns a value")
}

/// Says of each argument what kind it is.
fn kinds(context: &Context, arguments: &[Value]) -> Value {
    let kind = |it: &Value| {
        if it.is_undefined() {
            "undefined".to_owned()
        } else if it.is_null() {
            "null".to_owned()
        } else if it.is_boolean() {
            format!("boolean {}", it.to_boolean())
        } else if it.is_number() {
            format!("number {}", it.to_double())
        } else if it.is_string() {
            format!("string {}", it.to_string_as_bytes().map_or(0, |it| it.len()))
        } else if it.is_array() {
            "array".to_owned()
        } else if it.is_function() {
            "function".to_owned()
        } else if it.is_object() {
            "object".to_owned()
        } else {
            "other".to_owned()
        }
    };
    let kinds: Vec<_> = arguments.iter().map(kind).collect();
    Value::new_string(context, Some(&kinds.join(", ")))
}

#[test]
fn a_function_gets_arguments_of_every_kind() {
    let context = Context::new();
    context.set_value("kinds", &function(&context, "kinds", kinds));
    for (arguments, expected) in [
        ("", ""),
        ("undefined, null", "undefined, null"),
        ("true, 1.5, -0, NaN", "boolean true, number 1.5, number -0, number NaN"),
        // A text with a lone surrogate has no bytes.
        ("'', 'a\\0b', '\\u{1F600}', '\\uD800'", "string 0, string 3, string 4, string 0"),
        ("'x'.repeat(1_000_000)", "string 1000000"),
        ("[], new Array(100), () => 1, class {}", "array, array, function, function"),
        (
            "{}, /a/, new Date(), new Map(), new Uint8Array(9)",
            "object, object, object, object, object",
        ),
        ("Promise.reject(1), new Proxy({}, {}), globalThis", "object, object, object"),
        ("Symbol.iterator, 10n", "other, other"),
        ("new Proxy(function () {}, {}), kinds", "function, function"),
    ] {
        let answer = evaluate(&context, &format!("kinds({arguments})"));
        assert_eq!(answer.to_str(), expected, "{arguments}");
    }
    let many = evaluate(&context, "kinds(...new Array(10_000).fill(1))");
    assert_eq!(many.to_str().len(), 10_000 * "number 1".len() + 9_999 * ", ".len());
}

#[test]
fn a_function_returns_values_of_every_kind() {
    let context = Context::new();
    let given = function(&context, "given", |context, arguments| {
        arguments.first().cloned().unwrap_or_else(|| Value::new_null(context))
    });
    context.set_value("given", &given);
    let all =
        "[undefined, null, true, 1, 'a', {}, [], () => 1, Symbol.iterator, 10n, given, globalThis]";
    let same = evaluate(
        &context,
        &format!("{all}.every((it) => Object.is(given(it), it)) && given() === null"),
    );
    assert!(same.to_boolean());
    let shape = evaluate(&context, "[typeof given, given.name, given.length].join()");
    assert_eq!(shape.to_str(), "function,given,0");
    let shape = evaluate(&context, "try { new given() } catch (e) { e.name }");
    assert!(["TypeError", "[object Object]"].contains(&&*shape.to_str()), "{}", shape.to_str());
}

#[test]
fn a_function_may_be_called_again_while_it_runs() {
    let context = Context::new();
    let depth = Rc::new(Cell::new(0));
    let for_call = Rc::clone(&depth);
    let again = function(&context, "again", move |context, arguments| {
        for_call.set(for_call.get() + 1);
        let next = arguments.first().cloned().expect("it is called with a function");
        next.function_callv(&[]).unwrap_or_else(|| Value::new_undefined(context))
    });
    context.set_value("again", &again);
    let last = evaluate(
        &context,
        "let n = 0; const next = () => (++n < 50 ? again(next) : n); again(next)",
    );
    assert_eq!((last.to_int32(), depth.get()), (50, 50));
    let thrown = evaluate(&context, "try { again(() => { throw 'thrown' }) } catch (it) { it }");
    assert_eq!(thrown.to_str(), "thrown");
}

#[test]
fn a_function_whose_last_reference_goes_during_its_call_lives_until_the_call_ends() {
    let context = Context::new();
    let dropped = Rc::new(Cell::new(0));
    let (counted, for_call) = (Counted(Rc::clone(&dropped)), Rc::clone(&dropped));
    let own = function(&context, "own", move |context, _| {
        let Counted(count) = &counted;
        evaluate(context, &format!("delete globalThis.own; {COLLECT}"));
        assert_eq!(count.get(), 0, "it still runs");
        assert!(Rc::ptr_eq(count, &for_call));
        Value::new_number(context, 7.0)
    });
    context.set_value("own", &own);
    drop(own);
    assert_eq!(evaluate(&context, "own()").to_int32(), 7);
    drop(context);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn each_function_is_dropped_once_when_the_engine_frees_it() {
    let dropped = Rc::new(Cell::new(0));
    let context = Context::new();
    for _ in 0..1_000 {
        let counted = Counted(Rc::clone(&dropped));
        let one = function(&context, "one", move |context, _| {
            Value::new_number(context, f64::from(counted.0.get()))
        });
        context.set_value("one", &one);
        drop(one);
        evaluate(&context, "one()");
    }
    evaluate(&context, COLLECT);
    let before = dropped.get();
    assert!(before > 0 && before < 1_000, "the engine has collected {before}");
    drop(context);
    assert_eq!(dropped.get(), 1_000);
}

#[test]
fn what_a_function_keeps_may_be_values_of_the_engine() {
    let context = Context::new();
    let kept: Rc<RefCell<Vec<Value>>> = Rc::default();
    let for_call = Rc::clone(&kept);
    let keep = function(&context, "keep", move |context, arguments| {
        for_call.borrow_mut().extend_from_slice(arguments);
        Value::new_undefined(context)
    });
    context.set_value("keep", &keep);
    evaluate(&context, "for (let i = 0; i < 100; i++) keep({ i }, [i], () => i)");
    evaluate(&context, COLLECT);
    let values = kept.take();
    assert_eq!(values.len(), 300);
    let sum: i32 = values
        .iter()
        .skip(2)
        .step_by(3)
        .filter_map(|it| it.function_callv(&[]))
        .map(|it| it.to_int32())
        .sum();
    assert_eq!(sum, 4_950);
    // The values keep the engine's context after `context` was dropped.
    drop((keep, context));
    assert!(values.iter().all(Value::is_object));
}

#[test]
fn a_function_may_be_called_from_another_context_of_its_machine() {
    let first = Context::new();
    let machine = first.virtual_machine().expect("a context has a machine");
    let second = Context::with_virtual_machine(&machine);
    let kinds = function(&first, "kinds", kinds);
    second.set_value("kinds", &kinds);
    drop(first);
    let answer = evaluate(&second, "kinds(1, {}, () => 1)");
    assert_eq!(answer.to_str(), "number 1, object, function");
}
