//! The command `open --split`: what windows of different sites may do to each other.

mod shell;
mod site;

use shell::{Output, visit};
use site::Site;

/// Visits a page, with a page `other` that is served to the same host by another name.
async fn output(page: &str, other: &str) -> Output {
    let page = format!(
        "<body><script>
            const at = (host, name) => location.href.replace(location.hostname, host).replace(/[^/]*$/, name);
            {page}
        </script>"
    );
    let other = format!("<body><script>{other}</script>");
    let site = Site::new().page("/page", &page).page("/other", &other).any_query();
    let site = site.start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert!(!output.stderr.contains("is ended"), "{}", output.stderr);
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_cannot_close_its_opener() {
    let output = output(
        "open(at('localhost', 'other'));
         onmessage = () => console.log(closed);",
        "opener.close(); opener.postMessage('', '*');",
    )
    .await;
    assert_eq!(output.lines(), ["false"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_closes_a_page_that_has_one_entry() {
    for (script, closed) in [("", "true"), ("history.pushState(0, '', '#two');", "false")] {
        let page = format!(
            "{script}
             const frame = document.createElement('iframe');
             frame.src = at('localhost', 'other');
             document.body.append(frame);
             addEventListener('unload', () => console.log(closed));"
        );
        let output = output(&page, "top.close()").await;
        assert_eq!(output.lines(), [closed], "{script:?} {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_has_disowned_its_opener_is_not_closed_by_it() {
    // The second document of the window has another process, which learns that there is no opener.
    let output = output(
        "const opened = open(at('localhost', 'other'));
         onmessage = () => {
            opened.close();
            console.log('opener', opened.opener, opened.closed);
         };",
        "if (opener !== null) {
            const by = opener;
            opener = null;
            by.postMessage('', '*');
            onload = () => setTimeout(() => location = '/other?again');
         } else {
            console.log('window', opener);
            addEventListener('pagehide', () => console.log('window', closed));
         }",
    )
    .await;
    let mut lines = output.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["opener null false", "window false", "window null"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_gives_its_sibling_no_document_of_its_own_site() {
    let output = output(
        "const other = document.createElement('iframe');
         const own = document.createElement('iframe');
         other.src = at('localhost', 'other');
         own.srcdoc = 'own';
         own.onload = () => {
            if (own.contentDocument?.body.textContent === 'own') document.body.append(other);
            else console.log(own.contentDocument);
         };
         document.body.append(own);",
        "parent[0].location = 'about:blank';",
    )
    .await;
    assert_eq!(output.lines(), ["null"], "{}", output.stderr);
}
