//! `navigator.sendBeacon` in pages: what the host receives, and what the script sees.

mod common;

use bytes::Bytes;
use common::{Fixture, Recorder, environment};
use sendbeacon_shell::page::{Blob, BodyInit, Environment, FormDataEntry, FormDataValue};

/// The body that the host receives when a page sends `data`.
fn body(data: &str) -> Option<BodyInit> {
    let fixture = Fixture::script(&format!("navigator.sendBeacon('b', {data})"));
    assert_eq!(fixture.console(), [""; 0]);
    let bodies = fixture.bodies();
    assert_eq!(bodies.len(), 1, "{data}");
    bodies.into_iter().next().flatten()
}

#[allow(clippy::unnecessary_wraps, reason = "tests compare it with the host's body")]
fn text(text: &str) -> Option<BodyInit> {
    Some(BodyInit::Text(text.into()))
}

#[allow(clippy::unnecessary_wraps, reason = "tests compare it with the host's body")]
fn bytes(bytes: &'static [u8]) -> Option<BodyInit> {
    Some(BodyInit::Bytes(Bytes::from_static(bytes)))
}

fn blob(bytes: &'static [u8], type_: &str) -> Blob {
    Blob { bytes: Bytes::from_static(bytes), type_: type_.into() }
}

/// The exception that `expression` throws, as `Name: message`, or else its value as a string.
fn thrown(environment: Environment, expression: &str) -> String {
    let script = format!(
        "<script>
        try {{ var r = String({expression}); }} catch (e) {{ r = `${{e.name}}: ${{e.message}}`; }}
        </script>"
    );
    let fixture = Fixture::with(Recorder::default(), environment, &script);
    assert_eq!(fixture.bodies().len(), 0, "{expression}");
    fixture.get("r").trim_matches('"').to_owned()
}

#[test]
fn null_undefined_and_no_argument_mean_no_body() {
    assert_eq!(body("null"), None);
    assert_eq!(body("undefined"), None);
    let fixture = Fixture::script("navigator.sendBeacon('b')");
    assert_eq!(fixture.bodies(), [None]);
}

#[test]
fn other_values_are_converted_to_strings() {
    assert_eq!(body("'hello'"), text("hello"));
    assert_eq!(body("''"), text(""));
    assert_eq!(body("'a\\ud800b\\udc00c'"), text("a\u{fffd}b\u{fffd}c"));
    assert_eq!(body("'\\ud83d\\ude00 \\0'"), text("\u{1f600} \0"));
    assert_eq!(body("42"), text("42"));
    assert_eq!(body("false"), text("false"));
    assert_eq!(body("({ a: 1 })"), text("[object Object]"));
    assert_eq!(body("[1, 2]"), text("1,2"));
    assert_eq!(body("new Request('b')"), text("[object Request]"));
    assert_eq!(body("new String('boxed')"), text("boxed"));
}

#[test]
fn buffers_and_views_are_sent_as_their_bytes() {
    assert_eq!(body("new Uint8Array([0, 1, 254, 255]).buffer"), bytes(&[0, 1, 254, 255]));
    assert_eq!(body("new Uint16Array([1, 258])"), bytes(&[1, 0, 2, 1]));
    assert_eq!(body("new DataView(new Uint8Array([9, 8, 7, 6]).buffer, 1, 2)"), bytes(&[8, 7]));
    assert_eq!(body("new ArrayBuffer(0)"), bytes(b""));
}

#[test]
fn a_detached_buffer_is_an_empty_body() {
    for make in ["b", "new Uint8Array(b)", "new DataView(b)"] {
        let fixture = Fixture::script(&format!(
            "var b = new ArrayBuffer(4), v = {make};
             structuredClone(b, {{ transfer: [b] }});
             navigator.sendBeacon('b', v);"
        ));
        assert_eq!(fixture.bodies(), [bytes(b"")], "{make}");
    }
}

#[test]
fn shared_and_resizable_buffers_throw() {
    let isolated = Environment { cross_origin_isolated: true, ..environment() };
    for data in [
        "new SharedArrayBuffer(4)",
        "new Uint8Array(new SharedArrayBuffer(4))",
        "new ArrayBuffer(4, { maxByteLength: 8 })",
        "new DataView(new ArrayBuffer(4, { maxByteLength: 8 }))",
    ] {
        let thrown = thrown(isolated.clone(), &format!("navigator.sendBeacon('b', {data})"));
        assert!(thrown.starts_with("TypeError: "), "{data}: {thrown}");
    }
    assert_eq!(Fixture::script("").get("typeof SharedArrayBuffer"), "\"undefined\"");
}

#[test]
fn blobs_and_files_keep_their_type() {
    let typed = |it| Some(BodyInit::Blob(it));
    assert_eq!(body("new Blob(['abc'])"), typed(blob(b"abc", "")));
    assert_eq!(
        body("new Blob(['abc'], { type: 'TEXT/Plain' })"),
        typed(blob(b"abc", "text/plain"))
    );
    assert_eq!(body("new Blob(['a'], { type: 'text/pl\\u00e4in' })"), typed(blob(b"a", "")));
    assert_eq!(body("new Blob(['abcd'], { type: 'a/b' }).slice(1, -1)"), typed(blob(b"bc", "")));
    assert_eq!(body("new Blob(['abcd']).slice(2, 9, 'X/Y')"), typed(blob(b"cd", "x/y")));
    assert_eq!(body("new File(['f'], 'n', { type: 'a/b' })"), typed(blob(b"f", "a/b")));
    assert_eq!(
        body("new Blob(['\\ud800', new Uint16Array([258]), new Blob(['x'])])"),
        typed(blob(b"\xef\xbf\xbd\x02\x01x", ""))
    );
}

#[test]
fn form_data_is_passed_as_its_entries() {
    let fixture = Fixture::script(
        "var f = new FormData();
         f.append('a', 'x\\ny'); f.append('a', '\\ud800'); f.append('f', new Blob(['1']));
         f.append('g', new File(['2'], 'n', { type: 'a/b' }));
         f.append('h', new File(['3'], 'n'), 'given');
         navigator.sendBeacon('b', f);",
    );
    let string = |name: &str, value: &str| FormDataEntry {
        name: name.into(),
        value: FormDataValue::String(value.into()),
    };
    let file = |name: &str, blob, filename: &str| FormDataEntry {
        name: name.into(),
        value: FormDataValue::File { blob, filename: filename.into() },
    };
    let entries = vec![
        string("a", "x\ny"),
        string("a", "\u{fffd}"),
        file("f", blob(b"1", ""), "blob"),
        file("g", blob(b"2", "a/b"), "n"),
        file("h", blob(b"3", ""), "given"),
    ];
    assert_eq!(fixture.bodies(), [Some(BodyInit::FormData(entries))]);
}

#[test]
fn search_params_are_passed_as_their_list() {
    let list =
        vec![("a".into(), "1".into()), ("b".into(), " é".into()), ("a".into(), String::new())];
    assert_eq!(
        body("new URLSearchParams('?a=1&b=+%C3%A9&a')"),
        Some(BodyInit::UrlSearchParams(list))
    );
}

#[test]
fn a_stream_is_passed_to_the_host_without_reading_it() {
    assert_eq!(body("new ReadableStream()"), Some(BodyInit::ReadableStream));
}

#[test]
fn the_url_is_converted_to_a_string_and_not_parsed() {
    let fixture = Fixture::script(
        "for (const url of [null, undefined, 5, '\\ud800', new URL('x', location.href), location])
           navigator.sendBeacon(url);",
    );
    let urls: Vec<_> = fixture.host.beacons.borrow().iter().map(|(url, _)| url.clone()).collect();
    let page = common::PAGE_URL;
    assert_eq!(urls, ["null", "undefined", "5", "\u{fffd}", "https://a.test/dir/x", page]);
}

#[test]
fn the_script_gets_the_answer_of_the_host() {
    let recorder = Recorder::default();
    recorder.answers.borrow_mut().extend([Ok(false), Err("no such scheme".into())]);
    let fixture = Fixture::with(
        recorder,
        environment(),
        "<script>
         var r = [navigator.sendBeacon('a')];
         try { navigator.sendBeacon('b'); } catch (e) { r.push(e instanceof TypeError, e.message); }
         r.push(navigator.sendBeacon('c'));
         </script>",
    );
    assert_eq!(fixture.get("r"), r#"[false,true,"no such scheme",true]"#);
}

#[test]
fn invalid_calls_throw_type_errors() {
    let cases = [
        ("navigator.sendBeacon()", "1 argument required, but only 0 present."),
        ("Navigator.prototype.sendBeacon.call({}, 'b')", "Illegal invocation"),
        ("(0, navigator.sendBeacon)('b')", "Illegal invocation"),
        ("Navigator.prototype.sendBeacon.call({})", "Illegal invocation"),
        ("new navigator.sendBeacon('b')", "not a constructor"),
        ("new Navigator()", "Illegal constructor"),
        ("navigator.sendBeacon(Symbol())", "cannot convert symbol to string"),
        ("navigator.sendBeacon('b', Symbol())", "cannot convert symbol to string"),
    ];
    for (expression, message) in cases {
        let thrown = thrown(environment(), expression);
        assert!(thrown.starts_with("TypeError: ") && thrown.ends_with(message), "{thrown}");
    }
}

#[test]
fn the_url_is_converted_before_the_data() {
    let url = "{ toString() { throw new Error('url') } }";
    let data = "{ toString() { throw new Error('data') } }";
    let call = |url, data| thrown(environment(), &format!("navigator.sendBeacon({url}, {data})"));
    assert_eq!(call(url, data), "Error: url");
    assert_eq!(call("'b'", data), "Error: data");
}

#[test]
fn the_method_has_the_properties_of_web_idl_operations() {
    let fixture = Fixture::script("");
    let descriptor = "Object.getOwnPropertyDescriptor(Navigator.prototype, 'sendBeacon')";
    assert_eq!(
        fixture.get(&format!(
            "(({{ value, ...rest }}) => [value.name, value.length, rest])({descriptor})"
        )),
        r#"["sendBeacon",1,{"writable":true,"enumerable":true,"configurable":true}]"#
    );
    assert_eq!(fixture.get("Object.prototype.toString.call(navigator)"), "\"[object Navigator]\"");
    assert_eq!(fixture.get("Object.keys(navigator)"), "[]");
}

#[test]
fn a_page_cannot_tamper_with_the_internals_of_the_prelude() {
    let fixture = Fixture::script(
        "Blob.prototype.type = 1; Uint8Array.prototype.toBase64 = () => 'AAAA';
         navigator.sendBeacon('b', new Uint8Array([1]));
         navigator.sendBeacon('b', { __proto__: Blob.prototype, toString() { return 'fake'; } });",
    );
    assert_eq!(fixture.bodies(), [bytes(&[1]), text("fake")]);
    for name in ["native", "agent", "internal", "hooks"] {
        assert_eq!(fixture.get(&format!("typeof {name}")), "\"undefined\"");
    }
}
