//! Random pages: the shell neither panics nor hangs.

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*};

mod common;

use common::Fixture;

/// Random HTML, mostly of pieces that matter to the shell.
fn html() -> impl Strategy<Value = String> {
    const PIECES: [&str; 22] = [
        "<script>",
        "</script>",
        "<base href=",
        "'//['>",
        "<meta name=referrer content=",
        "<meta http-equiv=content-security-policy content=\"connect-src 'none'; ",
        "\">",
        "<iframe srcdoc='<script>1</script>'>",
        "<table><div><b><p></table>",
        "navigator.sendBeacon(",
        "'\u{d7ff}\\ud800',",
        "new Blob([1, {}, new ArrayBuffer(3)], { type: 'a/b' }));",
        "new FormData().append(",
        "document.body.innerHTML = '<p><script>';",
        "document.documentElement.remove();",
        "setTimeout('1', 0);",
        "throw null;",
        "(async () => { throw {}; })();",
        "fetch('x').catch(() => {});",
        "addEventListener('unload', () => { throw 1; });",
        "<!--",
        "\0",
    ];
    let piece = (0..PIECES.len()).prop_map(|at| PIECES[at].to_owned());
    vec(prop_oneof![4 => piece, 1 => ".{0,20}"], 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_page_loads_and_unloads(html in html()) {
        let mut fixture = Fixture::html(&html);
        fixture.page.fire_load();
        // The host answers no fetches, so the page may never become idle.
        let deadline = Instant::now() + Duration::from_millis(20);
        fixture.page.event_loop().run_until_idle(deadline);
        fixture.page.hide();
        fixture.page.unload();
    }
}
