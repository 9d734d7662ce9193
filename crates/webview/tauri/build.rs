//! Declares the plugin's permissions.

fn main() {
    // It has no commands, so its pages need no permission.
    tauri_plugin::Builder::new(&[]).build();
}
