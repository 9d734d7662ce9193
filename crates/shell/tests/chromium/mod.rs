//! Pages in a real Chromium, without a window.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where Debian's package puts it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Whether there is a Chromium. If there is none, says that the test was not run.
pub(crate) fn is_there() -> bool {
    let is_there = Path::new(CHROMIUM).exists();
    if !is_there {
        println!("not run: there is no {CHROMIUM}");
    }
    is_there
}

/// A page in a file, which Chromium opens.
pub(crate) struct Page(pub(crate) PathBuf);

impl Page {
    /// Opens the page with this fragment, and returns its DOM as HTML when its scripts have run.
    pub(crate) fn dom(&self, fragment: &str) -> String {
        dom(&format!("file://{}#{fragment}", self.0.display()))
    }

    /// Like [`dom`](Self::dom), after `script` has run at the end of the page.
    pub(crate) fn dom_after(&self, script: &str) -> String {
        let html = fs::read_to_string(&self.0).unwrap();
        let changed = self.0.with_extension("changed.html");
        let end = format!("<script>{script}</script></body>");
        fs::write(&changed, html.replacen("</body>", &end, 1)).unwrap();
        dom(&format!("file://{}", changed.display()))
    }
}

/// Opens a URL, and returns the body of its page as HTML when its scripts have run, without the scripts.
pub(crate) fn dom(url: &str) -> String {
    dom_with(&[], url)
}

/// Like [`dom`], with more switches of Chromium.
pub(crate) fn dom_with(switches: &[&str], url: &str) -> String {
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", profile()));
    let output = Command::new(CHROMIUM)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--window-size=1280,800", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(switches)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let _ = fs::remove_dir_all(profile);
    assert!(output.status.success(), "{output:?}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let mut dom = dom.split_once("<body>").unwrap().1.to_owned();
    while let Some(start) = dom.find("<script") {
        let end = dom[start..].find("</script>").unwrap() + "</script>".len();
        dom.replace_range(start..start + end, "");
    }
    dom
}

/// A name that no other process of Chromium has for its profile.
fn profile() -> String {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), LAST.fetch_add(1, Relaxed))
}
