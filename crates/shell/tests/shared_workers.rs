//! Shared workers.

mod common;
mod site;

use common::Fixture;
use site::{Site, visit};

/// A worker that tells each document how many have connected.
const COUNTS: &str =
    "let n = 0; onconnect = ({ ports: [port] }) => port.postMessage(`${name}${++n}`);";

#[test]
fn a_shared_worker_is_found_by_its_url_and_name() {
    let fixture = Fixture::with_scripts(
        &[("/w.js", COUNTS), ("/w.js?q", COUNTS)],
        "const say = ({ data }) => console.log(data);
         const workers = [['/w.js', 'x'], ['/w.js', { name: 'x' }], ['/w.js', 'y'], ['/w.js'], ['/w.js?q', 'x'], ['/w.js', 'x']]
           .map((args) => new SharedWorker(...args));
         for (const { port } of workers) port.onmessage = say;",
    );
    assert_eq!(fixture.log(), "x1 x2 y1 1 x1 x3");
}

#[test]
fn the_global_scope_of_a_shared_worker_has_no_send_beacon() {
    let fixture = Fixture::with_scripts(
        &[(
            "/w.js",
            "onconnect = (event) => {
               const { ports: [port], source, data, isTrusted } = event;
               port.postMessage([source === port, data === '', isTrusted, event instanceof MessageEvent, String(self),
                 'sendBeacon' in navigator, typeof window, typeof postMessage, typeof SharedWorker, typeof Worker, typeof fetch,
                 self instanceof SharedWorkerGlobalScope && self instanceof WorkerGlobalScope, location.href].join());
             };",
        )],
        "new SharedWorker('/w.js').port.onmessage = ({ data }) => console.log(data);",
    );
    assert_eq!(
        fixture.log(),
        "true,true,true,true,[object SharedWorkerGlobalScope],false,undefined,undefined,undefined,function,function,true,\
         https://a.test/w.js"
    );
}

#[test]
fn messages_wait_until_the_worker_runs_and_the_port_is_started() {
    let fixture = Fixture::with_scripts(
        &[(
            "/w.js",
            "onconnect = ({ ports: [port] }) => {
               port.onmessage = ({ data, ports: [other] }) => (other ?? port).postMessage(data * 2);
             };",
        )],
        "const { port } = new SharedWorker('/w.js'), { port1, port2 } = new MessageChannel();
         port.postMessage(1);
         port.postMessage(2, [port2]);
         port.addEventListener('message', ({ data }) => console.log('worker', data));
         port1.onmessage = ({ data }) => { console.log('channel', data); port.start(); };",
    );
    assert_eq!(fixture.log(), "channel 4 worker 2");
}

#[test]
fn a_worker_that_cannot_run_fires_an_error_event() {
    let fixture = Fixture::with_scripts(
        &[("/w.js", COUNTS), ("/throws.js", "onconnect = ({ ports: [it] }) => it.postMessage('runs'); throw 1;")],
        "for (const args of [['/none.js'], ['https://b.test/x.js'], ['/none.js', { type: 'module' }], ['/throws.js'],
             ['/w.js'], ['/w.js', { credentials: 'include' }]]) {
           const worker = new SharedWorker(...args);
           worker.onerror = ({ target }) => console.log('error', args.length, target === worker);
           worker.port.onmessage = ({ data }) => console.log(data);
         }
         for (const args of [[], ['http://['], ['/w.js', { type: 'x' }]]) {
           try { new SharedWorker(...args); } catch (e) { console.log(e.name); }
         }",
    );
    let said: Vec<_> = fixture
        .console()
        .into_iter()
        .filter_map(|it| it.strip_prefix("log: ").map(str::to_owned))
        .collect();
    assert_eq!(said[..3], ["TypeError", "SyntaxError", "TypeError"]);
    let mut rest = said[3..].to_vec();
    rest.sort();
    assert_eq!(rest, ["1", "error 1 true", "error 1 true", "error 2 true", "error 2 true", "runs"]);
}

#[test]
fn each_option_of_a_worker_is_read_once() {
    let fixture = Fixture::with_scripts(
        &[("/w.js", "self.postMessage?.(1)")],
        "const reads = [];
         const options = new Proxy({}, { get(_, key) { reads.push(key); return key === 'name' ? null : undefined; } });
         new SharedWorker('/w.js', options);
         new Worker('/w.js', options);
         console.log(reads.join());",
    );
    assert_eq!(fixture.log(), "credentials,name,type,credentials,name,type");
}

#[test]
fn a_closed_worker_is_started_anew() {
    let closes =
        format!("{COUNTS} addEventListener('connect', () => close()); setInterval(() => 0, 1);");
    let fixture = Fixture::with_scripts(
        &[("/w.js", &closes)],
        "const say = ({ data }) => {
           console.log(data);
           new SharedWorker('/w.js', 'b').port.onmessage = ({ data }) => console.log(data);
         };
         new SharedWorker('/w.js', 'b').port.onmessage = say;",
    );
    assert_eq!(fixture.log(), "b1 b1");
}

#[test]
fn the_script_of_a_shared_worker_can_be_at_a_blob_or_data_url() {
    let fixture = Fixture::with_scripts(
        &[],
        "const script = 'onconnect = ({ ports: [port] }) => port.postMessage(origin)';
         const urls = [URL.createObjectURL(new Blob([script])), `data:,${script}`];
         for (const url of urls) new SharedWorker(url).port.onmessage = ({ data }) => console.log(data);",
    );
    assert_eq!(fixture.log(), "https://a.test null");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_worker_lives_as_long_as_one_of_its_documents() {
    // The interval would keep the page from becoming idle.
    let worker = "let n = 0;
        setInterval(() => 0, 1);
        onconnect = ({ ports: [port] }) => {
            port.postMessage(++n);
            port.onmessage = async () => {
                await fetch('/plain');
                fetch('/kept', { method: 'POST', body: 'kept', keepalive: true });
                port.postMessage('sent');
            };
        };";
    let page = "<body><script>
        const add = (message) => new Promise((resolve) => {
            const frame = document.createElement('iframe');
            frame.src = 'frame';
            frame.onload = () => {
                const { port } = new frame.contentWindow.SharedWorker('/worker.js');
                port.onmessage = ({ data }) => resolve({ frame, port, data });
            };
            document.body.append(frame);
        });
        (async () => {
            const one = await add();
            const two = await add();
            one.frame.remove();
            two.port.onmessage = ({ data }) => {
                two.frame.remove();
                add().then(({ frame, data: count }) => {
                    navigator.sendBeacon('/report', [one.data, two.data, data, count].join());
                    frame.remove();
                });
            };
            two.port.postMessage('send');
        })();
        </script>";
    let script = [("Content-Type", "text/javascript")];
    let site = Site::new().page("/page", page).page("/frame", "<p>").page("/plain", "");
    let site = site.page_of("/worker.js", &script, worker).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "1,2,sent,1");
    let kept = site.request("/kept");
    assert_eq!(kept.body, b"kept");
    assert_eq!(kept.header("referer"), Some(&*site.0.url("/worker.js")));
    let scripts = site.0.requests().into_iter().filter(|it| it.target == "/worker.js");
    let destinations: Vec<_> =
        scripts.map(|it| it.header("sec-fetch-dest").unwrap().to_owned()).collect();
    assert_eq!(destinations, ["sharedworker", "sharedworker"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_a_shared_worker_are_those_of_its_response() {
    let worker = "onconnect = async ({ ports: [port] }) => {
            const violations = [];
            addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective));
            const failed = await fetch('/plain').catch((error) => error.name);
            port.postMessage([failed, ...violations].join());
        };";
    let page = "<script>
        new SharedWorker('/worker.js').port.onmessage = ({ data }) => navigator.sendBeacon('/report', data);
        </script>";
    let headers =
        [("Content-Type", "text/javascript"), ("Content-Security-Policy", "connect-src 'none'")];
    let site = Site::new().page("/page", page).page("/plain", "");
    let site = site.page_of("/worker.js", &headers, worker).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "TypeError,connect-src");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_src_decides_about_workers_at_local_urls() {
    let page = "<body><script>
        const log = [];
        addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, disposition }) =>
            log.push([effectiveDirective, blockedURI, disposition].join(' ')));
        const start = (Class, url) => new Promise((resolve) => {
            const worker = new Class(url);
            worker.onerror = () => resolve('blocked');
            (worker.port ?? worker).onmessage = ({ data }) => resolve(data);
        });
        const script = `const say = (port) => port.postMessage('runs');
            if (self.SharedWorkerGlobalScope) onconnect = (event) => say(event.ports[0]); else say(self);`;
        (async () => {
            for (const Class of [Worker, SharedWorker]) {
                for (const url of [URL.createObjectURL(new Blob([script])), `data:,${encodeURIComponent(script)}`]) {
                    log.push(await start(Class, url));
                    // The event of a violation follows.
                    await new Promise((resolve) => setTimeout(resolve));
                }
            }
            navigator.sendBeacon('/report', log.join());
        })();
        </script>";
    let policies = [
        ("worker-src blob:", "runs,blocked,worker-src data enforce"),
        ("script-src 'unsafe-inline'; child-src data:", "blocked,worker-src blob enforce,runs"),
        ("script-src 'unsafe-inline' 'strict-dynamic'", "runs,runs"),
    ];
    for (policy, expected) in policies {
        let site = Site::new().page_with("/page", &[("Content-Security-Policy", policy)], page);
        let site = site.start().await;
        visit(&site, "/page").await;
        assert_eq!(site.report(), [expected, expected].join(","), "{policy}");
    }
    let policy = [("Content-Security-Policy-Report-Only", "worker-src 'none'")];
    let site = Site::new().page_with("/page", &policy, page).start().await;
    visit(&site, "/page").await;
    let expected =
        ["blob", "data", "blob", "data"].map(|it| format!("worker-src {it} report,runs"));
    assert_eq!(site.report(), expected.join(","));
}
