//! Dedicated workers.

mod common;

use common::Fixture;

#[test]
fn a_worker_and_its_page_exchange_clones() {
    let fixture = Fixture::with_scripts(
        &[(
            "/dir/w.js?q",
            "onmessage = ({ data }) => { data.n++; postMessage([data, data.buffer.byteLength]); };",
        )],
        "const worker = new Worker('w.js?q', { name: 'x' }), given = { n: 1, buffer: new ArrayBuffer(3) };
         worker.postMessage(given, [given.buffer]);
         worker.onmessage = ({ data: [data, length], target }) => console.log(JSON.stringify(data.n), length,
           given.n, given.buffer.byteLength, data instanceof Object, target === worker);",
    );
    assert_eq!(fixture.log(), "2 3 1 0 true true");
}

#[test]
fn the_global_scope_of_a_worker_is_not_a_window() {
    let fixture = Fixture::with_scripts(
        &[
            (
                "/w.js",
                "importScripts('a.js', '/b.js'); postMessage([self === globalThis, typeof window, typeof document,
                   'sendBeacon' in navigator, location.href, name, String(self), a + b, isSecureContext, origin,
                   self instanceof DedicatedWorkerGlobalScope && self instanceof WorkerGlobalScope &&
                     self instanceof EventTarget, typeof fetch, performance.now() >= 0].join())",
            ),
            ("/a.js", "var a = 1;"),
            ("/b.js", "const b = 2;"),
        ],
        "new Worker('/w.js', { name: 'n' }).onmessage = ({ data }) => console.log(data)",
    );
    assert_eq!(
        fixture.log(),
        "true,undefined,undefined,false,https://a.test/w.js,n,[object DedicatedWorkerGlobalScope],3,true,\
         https://a.test,true,function,true"
    );
}

#[test]
fn worker_scripts_can_be_blob_and_data_urls() {
    let fixture = Fixture::with_scripts(
        &[],
        "const say = ({ data }) => console.log(data);
         const script = 'postMessage(origin)';
         new Worker(URL.createObjectURL(new Blob([script]))).onmessage = say;
         setTimeout(() => new Worker(`data:,${script}`).onmessage = say, 20);",
    );
    assert_eq!(fixture.log(), "https://a.test null");
}

#[test]
fn errors_in_a_worker_fire_error_events() {
    let fixture = Fixture::with_scripts(
        &[("/throws.js", "setTimeout(() => { throw new RangeError('late') }, 0); importScripts('/none.js')")],
        "for (const url of ['/none.js', 'https://b.test/x.js', '/throws.js']) {
           const worker = new Worker(url);
           worker.onerror = (event) => { event.preventDefault(); console.log(url, event.message ?? 'no message'); };
         }
         try { new Worker('http://['); } catch (e) { console.log(e.name); }
         try { new Worker('/throws.js').postMessage(() => {}); } catch (e) { console.log(e.name); }",
    );
    let said: Vec<_> =
        fixture.console().into_iter().filter(|line| line.starts_with("log: ")).collect();
    assert_eq!(said[..2], ["log: SyntaxError", "log: DataCloneError"]);
    for expected in [
        "log: /none.js no message",
        "log: https://b.test/x.js no message",
        "log: /throws.js Uncaught RangeError: late",
        "log: /throws.js Uncaught NetworkError",
    ] {
        assert!(said.iter().any(|line| line.starts_with(expected)), "{expected}: {said:?}");
    }
}

#[test]
fn an_ended_worker_sends_no_messages() {
    let fixture = Fixture::with_scripts(
        &[
            ("/ticks.js", "setInterval(() => postMessage('tick'), 0)"),
            (
                "/closes.js",
                "postMessage('before'); close(); postMessage('after'); setInterval(() => {}, 0)",
            ),
        ],
        "const ticks = new Worker('/ticks.js'), closes = new Worker('/closes.js');
         ticks.onmessage = ({ data }) => { console.log(data); ticks.terminate(); };
         closes.onmessage = ({ data }) => console.log(data);
         new Worker('/ticks.js').terminate();",
    );
    let mut said = fixture.console();
    said.sort();
    assert_eq!(said, ["log: before", "log: tick"]);
}

#[test]
fn ports_and_channels_reach_into_workers() {
    let fixture = Fixture::with_scripts(
        &[(
            "/w.js",
            "var name = 'mine', channel = new BroadcastChannel('c');
             onmessage = ({ data, ports: [port] }) => { port.postMessage(data + name); channel.postMessage('all'); }",
        )],
        "const worker = new Worker('/w.js', { name: 'given' }), { port1, port2 } = new MessageChannel();
         port1.start = 'replaced';
         port1.onmessage = ({ data }) => { console.log(data); };
         new BroadcastChannel('c').onmessage = ({ data }) => { console.log(data); worker.terminate(); };
         worker.postMessage('to ', [port2]);",
    );
    assert_eq!(fixture.log(), "to mine all");
}
