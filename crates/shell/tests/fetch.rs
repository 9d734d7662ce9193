//! `fetch()`, `Request`, `Response` and `Headers` in pages.

mod common;

use std::time::{Duration, Instant};

use common::{Fixture, response};
use sendbeacon_shell::page::{BodyInit, EventLoop};

/// Logs how a fetch ends.
const LOG_OUTCOME: &str = ".then(async r => console.log(r.status, r.ok, r.type, r.headers.get('x-a'), await r.text()), \
           e => console.log(e.name, e.message))";

#[test]
fn a_fetch_settles_with_the_answer_of_the_host() {
    let fixture = Fixture::script(&format!("fetch('x'){LOG_OUTCOME}; fetch('y'){LOG_OUTCOME}"));
    assert!(!fixture.page.event_loop().is_idle());
    fixture.host.fetches.borrow_mut()[1].1.take().expect("running")(Err("no network".into()));
    fixture.body(1, ["h", "é"].map(|it| Ok(it.into())));
    fixture.host.fetches.borrow_mut()[0].1.take().expect("running")(Ok(response(201)));
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "TypeError no network 201 true basic 1 hé");
}

#[test]
fn a_fetch_dropped_by_the_host_is_a_network_error() {
    let fixture = Fixture::script(&format!("fetch('x'){LOG_OUTCOME}"));
    fixture.host.fetches.borrow_mut().clear();
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "TypeError NetworkError");
}

#[test]
fn the_request_has_the_arguments_of_the_page() {
    let fixture = Fixture::script(
        "fetch('p?q#f', { method: 'post', body: new Uint8Array([1]), keepalive: true, mode: 'no-cors',
           credentials: 'include', redirect: 'error', referrer: '/r', referrerPolicy: 'origin',
           headers: { Accept: 'a/b', 'X-Dropped': '1' }, cache: 'no-store', priority: 'low' });
         fetch(new Request('z', { method: 'PATCH', headers: [['X-A', '1'], ['x-a', ' 2 ']], body: 'b' }));",
    );
    let fetches = fixture.host.fetches.borrow();
    let (first, _) = &fetches[0];
    assert_eq!((first.method.as_str(), first.url.as_str()), ("POST", "https://a.test/dir/p?q#f"));
    assert_eq!(first.headers, [("Accept".to_owned(), "a/b".to_owned())]);
    assert_eq!(first.body, Some(BodyInit::Bytes(vec![1].into())));
    assert!(first.keepalive);
    let said = [&first.mode, &first.credentials, &first.redirect, &first.referrer];
    assert_eq!(said, ["no-cors", "include", "error", "https://a.test/r"]);
    let said = [&first.referrer_policy, &first.cache, &first.priority];
    assert_eq!(said, ["origin", "no-store", "low"]);
    let (second, _) = &fetches[1];
    assert_eq!(second.method, "PATCH");
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        second.headers,
        [
            header("X-A", "1"),
            header("X-A", "2"),
            header("Content-Type", "text/plain;charset=UTF-8")
        ]
    );
    assert_eq!(second.referrer, "about:client");
    assert!(second.id > first.id);
}

#[test]
fn a_fetch_with_an_aborted_signal_does_not_start() {
    let fixture = Fixture::script(
        "fetch('y', { signal: AbortSignal.abort('early') }).catch(e => console.log(e));",
    );
    assert_eq!(fixture.host.fetches.borrow().len(), 0);
    assert_eq!(fixture.log(), "early");
}

#[test]
fn aborting_tells_the_host_and_rejects_at_once() {
    let fixture = Fixture::script(&format!(
        "var c = new AbortController(); fetch('x', {{ signal: c.signal }}){LOG_OUTCOME};"
    ));
    fixture.page.realm().evaluate("c.abort()", "abort");
    assert_eq!(*fixture.host.aborted.borrow(), [1]);
    assert_eq!(fixture.log(), "AbortError signal is aborted without reason");
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.console().len(), 1);
}

#[test]
fn invalid_requests_are_rejected() {
    let cases = [
        "'http://['",
        "'http://u:p@a.test/'",
        "'x', { method: 'TRACE' }",
        "'x', { method: 'a b' }",
        "'x', { body: 'b' }",
        "'x', { mode: 'navigate' }",
        "'x', { mode: 'nonsense' }",
        "'x', { headers: [['a']] }",
        "'x', { headers: { 'a b': '1' } }",
        "'x', { method: 'PUT', mode: 'no-cors' }",
        "'x', { signal: {} }",
        "'x', { window: 1 }",
        "'x', { method: 'POST', body: new ReadableStream() }",
        "'x', { method: 'POST', keepalive: true, duplex: 'half', body: new ReadableStream() }",
        "",
        "Symbol()",
    ];
    for case in cases {
        let fixture = Fixture::script(&format!("fetch({case}).catch(e => console.log(e.name))"));
        fixture.run_until_idle();
        assert_eq!(fixture.log(), "TypeError", "{case}");
    }
}

#[test]
fn headers_are_guarded_and_combined() {
    let fixture = Fixture::script(
        "var h = new Headers({ b: '2', A: '1' }); h.append('a', '3'); h.append('Set-Cookie', 'x');
         h.append('set-cookie', 'y'); h.set('c', '\\t v '); h.delete('b');
         var r = [[...h], h.getSetCookie(), h.has('B')];
         var q = new Request('x', { headers: { Cookie: '1', 'Sec-X': '1', 'Proxy-Y': '1', Ok: '1' } });
         r.push([...q.headers]);
         try { Response.error().headers.set('a', 'b'); } catch (e) { r.push(e.name); }",
    );
    assert_eq!(
        fixture.get("r"),
        concat!(
            r#"[[["a","1, 3"],["c","v"],["set-cookie","x"],["set-cookie","y"]],["x","y"],false,"#,
            r#"[["ok","1"]],"TypeError"]"#
        )
    );
}

#[test]
fn a_body_can_be_read_once() {
    let fixture = Fixture::script(
        "(async () => {
           const r = new Response('{\"a\":[1]}', { status: 202 });
           const c = r.clone();
           console.log(JSON.stringify(await r.json()), r.bodyUsed, c.bodyUsed);
           console.log(await r.text().catch(e => e.name), new Uint8Array(await c.arrayBuffer()).length);
           console.log((await new Response(new Blob(['x'], { type: 'A/B' })).blob()).type);
           console.log(await new Response(new URLSearchParams('a=é')).text());
           console.log(await new Request('x', { method: 'POST', body: 'q' }).text());
           const s = new ReadableStream({ pull(c) { c.enqueue(new TextEncoder().encode('s')); c.close(); } });
           console.log(await new Response(s).text(), s.locked);
           console.log(Response.json({}).headers.get('content-type'), Response.error().type);
           for (const f of [() => new Response('', { status: 204 }), () => new Response('', { status: 99 })])
             try { f(); } catch (e) { console.log(e.name); }
         })();",
    );
    fixture.run_until_idle();
    assert_eq!(
        fixture.log(),
        concat!(
            r#"{"a":[1]} true false TypeError 9 a/b a=%C3%A9 q s true "#,
            "application/json error TypeError RangeError"
        )
    );
}

#[test]
fn a_blob_has_the_serialised_mime_type_of_its_body() {
    let fixture = Fixture::script(
        "const log = [];
         const headers = (...values) => values.map((it) => ['content-type', it]);
         const cases = [headers('Text/HTML ; Charset=\"gbk\"; B=\"x y\"'), headers('text/plain;charset=a', 'text/plain'),
           headers('nonsense'), headers('a/b', '*/*'), []];
         (async () => {
           for (const it of cases) log.push((await new Response(new Uint8Array(1), { headers: it }).blob()).type);
           const boundary = headers('Multipart/Form-Data; boundary=\"x\"');
           const form = '--x\\r\\nContent-Disposition: form-data; name=\"a\"\\r\\n\\r\\n1\\r\\n--x--\\r\\n';
           log.push([...await new Response(form, { headers: boundary }).formData()]);
         })();",
    );
    fixture.run_until_idle();
    assert_eq!(
        fixture.get("log"),
        r#"["text/html;charset=gbk;b=\"x y\"","text/plain;charset=a","","a/b","",[["a","1"]]]"#
    );
}

#[test]
fn an_iteration_over_headers_sees_changes_and_ends_soon() {
    let fixture = Fixture::script(
        "const h = new Headers({ b: '1', a: '2' }), seen = [];
         for (const [name, value] of h) {
           seen.push(name + value);
           if (name === 'a') { h.set('b', '3'); h.append('c', '4'); h.append('C', '5'); }
         }
         const many = new Headers(Array.from({ length: 400 }, (_, i) => [`n${i}`, '']));
         console.log(seen.join(), [...many].length);",
    );
    assert_eq!(fixture.log(), "a2,b3,c4, 5 400");
}

#[test]
fn a_multipart_body_may_have_names_without_quotes() {
    let fixture = Fixture::script(
        r#"const body = ['--x', 'Content-Disposition: form-data; name=a', '', '1',
             '--x', 'content-disposition: Form-Data;filename=f;name="b;c"', 'Content-Type: t/u', '', '2', '--x--', ''].join('\r\n');
           new Response(body, { headers: { 'Content-Type': 'multipart/form-data; boundary=x' } }).formData()
             .then((form) => console.log(form.get('a'), form.get('b;c').name, form.get('b;c').type), (e) => console.log(e));"#,
    );
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "1 f t/u");
}

#[test]
fn the_body_of_a_response_arrives_while_the_page_reads_it() {
    let fixture = Fixture::script(
        "fetch('x').then(async (response) => {
           const copy = response.clone(), reader = response.body.getReader(), sizes = [];
           for (let it = await reader.read(); !it.done; it = await reader.read()) sizes.push(it.value.length);
           console.log(sizes, await copy.text(), response.bodyUsed, copy.bodyUsed);
         });",
    );
    fixture.body(1, ["ab", "c"].map(|it| Ok(it.into())));
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.log(), "[2,1] abc true true");
}

#[test]
fn a_body_fails_after_its_response_has_come() {
    let fixture = Fixture::script(
        "fetch('x').then(async (response) => {
           const { body } = response.clone(), reader = body.getReader();
           console.log(await response.text().catch((e) => e.name), await reader.closed.catch((e) => e.message));
         });",
    );
    fixture.body(1, [Ok("ab".into()), Err("cut off".to_owned())]);
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.log(), "TypeError cut off");
}

#[test]
fn an_abort_after_the_response_fails_its_body_unless_that_is_read() {
    let fixture = Fixture::script(
        "const controller = new AbortController(), { signal } = controller, log = [], get = () => fetch('x', { signal });
         (async () => {
           const read = await get();
           log.push(await read.text());
           const unread = await get(), streamed = await get(), empty = await get();
           log.push(await empty.clone().text());
           controller.abort();
           await Promise.all([unread.text().catch((e) => log.push(e.name)), Promise.resolve().then(() => log.push('next'))]);
           log.push(await streamed.body.getReader().read().catch((e) => e.name), await empty.text());
           console.log(log.join());
         })();",
    );
    for (id, body) in [(1, "a"), (2, "b"), (3, "c"), (4, "")] {
        fixture.body(id, [Ok(body.into())].into_iter().filter(|_| !body.is_empty()));
        let done = fixture.host.fetches.borrow_mut().iter_mut().find_map(|(_, done)| done.take());
        done.expect("a fetch is running")(Ok(response(200)));
        let has_next = |event_loop: &EventLoop| {
            let fetches = fixture.host.fetches.borrow();
            event_loop.is_idle() || fetches.iter().any(|(_, done)| done.is_some())
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        assert!(fixture.page.event_loop().run_until(deadline, has_next));
    }
    assert_eq!(fixture.log(), "a,,AbortError,next,AbortError,");
}

#[test]
fn a_page_reads_ahead_only_so_many_bytes() {
    let fixture =
        Fixture::script("fetch('x').then((response) => { globalThis.response = response; })");
    let chunk = "x".repeat(40_000);
    fixture.body(1, (0..5).map(|_| Ok(chunk.clone().into())));
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.host.bodies.borrow()[&1].len(), 3);
    fixture.page.realm().evaluate("response.text().then((it) => console.log(it.length))", "read");
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "200000");
}

#[test]
fn an_aborted_signal_rejects_at_once_and_cancels_the_stream_of_the_body() {
    let fixture = Fixture::script(
        "const signal = AbortSignal.abort('early'), log = [];
         const body = new ReadableStream({ cancel: (reason) => log.push('canceled ' + reason) });
         fetch('x', { method: 'POST', duplex: 'half', body, signal }).catch((it) => log.push(it));
         Promise.resolve().then(() => log.push('next')).then(() => console.log(log.join()));",
    );
    assert_eq!(fixture.log(), "canceled early,early,next");
}
