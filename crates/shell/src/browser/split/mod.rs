//! `open --split`: runs each document in a content process, and everything else in the parent process.
//!
//! A content process also runs the document's frames and the windows that the document opens. Two sockets connect it
//! to the parent process:
//!
//! * its stdin is the channel of the library, for beacons and fetches;
//! * its stdout is the shell's own channel, for the documents themselves, `document.cookie`, navigation, scripts and
//!   the console. A message is a line of JSON.

mod content;
mod parent;

use std::{
    io::{self, BufRead, Read, Write},
    ops::RangeInclusive,
    os::unix::net::UnixStream,
    time::Duration,
};

use bytes::Bytes;
use sendbeacon::Client;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    content::{ContentError, run_content},
    parent::Split,
};
use super::{log::News, surroundings::Storage};
use crate::{
    page::{FetchedDocument, FetchedScript, Navigation, ScriptRequest},
    timeline::Step,
};

/// A message to a content process.
#[derive(Serialize, Deserialize)]
enum ToContent {
    /// The first message: the document to run, the document identifiers that the process may use, and what the
    /// document's origin has stored. The bytes of the body follow the message.
    Document {
        document: Box<FetchedDocument>,
        document_ids: RangeInclusive<u64>,
        stored: Stored,
        body_length: usize,
        limit: Duration,
    },
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
    /// Asks the process to unload its document and to end.
    Close,
}

/// The items that an origin has stored, in the profile and in the tab.
#[derive(Serialize, Deserialize)]
struct Stored {
    local: Vec<(String, String)>,
    session: Vec<(String, String)>,
}

impl Stored {
    fn of(storage: &Storage) -> Self {
        Self { local: storage.local.items(), session: storage.session.items() }
    }

    fn store(self, storage: &Storage) {
        storage.local.replace(self.local);
        storage.session.replace(self.session);
    }
}

/// A message from a content process.
#[derive(Serialize, Deserialize)]
enum FromContent {
    /// Asks for the value of `document.cookie`.
    GetCookies(Box<Client>),
    /// Assigns to `document.cookie`.
    SetCookie(Box<Client>, String),
    /// Asks for a script.
    LoadScript(Box<Client>, ScriptRequest),
    /// A line for the console.
    Console { level: String, message: String },
    /// Asks for the document of a frame, or of a window that a script of the process has opened.
    FetchDocument { id: u64, navigation: Box<Navigation> },
    /// Asks to navigate the tab. Another process runs the next document.
    Navigate(Box<Navigation>),
    /// Tells the timeline what happens to a document.
    Told(u64, Step),
    /// The last message: the document has gone, and its origin has stored this.
    Gone(Stored),
}

/// A message as a line of JSON.
fn serialize(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

fn write(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&serialize(message)?)
}

/// The longest message, in bytes. The largest ones hold everything that an origin has stored.
const MAX_MESSAGE: u64 = 64 << 20;

/// Reads the next message; `None` at the end of the stream.
fn read<T: DeserializeOwned>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    match reader.take(MAX_MESSAGE).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(serde_json::from_slice(&line)?)),
        // The other process has ended without reading everything. That is an end, too.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the body that follows a message.
fn read_body(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
}
