//! What documents ask the parent process for: cookies, scripts and documents.

use std::sync::Arc;

use bytes::Bytes;
use sendbeacon::Site;

use super::{Event, SplitTab};
use crate::{
    browser::{
        navigation::{NavigationError, fetch_document},
        split::{
            FromContent, ToContent,
            tree::{Misconduct, ProcessId, TAB},
        },
    },
    page::{FetchedDocument, FetchedScript, NavigableId, Navigation, RemoteNavigation},
};

/// How many fetches of a process may be unfinished.
const MAX_PENDING: usize = 1000;
/// How many documents are held for other processes to run.
const MAX_HELD: usize = 64;
/// How many processes may run at once.
const MAX_AT_ONCE: usize = 64;

/// The result of a fetch for a process.
pub(super) enum Answer {
    Script(Box<Result<FetchedScript, String>>),
    Document {
        id: u64,
        navigable: NavigableId,
        document: Result<Option<Box<FetchedDocument>>, String>,
    },
}

impl SplitTab<'_> {
    /// Answers a request of a process.
    pub(super) fn request(
        &mut self,
        id: ProcessId,
        request: FromContent,
    ) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get_mut(&id) else { return Ok(()) };
        let events = self.events.clone();
        let browser = self.browser;
        let is_full = process.pending >= MAX_PENDING;
        match request {
            FromContent::GetCookies(said) => {
                let cookies = browser.cookies.document_cookie(&process.hold(*said));
                process.mailbox.send(id, &ToContent::Cookies(cookies));
            }
            FromContent::SetCookie(said, cookie) => {
                browser.cookies.set_document_cookie(&process.hold(*said), &cookie);
            }
            FromContent::LoadScript(..) | FromContent::FetchDocument { .. } if is_full => {
                return Err(Misconduct::Backlog);
            }
            FromContent::LoadScript(said, mut request) => {
                process.pending += 1;
                let (client, scripts) = (process.hold(*said), Arc::clone(&self.scripts));
                // TODO(spec): a content process could name any page as the referrer. So the parent drops a referrer of another
                // origin. If a module of another origin imports something, the referrer is then the document or worker.
                request.referrer.take_if(|url| !client.origin.is_same_origin_with_url(url));
                browser.runtime.spawn(async move {
                    let script = scripts.load(client, &request).await;
                    // Sending fails if the tab has ended. This holds for all events.
                    let _ = events.send(Event::Fetched(id, Answer::Script(Box::new(script))));
                });
            }
            FromContent::FetchDocument { id: fetch, navigation } => {
                process.pending += 1;
                let mut navigation = *navigation;
                navigation.source = process.source_of(navigation.source, &navigation.url);
                navigation.container = navigation.container.map(|said| process.hold(said));
                let navigable = navigation.navigable;
                let (network, cookies) =
                    (Arc::clone(&browser.network), Arc::clone(&browser.cookies));
                browser.runtime.spawn(async move {
                    let fetched = fetch_document(&*network, &*cookies, &navigation).await;
                    let document = fetched
                        .map(|document| document.map(Box::new))
                        .map_err(|error| error.to_string());
                    let answer = Answer::Document { id: fetch, navigable, document };
                    let _ = events.send(Event::Fetched(id, answer));
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands the result of a fetch to the process. A document of another site, or of another network partition, is held
    /// for another process.
    pub(super) fn fetched(&mut self, id: ProcessId, answer: Answer) {
        let is_crowded = self.processes.len() >= MAX_AT_ONCE || self.held.len() >= MAX_HELD;
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.pending -= 1;
        if process.mailbox.is_full_for(id) {
            return self.end(id, &Misconduct::Backlog);
        }
        let (fetch, navigable, document) = match answer {
            Answer::Script(script) => return process.mailbox.send(id, &ToContent::Script(*script)),
            Answer::Document { id: fetch, navigable, document } => (fetch, navigable, document),
        };
        let is_of_process = |document: &FetchedDocument| {
            Site::of(&document.client.origin) == process.site
                && document.client.network_partition_key == process.client.network_partition_key
        };
        let mut body = Bytes::new();
        let document = match document {
            Ok(Some(document)) if is_of_process(&document) => {
                body = document.body.clone();
                Ok(Some(document))
            }
            Ok(Some(_)) if self.tree.keeper(navigable) != Some(id) => {
                Err("the frame has gone".to_owned())
            }
            Ok(Some(document)) if is_crowded => {
                Err(format!("{}: there are too many content processes", document.url))
            }
            Ok(Some(document)) => {
                self.held.insert(navigable, FetchedDocument::clone(&document));
                Ok(Some(Box::new(FetchedDocument {
                    body: Bytes::new(),
                    is_remote: true,
                    ..*document
                })))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let body_length = body.len();
        process.mailbox.send(id, &ToContent::Fetched { id: fetch, document, body_length, body });
    }

    /// Fetches the next document of the tab, on behalf of the document of the process.
    pub(super) fn navigate_tab(&mut self, id: ProcessId, navigation: RemoteNavigation) {
        let Some(process) = self.processes.get(&id) else { return };
        let RemoteNavigation { url, client, is_reload, referrer_policy, post, .. } = navigation;
        // NB: the process does not know who has opened its first document, so it is reloaded as if the user had.
        let source = process.source_of((!is_reload).then_some(client), &url);
        let navigation =
            Navigation { url, source, referrer_policy, post, container: None, navigable: TAB };
        self.last_navigation += 1;
        self.is_navigating = true;
        let (number, events) = (self.last_navigation, self.events.clone());
        let browser = self.browser;
        let (network, cookies) = (Arc::clone(&browser.network), Arc::clone(&browser.cookies));
        browser.runtime.spawn(async move {
            let fetched = fetch_document(&*network, &*cookies, &navigation).await;
            let _ = events.send(Event::Navigated(number, Box::new(fetched)));
        });
    }

    /// The fetch of the tab's next document has ended. The current document is unloaded now.
    pub(super) fn navigated(&mut self, result: Result<Option<FetchedDocument>, NavigationError>) {
        self.is_navigating = false;
        let next = match result {
            Ok(None) => return,
            Ok(Some(document)) => document,
            Err(error) => {
                (self.browser.console)("error", &error.to_string());
                FetchedDocument::error()
            }
        };
        if self.is_closing {
            return;
        }
        if let Some(process) = self.tree.runner(TAB).and_then(|it| self.processes.get_mut(&it)) {
            self.next = Some(next);
            process.close(true);
        }
    }
}
