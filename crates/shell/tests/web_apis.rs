//! The smaller Web APIs: URLs, blobs, form data, text, clones, streams, storage, the timeline.

mod common;

use common::{Fixture, response, run};

/// The names of the exceptions that the functions throw.
fn errors(functions: &str) -> String {
    run(&format!(
        "return [{functions}].map(f => {{ try {{ return f(); }} catch (e) {{ return e.name; }} }})"
    ))
}

#[test]
fn urls_are_parsed_and_can_be_changed() {
    assert_eq!(
        run("const u = new URL('../x?a=1#h', 'http://User:pw@EXAMPLE.com:80/p/q/');
             u.port = '8080'; u.hash = ''; u.searchParams.append('b', 'ü'); u.pathname = '/ö';
             u.host = '[bad'; const before = [...u.searchParams]; u.search = '?z'; u.protocol = 'https';
             return [u.href, u.origin, u.username, u.hostname, before, [...u.searchParams.keys()],
               JSON.stringify({ u }), URL.canParse('x'), URL.parse('http://['), `${u}` === u.href]"),
        concat!(
            r#"["https://User:pw@example.com:8080/%C3%B6?z","https://example.com:8080","User","#,
            r#""example.com",[["a","1"],["b","ü"]],["z"],"#,
            r#""{\"u\":\"https://User:pw@example.com:8080/%C3%B6?z\"}",false,null,true]"#
        )
    );
    assert_eq!(
        errors(
            "() => new URL('x'), () => new URL(), () => URL('http://a'), () => URL.prototype.href"
        ),
        r#"["TypeError","TypeError","TypeError","TypeError"]"#
    );
    let url = run("return URL.createObjectURL(new Blob(['x']))");
    assert!(url.starts_with("\"blob:https://a.test/") && url.len() == 58, "{url}");
}

#[test]
fn search_params_behave_as_a_list() {
    assert_eq!(
        run("const p = new URLSearchParams([['b', '1'], ['a', '2'], ['b', '3'], ['a', '4']]);
             const r = [p.get('b'), p.getAll('a'), p.has('b', '3'), p.size, p.get('x')];
             p.set('b', '9'); p.delete('a', '2'); r.push(`${p}`); p.append('%', ' &=+é\\ud800');
             p.sort(); r.push(`${p}`, new URLSearchParams({ x: 1, y: null }).toString());
             p.forEach((value, key, it) => { if (it !== p) throw 0; }); return r;"),
        concat!(
            r#"["1",["2","4"],true,4,null,"b=9&a=4","%25=+%26%3D%2B%C3%A9%EF%BF%BD&a=4&b=9","#,
            r#""x=1&y=null"]"#
        )
    );
    assert_eq!(errors("() => new URLSearchParams([['a']])"), r#"["TypeError"]"#);
}

#[test]
fn blobs_and_files_hold_bytes() {
    assert_eq!(
        run("const b = new Blob(['a\\r\\nb\\r', new Uint8Array([99])], { endings: 'native', type: 'X/Y;\\t' });
             const f = new File([b], 'n', { lastModified: 5 });
             return [b.size, b.type, await b.text(), [...await b.slice(-2).bytes()],
               (await b.arrayBuffer()).byteLength, f.name, f.lastModified, f.size, f instanceof Blob,
               String(f), await new Blob(['\\ufeffx']).text()]"),
        r#"[5,"","a\nb\nc",[10,99],5,"n",5,5,true,"[object File]","x"]"#
    );
    assert_eq!(
        errors(
            "() => new Blob('x'), () => new Blob([], { endings: 'x' }), () => new File(['x']),
             () => new Blob([Symbol()]), () => Blob.prototype.size, () => new Blob(null)"
        ),
        r#"["TypeError","TypeError","TypeError","TypeError","TypeError","TypeError"]"#
    );
}

#[test]
fn form_data_holds_strings_and_files() {
    assert_eq!(
        run("const f = new FormData(); f.append('a', 1); f.append('b', 'x'); f.append('a', 2);
             f.set('a', 3); f.append('f', new Blob(['z'])); f.set('g', new File([], 'n'), 'm');
             f.delete('b');
             return [[...f.keys()], f.get('a'), f.getAll('a'), f.get('f').name, f.get('g').name,
               f.has('b'), f.get('b'), f.get('f') instanceof File, await f.get('f').text()]"),
        r#"[["a","f","g"],"3",["3"],"blob","m",false,null,true,"z"]"#
    );
    assert_eq!(
        errors("() => new FormData().append('a'), () => new FormData().append('a', 'b', 'c')"),
        r#"["TypeError","TypeError"]"#
    );
}

#[test]
fn text_is_encoded_and_decoded() {
    assert_eq!(
        run("const d = new TextDecoder(), s = new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xf0, 0x9f]);
             const o = new Uint8Array(3);
             return [[...new TextEncoder().encode('é\\ud800')], new TextEncoder().encodeInto('aé😀', o), [...o],
               d.decode(s, { stream: true }) + d.decode(new Uint8Array([0x98, 0x80])), d.decode(s),
               new TextDecoder('utf8', { ignoreBOM: true }).decode(s.subarray(0, 4)).length,
               btoa('\\xff'), atob(' /w= = ').charCodeAt(0)]"),
        r#"[[195,169,239,191,189],{"read":2,"written":3},[97,195,169],"a😀","a�",2,"/w==",255]"#
    );
    assert_eq!(
        errors(
            "() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])),
             () => new TextDecoder('nonsense'), () => atob('*'), () => btoa('\\u0100')"
        ),
        r#"["TypeError","RangeError","InvalidCharacterError","InvalidCharacterError"]"#
    );
}

#[test]
fn clones_are_deep_and_transfers_detach() {
    assert_eq!(
        run("const b = new ArrayBuffer(4), v = new Uint8Array(b, 1, 2); v[0] = 7;
             const cycle = { d: new Date(5), m: new Map([[1, new Set([2])]]), e: new RangeError('x'), v };
             cycle.self = cycle;
             const c = structuredClone(cycle, { transfer: [b] });
             return [c.self === c, c !== cycle, +c.d, [...c.m.get(1)], c.e instanceof RangeError, c.v[0],
               c.v.byteOffset, b.detached, v.length, await structuredClone(new File(['q'], 'n')).text()]"),
        r#"[true,true,5,[2],true,7,1,true,0,"q"]"#
    );
    assert_eq!(
        errors(
            "() => structuredClone(() => 0), () => structuredClone({ s: Symbol() }), () => structuredClone(document)"
        ),
        r#"["DataCloneError","DataCloneError","DataCloneError"]"#
    );
}

#[test]
fn streams_can_be_pulled_closed_and_cancelled() {
    assert_eq!(
        run("let n = 0; const log = [];
             const s = new ReadableStream({ pull(c) { c.enqueue(n++); if (n === 3) c.close(); } });
             for await (const chunk of s) log.push(chunk);
             const t = new ReadableStream({ cancel(r) { log.push('cancel ' + r); } }), reader = t.getReader();
             log.push(t.locked, await t.cancel().catch(e => e.name)); await reader.cancel('why');
             log.push(await reader.read()); reader.releaseLock(); log.push(t.locked);
             const e = new ReadableStream({ start(c) { c.error(new RangeError('e')); } });
             log.push(await e.getReader().read().catch(e => e.name)); return log;"),
        r#"[0,1,2,true,"TypeError","cancel why",{"done":true},false,"RangeError"]"#
    );
}

#[test]
fn storage_items_are_properties() {
    assert_eq!(
        run("sessionStorage.a = 1; sessionStorage['b'] = { toString: () => 'x' }; localStorage.setItem('c', null);
             const r = [sessionStorage.a, sessionStorage.getItem('b'), localStorage.c, sessionStorage.length,
               sessionStorage.key(0), Object.keys(sessionStorage), 'a' in sessionStorage, sessionStorage.zzz ?? 'none'];
             delete sessionStorage.a; sessionStorage.removeItem('b'); return [...r, sessionStorage.length]"),
        r#"["1","x","null",2,"a",["a","b"],true,"none",0]"#
    );
}

#[test]
fn signals_abort_once_and_follow_each_other() {
    assert_eq!(
        run("const c = new AbortController(), any = AbortSignal.any([c.signal]), log = [];
             any.onabort = e => log.push(e.type, any.reason.name, any.reason.code); c.abort(); c.abort(1);
             const t = AbortSignal.timeout(1); await new Promise(r => t.addEventListener('abort', r));
             return [...log, c.signal.reason.name, t.reason.name]"),
        r#"["abort","AbortError",20,"AbortError","TimeoutError"]"#
    );
}

#[test]
fn random_values_fill_integer_arrays() {
    assert_eq!(
        run("const a = crypto.getRandomValues(new Uint32Array(64));
             return [a.some(x => x > 65535), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
               .test(crypto.randomUUID())]"),
        "[true,true]"
    );
    assert_eq!(
        errors(
            "() => crypto.getRandomValues(new Float32Array(1)), () => crypto.getRandomValues(new Uint8Array(65537))"
        ),
        r#"["TypeMismatchError","QuotaExceededError"]"#
    );
}

#[test]
fn the_window_is_the_global_object() {
    assert_eq!(
        run("return [window === globalThis, self === frames && top === parent, window instanceof Window,
             Object.prototype.toString.call(window), origin, isSecureContext, crossOriginIsolated,
             performance.now() >= 0, navigator.languages, navigator.language]"),
        concat!(
            r#"[true,true,true,"[object Window]","https://a.test",true,false,true,"#,
            r#"["en-US","en"],"en-US"]"#
        )
    );
    let names = run(
        "return Object.keys(globalThis).filter(it => /^(native|agent|internal|prelude)/.test(it))",
    );
    assert_eq!(names, "[]");
}

#[test]
fn messages_of_a_window_to_itself_arrive_in_later_tasks() {
    assert_eq!(
        run("const got = new Promise(r => addEventListener('message', r)); const data = { a: 1 };
             postMessage(data, '*'); data.a = 2; postMessage(3, 'https://b.test'); const e = await got;
             return [e.data, e.origin, e.source === window, e instanceof MessageEvent]"),
        r#"[{"a":1},"https://a.test",true,true]"#
    );
}

#[test]
fn the_console_formats_its_arguments() {
    let fixture = Fixture::script(
        "console.log('%s is %d%% of %o', 'x', 4.5, { a: 1 }, [1]); console.log(Symbol('s'), 1n, null);
         console.error(new TypeError('t').message); console.group('g'); console.info('in'); console.groupEnd();
         console.assert(false, 'why'); console.count(); console.warn(new DOMException('m', 'AbortError'));",
    );
    let console = fixture.console();
    assert_eq!(
        console[..7],
        [
            "log: x is 4% of {\"a\":1} [1]",
            "log: Symbol(s) 1n null",
            "error: t",
            "log: g",
            "info:   in",
            "error: Assertion failed why",
            "info: default: 1",
        ]
    );
    assert!(console[7].starts_with("warn: AbortError: m"), "{}", console[7]);
}

#[test]
fn marks_and_measures_are_entries_of_the_timeline() {
    assert_eq!(
        run("performance.mark('a', { startTime: 1, detail: { x: [1] } }); performance.mark('b', { startTime: 4 });
             const m = performance.measure('m', 'a', 'b'), r = [m.startTime, m.duration, m.entryType];
             performance.measure('n', { start: 2, duration: 3 });
             const names = () => performance.getEntries().filter(it => it.entryType !== 'navigation').map(it => it.name);
             r.push(names(), performance.getEntriesByName('a')[0].detail.x,
               performance.getEntriesByName('a', 'measure').length, m instanceof PerformanceEntry,
               JSON.stringify(performance.getEntriesByName('a')[0]));
             performance.clearMarks('a'); performance.clearMeasures();
             r.push(names()); return r;"),
        concat!(
            r#"[1,3,"measure",["a","m","n","b"],[1],0,true,"#,
            r#""{\"detail\":{\"x\":[1]},\"name\":\"a\",\"entryType\":\"mark\",\"startTime\":1,\"duration\":0}",["b"]]"#
        )
    );
    assert_eq!(
        errors("() => performance.measure('x', 'nothing'), () => new PerformanceMark('m', { startTime: -1 }),
                () => new PerformanceEntry(), () => PerformanceMark('m'), () => new PerformanceObserver()"),
        r#"["SyntaxError","TypeError","TypeError","TypeError","TypeError"]"#
    );
}

#[test]
fn observers_get_new_entries_and_buffered_ones_on_request() {
    assert_eq!(
        run("performance.mark('before'); const got = [];
             const look = name => new Promise(resolve => { const o = new PerformanceObserver((list, self) => {
               got.push(name, ...list.getEntries().map(it => it.name), self === o); o.disconnect(); resolve(); });
               o.observe({ type: 'mark', buffered: name === 'old' }); });
             const both = Promise.all([look('old'), look('new')]); performance.mark('after'); await both;
             performance.mark('later'); return got;"),
        r#"["old","before","after",true,"new","after",true]"#
    );
}

#[test]
fn the_performance_clock_starts_with_the_realm() {
    assert_eq!(
        run(
            "const early = performance.now(); await new Promise(resolve => setTimeout(resolve, 2));
             return [early > 0, performance.now() - early >= 2,
               Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 2000]"
        ),
        "[true,true,true]"
    );
}

#[test]
fn form_data_can_be_sent_and_read_as_a_body() {
    assert_eq!(
        run("const form = new FormData(); form.append('a\"\\n', 'é\\n1'); form.append('f', new File(['x'], 'n\"', { type: 'a/b' }));
             const response = new Response(form), type = response.headers.get('content-type');
             const copy = await response.clone().formData(), file = copy.get('f'), text = await response.text();
             return [type.startsWith('multipart/form-data; boundary='), [...copy.keys()], copy.get('a\"\\r\\n'),
               file.name, file.type, await file.text(), text.includes(type.split('boundary=')[1])];"),
        r#"[true,["a\"\r\n","f"],"é\r\n1","n\"","a/b","x",true]"#
    );
    assert_eq!(
        run("const of = (body, type) => new Response(body, { headers: { 'content-type': type } }).formData()
               .then(form => [...form], error => error.name);
             return [await of('a=1&b=%20', 'application/x-www-form-urlencoded'), await of('x', 'text/plain'),
               await of('x', 'multipart/form-data; boundary=b'), await of('--b--', 'multipart/form-data; boundary=\"b\"')]"),
        r#"[[["a","1"],["b"," "]],"TypeError","TypeError",[]]"#
    );
}

#[test]
fn an_override_with_a_forbidden_method_is_dropped_unless_it_is_quoted() {
    assert_eq!(
        run(
            r#"return ['GETTRACE', 'a, trAce ,b', ',CONNECT', '",TRACE",', '"a\\",TRACE"', '"a,b",TRACE'].map(value =>
             new Request('/', { headers: { 'X-HTTP-Method-Override': value } }).headers.get('x-http-method-override'));"#
        ),
        r#"["GETTRACE",null,null,"\",TRACE\",","\"a\\\",TRACE\"",null]"#
    );
}

#[test]
fn blob_and_data_urls_can_be_fetched() {
    assert_eq!(
        run("const url = URL.createObjectURL(new Blob(['abc'], { type: 'a/b' })), said = [];
             for (const it of [url, 'data:text/x,%41', 'data:;base64,QQ==']) {
               const r = await fetch(it); said.push(r.type, r.headers.get('content-type'), await r.text()); }
             URL.revokeObjectURL(url);
             for (const it of [url, 'data:x']) said.push(await fetch(it).catch(e => e.name));
             return said;"),
        concat!(
            r#"["basic","a/b","abc","basic","text/x","A","basic","text/plain;charset=US-ASCII","A","#,
            r#""TypeError","TypeError"]"#
        )
    );
}

#[test]
fn iterators_belong_to_their_interface() {
    assert_eq!(
        run("const keys = new Headers({ b: '1', a: '2' }).keys(), proto = Object.getPrototypeOf(keys);
             return [[...keys], proto[Symbol.toStringTag], 'next' in proto, keys[Symbol.iterator]() === keys,
               Object.getPrototypeOf(proto) === Object.getPrototypeOf(Object.getPrototypeOf([].keys()))]"),
        r#"[["a","b"],"Headers Iterator",true,true,true]"#
    );
    assert_eq!(
        errors("() => new FormData().keys().next.call(new Headers().keys())"),
        r#"["TypeError"]"#
    );
}

#[test]
fn a_message_can_be_undefined_and_arrives_when_a_page_clears_all_timers() {
    assert_eq!(
        run("const types = [], { port1, port2 } = new MessageChannel(), b = new BroadcastChannel('x');
             const all = Promise.withResolvers();
             const note = ({ data }) => { if (types.push(typeof data) === 5) all.resolve(); };
             onmessage = port2.onmessage = new BroadcastChannel('x').onmessage = note;
             const other = new BroadcastChannel('x');
             other.onmessage = note;
             postMessage(undefined); postMessage(null); port1.postMessage(undefined); b.postMessage(undefined);
             for (let id = 0; id < 1000; id++) { clearTimeout(id); clearInterval(id); }
             await all.promise;
             other.close(); b.close(); port1.close();
             return [types.sort(), new MessageEvent('x', { data: undefined }).data]"),
        r#"[["object","undefined","undefined","undefined","undefined"],null]"#
    );
}

#[test]
fn what_a_page_puts_on_object_prototype_is_not_seen_by_the_web_apis() {
    let fixture = Fixture::script(
        "const names = ['start', 'pull', 'type', 'size', 'highWaterMark', 'bytes', 'text', 'method', 'headers', 'body',
           'signal', 'status', 'bubbles', 'once', 'url', 'error', 'transfer', 'referrer'];
         for (const name of names) {
           const refuse = () => { throw new Error(name); };
           Object.defineProperty(Object.prototype, name, { get: refuse, set: refuse, configurable: true });
         }
         const done = (async () => {
           const request = new Request('x', { __proto__: null, method: 'POST', body: new URLSearchParams('a=b') });
           fetch(request.clone());
           navigator.sendBeacon('y', new Blob(['z']));
           addEventListener('e', () => console.log('event'));
           dispatchEvent(new Event('e'));
           const form = new FormData();
           form.append('a', 'b');
           return [await request.text(), await new Response('r').text(), (await new Response(form).text()).length > 9,
             new File([], 'f').name, await new Response(new Response('s').body).text()].join();
         })();
         done.then((it) => console.log(it), (e) => console.log(e.message))
           .finally(() => names.forEach((name) => delete Object.prototype[name]));",
    );
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.log(), "event a=b,r,true,f,s");
}
