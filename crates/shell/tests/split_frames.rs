//! The command `open --split`: frames of other sites, each in a process of its own.

mod shell;
mod site;

use shell::visit;
use site::Site;

/// Appends a frame with the page `frame` of another site, which is the same server by another name.
const OTHER: &str = "
    const other = document.createElement('iframe');
    other.src = location.href.replace('127.0.0.1', 'localhost').replace(/page.*/, 'frame');
    document.body.append(other);";

fn page(script: &str) -> String {
    format!("<body><script>{OTHER} {script}</script>")
}

fn frame(script: &str) -> String {
    format!("<body><script>{script}</script>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_site_sends_its_last_beacons_when_the_page_closes() {
    let page = page(
        "
        addEventListener('beforeunload', () => navigator.sendBeacon('/1'));
        addEventListener('pagehide', () => navigator.sendBeacon('/3'));
        addEventListener('unload', () => navigator.sendBeacon('/4'));",
    );
    let frame = frame(
        "
        addEventListener('beforeunload', () => navigator.sendBeacon('/2'));
        addEventListener('pagehide', () => navigator.sendBeacon('/5'));
        document.addEventListener('visibilitychange', () => navigator.sendBeacon('/6'));
        addEventListener('unload', () => navigator.sendBeacon('/7'));",
    );
    let site = Site::new().page("/page", &page).page("/frame", &frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(site.beacons(), ["/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parent_waits_until_its_frame_is_unloaded() {
    // The frame unloads slowly. Its parent is unloaded first, and the parent's removed frame before the next statement.
    let page = page(
        "
        addEventListener('message', () => {
            other.remove();
            console.log('removed');
        });",
    );
    let frame = frame(
        "
        addEventListener('pagehide', () => {
            const start = performance.now();
            while (performance.now() < start + 300);
            console.log('hidden');
        });
        parent.postMessage('', '*');",
    );
    let site = Site::new().page("/page", &page).page("/frame", &frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert_eq!(output.lines(), ["hidden", "removed"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways() {
    let page = page("
        onmessage = ({ data, origin, source }) => {
            console.log('page', JSON.stringify(data), origin === new URL(other.src).origin, source === other.contentWindow);
            source.postMessage('wrong', 'http://c.test');
            source.postMessage(
                { map: new Map([[1, new Set([2n])]]), bytes: new Uint8Array([3, 4]).subarray(1), date: new Date(5),
                  error: new RangeError('six'), nothing: undefined, zero: -0, self: null }, origin);
        };");
    let frame = frame("
        onmessage = ({ data, source }) => {
            const { map, bytes, date, error, nothing, zero } = data;
            console.log('frame', [...map.get(1)][0] === 2n, bytes[0], bytes.length, date.getTime(),
                error instanceof RangeError, error.message, nothing, Object.is(zero, -0), source === parent);
        };
        const list = ['hello', { nested: [1, null] }];
        parent.postMessage(list, '*');");
    let site = Site::new().page("/page", &page).page("/frame", &frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert_eq!(
        output.lines(),
        [
            r#"page ["hello",{"nested":[1,null]}] true true"#,
            "frame true 4 1 5 true six undefined true true"
        ],
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_to_another_process_is_not_sent() {
    let page = page("
        onload = () => {
            const { port1 } = new MessageChannel();
            for (const [message, transfer] of [[port1, [port1]], [new SharedArrayBuffer(1), []], [() => 0, []]]) {
                try { other.contentWindow.postMessage(message, '*', transfer); } catch (e) { console.log(e.name); }
            }
        };");
    let headers = [
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
    ];
    let site = Site::new().page_with("/page", &headers, &page).page("/frame", "").start().await;
    let output = visit(site.0.url("/page")).await;
    assert_eq!(output.lines(), ["DataCloneError"; 3], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_see_the_cross_origin_properties_only() {
    let check = "
        function look(w) {
            const attempt = (steps) => { try { return String(steps()); } catch (e) { return e.name; } };
            return [
                attempt(() => w.document), attempt(() => w.location.href), attempt(() => w.mine), attempt(() => w.mine = 1),
                attempt(() => Object.keys(w).length), attempt(() => w.closed), attempt(() => w.window === w),
                attempt(() => w.self === w), attempt(() => w.frames === w), attempt(() => w.length), attempt(() => w.opener),
                attempt(() => typeof w.focus), attempt(() => w.blur()), attempt(() => w.then),
                attempt(() => w instanceof Window), attempt(() => w.location.reload()),
            ].join();
        }";
    let page = page(&format!(
        "{check} onload = () => {{
            console.log('frame', look(frames[0]), frames[0].parent === window, frames[0].top === window,
                frames[0][0].parent === frames[0], frames[0].inner === frames[0][0], other.contentDocument);
        }};"
    ));
    let frame = format!(
        "<iframe name=inner></iframe><script>{check}
            console.log('page', look(parent), parent === top, parent[0] === window, parent.frames.length, frameElement);
        </script>"
    );
    let site = Site::new().page("/page", &page).page("/frame", &frame).start().await;
    let output = visit(site.0.url("/page")).await;
    let denied = "SecurityError,SecurityError,SecurityError,SecurityError";
    let members = "1,false,true,true,true,1,null,function,undefined,undefined";
    assert_eq!(
        output.lines(),
        [
            format!("page {denied},{members},false,SecurityError true true 1 null"),
            format!("frame {denied},{members},false,SecurityError true true true true null"),
        ],
        "{}",
        output.stderr
    );
}
