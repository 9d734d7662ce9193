//! `navigator.sendBeacon` of a webview's pages, delivered by the app.
//!
//! An app on a webview loses the beacons that its pages send at the end: the webview's network goes with it. This crate
//! lets the app send them, through a [`UserAgent`](sendbeacon::UserAgent). It knows no webview: [`Bridge`] gives the script
//! that runs before the page's own, and takes the script's messages. `sendbeacon-webkitgtk` and `tauri-plugin-sendbeacon`
//! connect it to a webview.
//!
//! In the main frame the script replaces `navigator.sendBeacon()`, and `fetch()` with `keepalive` while the page is
//! dismissed, and adds `fetchLater()` if the webview has none. It answers at once, by a mirror of the document's ledger.
//! The app accepts what the mirror has admitted, unless all webviews together have too much unfinished: [`Bridge::lost`]
//! counts what is lost then. Other frames keep the webview's own. So does a body that script cannot read at once: a file
//! of the user's, the blob of a response, a blob of more than 64 KiB, a stream. Links with `ping` are the webview's, too.
//!
//! With the feature `remote` the same script may run in a content process, also in other frames: `ContentPage` answers it
//! there, through `sendbeacon::remote`. There the app sends a keepalive `fetch()` at any time, and the page reads its
//! response.
//!
//! docs/EMBEDDING.md has the section "In a webview".

mod body;
mod bridge;
#[cfg(all(unix, feature = "remote"))]
mod content_fetch;
#[cfg(all(unix, feature = "remote"))]
mod content_page;
mod cookies;
mod document;
mod ledger;
mod message;
#[cfg(all(unix, feature = "remote"))]
mod pages;
mod request;
mod script;
mod secret;
mod settings;
mod state;
mod webview_id;

pub use self::{
    bridge::{Bridge, Telling},
    cookies::{SameSite, WebviewCookie, WebviewCookies},
    message::MessageError,
    settings::{add_policy, page_origin},
    webview_id::WebviewId,
};
#[cfg(all(unix, feature = "remote"))]
pub use self::{
    content_fetch::ContentFetch,
    content_page::{Answer, ContentPage, HeadOf, PolicySource},
};
