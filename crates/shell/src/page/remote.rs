//! What the processes of a tab tell each other about its windows and frames.
//!
//! A navigable has the same number in each process of the tab. One process has created it and *keeps* it: it navigates
//! it, and removes it. One process runs its document: the same process, or one for that document. In all others, and in
//! the keeping process if the document is elsewhere, a *remote window* stands for the document.

use sendbeacon::{Client, Origin, ReferrerPolicy, ReservedQuota};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    host::PostResource,
    navigable::{NavigableId, SandboxFlags},
};

/// A message about a navigable, for other processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum WindowMessage {
    /// From the keeping process, for all: the navigable exists.
    Created(NewNavigable),
    /// From the keeping process, for all: the navigable has another target name.
    Renamed(String),
    /// From the keeping process, or from that of the document, for all: the navigable has gone.
    Removed,
    /// From the process of the document, for all: the navigable has another document, of this origin.
    Activated(Origin),
    /// From the keeping process: a new process has to run the document that was fetched for the navigable.
    Placed(Box<Placement>),
    /// From the keeping process: it runs the document of the navigable itself again.
    TakenBack,
    /// To the keeping process: the process of the document has ended.
    Crashed,
    /// To the keeping process: the document of the navigable has fired `load`.
    Loaded,
    /// From the process of the document to the keeping one: fetch another document. From others to the process of the
    /// document: navigate.
    Navigate(Box<RemoteNavigation>),
    /// From the process of the document, for all: the navigable has no opener any more.
    Disowned,
    /// To the process of the document: the document of `source` has called `window.close()`.
    Close {
        /// The navigable of the calling document.
        source: NavigableId,
    },
    /// To the process of the document: `window.postMessage()`.
    PostMessage(Box<PostedMessage>),
}

/// A navigable that another process has created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewNavigable {
    /// The navigable whose document contains it.
    pub parent: Option<NavigableId>,
    /// The navigable whose document has opened it.
    pub opener: Option<NavigableId>,
    /// Whether it was opened with an opener, which it may have disowned since.
    pub is_auxiliary: bool,
    /// Its target name.
    pub name: String,
    /// The origin of its document.
    pub origin: Origin,
}

/// What the keeping process decides of a document that another process runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placement {
    /// The settings object, with the permissions policy that the container sets.
    pub client: Client,
    /// The sandboxing flags.
    pub sandbox: SandboxFlags,
    /// For a frame: the deferred-fetch quota that the container reserves.
    pub reserved: Option<ReservedQuota>,
}

/// A navigation to a document that has to be fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteNavigation {
    /// The URL.
    pub url: Url,
    /// Whether the document replaces the one of the current entry.
    pub replace: bool,
    /// The settings object of the document that navigates.
    pub client: Client,
    /// Whether it is a reload. The initiator is then the document that began the first navigation, and not `client`.
    pub is_reload: bool,
    /// See [`Environment::cookie_url`](super::Environment::cookie_url).
    pub cookie_url: Url,
    /// The referrer policy of the element that navigates, if it has one.
    pub referrer_policy: Option<ReferrerPolicy>,
    /// The body of a form's POST request.
    pub post: Option<PostResource>,
}

/// The arguments of `window.postMessage()`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostedMessage {
    /// The navigable of the sending document.
    pub source: NavigableId,
    /// The origin of the sending document, serialised.
    pub origin: String,
    /// The origin that the receiving document must have, serialised, or `*`.
    pub target_origin: String,
    /// The message: see `js/structured_text.js`.
    pub text: String,
}

/// What a document of another process has to do for a document above it. The sender waits until it is done, for 2 seconds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Fire `beforeunload`.
    FireBeforeUnload,
    /// [Unload](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-a-document).
    Unload,
    /// Become visible.
    Show,
    /// Become hidden.
    Hide,
    /// Fire `freeze`, and run no tasks.
    Freeze,
    /// Run tasks again, and fire `resume`.
    Resume,
}
