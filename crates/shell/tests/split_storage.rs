//! The command `open --split`: the `localStorage` of documents of different processes.

mod shell;
mod site;

use shell::visit;
#[cfg(target_os = "linux")]
use shell::{children, end, kill, open};
use site::Site;

/// Appends a frame with a page of another site, which is the same server by another name.
const OTHER: &str = "
    const other = document.createElement('iframe');
    other.src = location.href.replace(location.hostname, 'localhost').replace(/[^/]*$/, 'other');
    document.body.append(other);";

/// The page of the other site. It has a frame of the first site, whose document runs in a process of its own.
const BETWEEN: &str = "<body><script>
    const inner = document.createElement('iframe');
    inner.src = location.href.replace(location.hostname, '127.0.0.1').replace(/[^/]*$/, 'inner');
    document.body.append(inner);
    </script>";

/// A site with a page that has a frame of its own origin in another process.
fn site(page: &str, inner: &str) -> Site {
    let page = format!("<body><script>{page} {OTHER}</script>");
    Site::new().page("/page", &page).page("/other", BETWEEN).page("/inner", inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_other_processes_see_each_change() {
    let describe = "({ key, oldValue, newValue, url, storageArea }) =>
        [key, oldValue, newValue, url.split('/').at(-1), storageArea === localStorage].join()";
    let page = format!(
        "const describe = {describe};
         localStorage.a = 'before';
         addEventListener('storage', (event) => {{
             console.log('page', describe(event), Object.keys(localStorage).join());
             if (event.newValue === 'inner') localStorage.b = 'page';
         }});"
    );
    let inner = format!(
        "<script>
         const describe = {describe};
         console.log('inner', Object.entries(localStorage).join());
         addEventListener('storage', (event) => {{
             console.log('inner', describe(event), localStorage.b);
             delete localStorage.a;
             localStorage.clear();
         }});
         localStorage.a = 'before';
         localStorage.b = 'inner';
         </script>"
    );
    let site = site(&page, &inner).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    let of = |name: &str| {
        let lines = output.lines().into_iter().filter_map(|it| it.strip_prefix(name));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("inner "), ["a,before", "b,inner,page,page,true page"], "{}", output.stderr);
    let page = of("page ");
    assert!(page[0].starts_with("b,,inner,inner,true a,b"), "{page:?}");
    assert!(page[1].starts_with("a,before,,inner,true"), "{page:?}");
    assert_eq!(page[2..], [",,,inner,true "], "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_the_order_of_the_changes_of_all_processes() {
    // While a task of the page runs, the inner document makes its change. The page makes another one, and the document of
    // its frame hears of both.
    let page = "
        const frame = document.createElement('iframe');
        document.body.append(frame);
        const log = [];
        frame.contentWindow.addEventListener('storage', ({ oldValue, newValue }) => {
            log.push([oldValue, newValue].join('>'));
            if (newValue === 'page') console.log(log.join());
        });
        onmessage = () => {
            localStorage.a = 'begin';
            while (localStorage.a !== 'inner') ;
            localStorage.a = 'page';
        };";
    let inner = "<script>
        addEventListener('storage', ({ newValue }) => {
            if (newValue === 'begin') localStorage.a = 'inner';
        });
        onload = () => top.postMessage('', '*');
        </script>";
    let site = site(page, inner).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), [">begin,begin>inner,inner>page"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_of_all_processes_are_kept() {
    let page = "
        localStorage.both = 'page';
        // A page that has not fired `pageshow` fires no `pagehide`.
        addEventListener('pageshow', () => location = '/next');
        addEventListener('pagehide', () => localStorage.page = 1);";
    let inner = "<script>
        localStorage.both = 'inner';
        addEventListener('pagehide', () => localStorage.inner = 2);
        </script>";
    // The inner process may still be unloading its document when the next page runs.
    let next = "<script>
        const alive = setInterval(() => 0, 1000);
        const look = () => {
            if (!localStorage.inner) return;
            clearInterval(alive);
            onstorage = null;
            console.log(Object.entries(localStorage).sort().join());
        };
        onstorage = look;
        look();
        </script>";
    let site = site(page, inner).page("/next", next).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["both,inner,inner,2,page,1"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_quota_of_an_origin() {
    let page = "localStorage.page = 'x'.repeat(3 << 20);";
    let inner = "<script>
        const attempt = (size) => {
            try { localStorage.inner = 'x'.repeat(size); } catch (error) { return error.name; }
        };
        console.log(attempt(3 << 20), attempt(1 << 20));
        </script>";
    let site = site(page, inner).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["QuotaExceededError undefined"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_of_each_origin_of_a_process_is_kept() {
    let frame = "<script>
        console.log(localStorage.length);
        localStorage.a = origin;
        onload = () => top.postMessage('', '*');
        </script>";
    let next = "<script>console.log(localStorage.a === origin)</script>";
    // Another port is another origin of the same site.
    let other = Site::new().page("/frame", frame).page("/next", next).start().await;
    let page = format!(
        "<body><script>localStorage.a = 'page'; onmessage = () => location = '{}';</script>
         <iframe src='{}'></iframe>",
        other.0.url("/next"),
        other.0.url("/frame"),
    );
    let site = Site::new().page("/page", &page).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["0", "true"], "{}", output.stderr);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_has_stored_stays() {
    let page = "
        const alive = setInterval(() => 0, 1000);
        onload = () => {
            other.onload = () => {
                console.log(localStorage.inner);
                clearInterval(alive);
            };
            navigator.sendBeacon('/page-ready');
        };";
    let inner = "<script>
        localStorage.inner = 'stays';
        onload = () => navigator.sendBeacon('/ready');
        setInterval(() => 0, 1000);
        </script>";
    let site = site(page, inner).start().await;
    let shell = open(&site.0.url("/page"));
    site.0.wait_for(5).await;
    let processes = children(&shell);
    assert_eq!(processes.len(), 3);
    kill("-KILL", processes[2]);
    kill("-KILL", processes[1]);
    let output = end(shell).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["stays"], "{}", output.stderr);
}
