//! What a document's host needs of the browser around it.

use std::{rc::Rc, time::Instant};

use sendbeacon::{Client, Document, FetchId, NavigableContainer, Origin};
use url::Url;

use crate::{
    page::{
        Command, DocumentDone, FetchedScript, NavigableId, Navigation, RealmId, ScriptRequest,
        StorageArea, TaskQueue, WindowMessage,
    },
    timeline::Step,
};

/// A `sendBeacon()` call and its result, as the page saw them.
#[derive(Clone, Debug)]
pub struct Call {
    /// When the call returned.
    pub at: Instant,
    /// The URL argument, as the script passed it.
    pub url: String,
    /// The return value, or the message of the exception.
    pub result: Result<bool, String>,
}

/// The parts of the browser that a document needs. They are in this process or in another one.
pub(super) trait Surroundings {
    /// Answers the getter of `document.cookie`.
    fn cookies(&self, client: &Client) -> String;

    /// Performs `document.cookie = cookie`.
    fn set_cookie(&self, client: &Client, cookie: &str);

    /// Writes a line to the console.
    fn console(&self, level: &str, message: &str);

    /// Loads a script. The call blocks until the script is there.
    fn load_script(
        &self,
        client: &Client,
        request: &ScriptRequest,
    ) -> Result<FetchedScript, String>;

    /// Fetches the document of a navigation, and then calls `done`, on any thread.
    fn fetch_document(&self, navigation: Navigation, done: DocumentDone);

    /// Makes the library's document for a settings object, and sets the client's `document_id`.
    ///
    /// `container` is the frame's container; `None` for a top-level document.
    fn create_document(
        &self,
        client: &mut Client,
        container: Option<&NavigableContainer>,
    ) -> Document;

    /// The storage areas of an origin.
    fn storage(&self, origin: &Origin) -> Storage;

    /// Makes the surroundings of a new tab, which a script of this tab has opened.
    ///
    /// The new tab begins with a copy of this tab's session storage if `copies_session`, and otherwise with an empty
    /// one.
    fn open_tab(&self, copies_session: bool) -> Rc<dyn Surroundings>;

    /// Reports a `sendBeacon()` call of one of the tab's documents. Default: does nothing.
    fn called(&self, _call: Call) {}

    /// Tells the timeline what happens to a document.
    fn told(&self, document_id: u64, step: Step);

    /// Tells the timeline of a call of `fetchLater()`. Default: does nothing, because the identifier of a fetch means
    /// nothing in another process.
    fn deferred(&self, _document_id: u64, _id: FetchId, _url: &Url) {}

    /// Tells the timeline that a script aborts a deferred fetch. Default: does nothing.
    fn deferred_aborted(&self, _id: FetchId) {}

    /// Sends a message about a navigable to the other processes of the tab. The default does nothing: a tab without
    /// `--split` has no other process.
    fn send(&self, _navigable: NavigableId, _message: WindowMessage) {}

    /// Tells the document of a navigable, which another process runs, to do something. The call blocks until it is done,
    /// for 2 seconds at most. Default: does nothing.
    fn command(&self, _navigable: NavigableId, _command: Command) {}

    /// From now on, posts the news of the document's requests to `queue`, as tasks of `realm`.
    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId);

    /// Ends the effect of [`attached`](Self::attached): the document has gone.
    fn detached(&self, document_id: u64);
}

/// The storage areas of an origin: the profile's and the tab's.
#[derive(Clone, Default)]
pub(super) struct Storage {
    pub(super) local: StorageArea,
    pub(super) session: StorageArea,
}
