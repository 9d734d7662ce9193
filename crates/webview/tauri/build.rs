//! Declares the plugin's permissions, and where there is WebKitGTK.

use std::env;

fn main() {
    // `#[cfg(webkitgtk)]`: the platforms on which Tauri uses WebKitGTK.
    println!("cargo::rustc-check-cfg=cfg(webkitgtk)");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if matches!(&*os, "linux" | "dragonfly" | "freebsd" | "netbsd" | "openbsd") {
        println!("cargo::rustc-cfg=webkitgtk");
    }
    // It has no commands, so its pages need no permission.
    tauri_plugin::Builder::new(&[]).build();
}
