//! `open --split`: each document in a content process of its own, with its frames and the windows it opens,
//! all else in this one.
//!
//! Beside the library's channel, which is the content process's stdin, runs the shell's own for what is
//! not the library's: the documents themselves, `document.cookie`, navigation, the console. That is its
//! stdout, a socket too, with a line of JSON for each message.

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
use url::Url;

pub use self::{
    content::{ContentError, run_content},
    parent::Split,
};
use super::{host::Storage, log::News, scripts::Script};
use crate::page::{FetchedDocument, Navigation};

/// To a content process.
#[derive(Serialize, Deserialize)]
enum ToContent {
    /// Its document, the first message, and the identifiers it may give. The bytes of the body come behind.
    Document {
        document: Box<FetchedDocument>,
        document_ids: RangeInclusive<u64>,
        stored: Stored,
        body_length: usize,
        limit: Duration,
    },
    /// What it asked for with [`FromContent::FetchDocument`]. The bytes of the body come behind.
    Fetched {
        id: u64,
        document: Result<Option<Box<FetchedDocument>>, String>,
        body_length: usize,
        #[serde(skip)]
        body: Bytes,
    },
    /// What it asked for with [`FromContent::GetCookies`].
    Cookies(String),
    /// What it asked for with [`FromContent::LoadScript`].
    Script(Result<Script, String>),
    /// Something that concerns one of its documents.
    News { document_id: u64, news: News },
    /// Unload, and go.
    Close,
}

/// What an origin has stored, in the profile and in the tab.
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

/// From a content process.
#[derive(Serialize, Deserialize)]
enum FromContent {
    GetCookies(Box<Client>),
    SetCookie(Box<Client>, String),
    LoadScript(Box<Client>, Url),
    Console {
        level: String,
        message: String,
    },
    /// The document of a frame, or of a window that a script of the process has opened.
    FetchDocument {
        id: u64,
        navigation: Box<Navigation>,
    },
    /// The document wants to go to another URL.
    Navigate(Box<Navigation>),
    /// The document has gone, and this is what its origin has stored.
    Gone(Stored),
}

fn serialize(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

fn write(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&serialize(message)?)
}

/// The longest message, in bytes. All that is stored is one.
const MAX_MESSAGE: u64 = 64 << 20;

/// The next message; `None` at the end.
fn read<T: DeserializeOwned>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    match reader.take(MAX_MESSAGE).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(serde_json::from_slice(&line)?)),
        // The end of a process that had something left to read.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_body(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
}
