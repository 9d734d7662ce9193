//! `open --split`: runs documents in content processes, and everything else in the parent process.
//!
//! A content process runs one document: that of the tab, or that of a frame or window of another site. It also runs the
//! frames in it, and the windows that it opens, as long as they are of its site. Two sockets connect it to the parent
//! process:
//!
//! * its stdin is the channel of the library, for beacons and fetches;
//! * its stdout is the shell's own channel, for the documents themselves, `document.cookie`, navigation, scripts, the
//!   console, and messages between windows. A message is a line of JSON.
//!
//! Content processes have no connection to each other: the parent process passes their messages on, as far as it allows
//! them (`tree`).

mod channel;
mod content;
mod from_parent;
mod mailbox;
mod parent;
mod process;
mod storage;
mod tree;

use std::ops::RangeInclusive;

use bytes::Bytes;
use sendbeacon::{Client, Origin, ReservedQuota};
use serde::{Deserialize, Serialize};

pub use self::{
    content::{ContentError, run_content},
    parent::Split,
};
use super::log::News;
use crate::{
    page::{
        Command, FetchedDocument, FetchedScript, NavigableId, Navigation, NewNavigable,
        ScriptRequest, StorageChange, WindowMessage,
    },
    timeline::Step,
};

/// A message to a content process.
#[derive(Serialize, Deserialize)]
enum ToContent {
    /// The first message: the document to run. The bytes of the body follow the message.
    Document(Box<FirstDocument>),
    /// The answer to [`FromContent::FetchDocument`]. The bytes of the body follow the message.
    Fetched {
        id: u64,
        document: Result<Option<Box<FetchedDocument>>, String>,
        body_length: usize,
        #[serde(skip)]
        body: Bytes,
    },
    /// The answer to [`FromContent::GetCookies`].
    Cookies(String),
    /// The answer to [`FromContent::LoadScript`].
    Script(Result<FetchedScript, String>),
    /// News for one of the process's documents.
    News { document_id: u64, news: News },
    /// A message about a navigable.
    Window(NavigableId, WindowMessage),
    /// A document of the process has to do something, and the process has to answer with [`FromContent::Done`].
    Command { navigable: NavigableId, command: Command, ticket: u64 },
    /// The answer to [`FromContent::Command`].
    Done(u64),
    /// The answer to [`FromContent::GetItems`].
    Items(Items),
    /// The answer to [`FromContent::Store`]: whether there is room.
    Stored(bool),
    /// Another process has changed the `localStorage` of this origin.
    Changed(Origin, Box<StorageChange>),
    /// Asks the process to unload its documents and to end.
    Close { after_navigation: bool },
}

/// The document that a process runs first.
#[derive(Serialize, Deserialize)]
struct FirstDocument {
    document: FetchedDocument,
    body_length: usize,
    /// The document identifiers that the process may use.
    document_ids: RangeInclusive<u64>,
    /// The navigable of the document.
    place: NavigableId,
    /// The number of the first navigable that the process creates.
    first_navigable: NavigableId,
    /// All navigables of the tab, parents before their children.
    navigables: Vec<(NavigableId, NewNavigable)>,
    /// For a frame: the deferred-fetch quota that its container reserves.
    reserved: Option<ReservedQuota>,
    /// What the document's origin has stored in the profile.
    local_storage: Items,
    /// What the document's origin has stored in the tab.
    session_storage: Items,
}

/// The items of a storage area.
type Items = Vec<(String, String)>;

/// A message from a content process.
#[derive(Serialize, Deserialize)]
enum FromContent {
    /// Asks for the value of `document.cookie`.
    GetCookies(Box<Client>),
    /// Assigns to `document.cookie`.
    SetCookie(Box<Client>, String),
    /// Asks for a script.
    LoadScript(Box<Client>, Box<ScriptRequest>),
    /// Asks for the `localStorage` of an origin.
    GetItems(Origin),
    /// Asks to change the `localStorage` of an origin.
    Store(Origin, Box<StorageChange>),
    /// A line for the console.
    Console { level: String, message: String },
    /// Asks for the document of a frame, or of a window that a script of the process has opened.
    FetchDocument { id: u64, navigation: Box<Navigation> },
    /// A message about a navigable.
    Window(NavigableId, WindowMessage),
    /// A document of another process has to do something. The process waits for [`ToContent::Done`].
    Command { navigable: NavigableId, command: Command, ticket: u64 },
    /// What [`ToContent::Command`] asked for is done.
    Done(u64),
    /// Tells the timeline what happens to a document.
    Told(u64, Step),
    /// The process has handled this many messages after the first, and may be idle.
    Turn { handled: u64, is_idle: bool },
    /// The last message: the document has gone, and its origin has stored this in the tab.
    Gone(Items),
}
