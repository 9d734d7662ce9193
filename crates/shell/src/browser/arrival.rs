use std::{io, rc::Rc};

use bytes::Bytes;
use sendbeacon::{Client, is_potentially_trustworthy};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Browser, USER_AGENT, navigation::Fetched};
use crate::page::{Environment, EventLoop, Page, PageError, PageHost, StorageArea};

/// A document that has come, and what its browser decides about it.
#[derive(Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) client: Client,
    url: Url,
    cross_origin_isolated: bool,
    referrer: String,
    charset: Option<String>,
    #[serde(skip)]
    pub(super) body: Bytes,
}

/// What an origin has stored, in the profile and in a tab.
#[derive(Clone, Default)]
pub(super) struct Storage {
    pub(super) local: StorageArea,
    pub(super) session: StorageArea,
}

impl Arrival {
    pub(super) fn new(browser: &Browser, fetched: Fetched, referrer: &str) -> io::Result<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let mut client = fetched.client(u128::from_ne_bytes(nonce));
        client.document_referrer = Url::parse(referrer).ok();
        client.document_id = browser.next_document.get();
        browser.next_document.set(client.document_id + 1);
        Ok(Self {
            client,
            cross_origin_isolated: fetched.is_cross_origin_isolated(),
            referrer: referrer.to_owned(),
            charset: fetched.charset(),
            url: fetched.url,
            body: fetched.body,
        })
    }

    /// Makes a page of it.
    pub(super) fn enter(
        &self,
        event_loop: &Rc<EventLoop>,
        host: Rc<dyn PageHost>,
        storage: Storage,
    ) -> Result<Page, PageError> {
        let environment = Environment {
            origin: self.client.origin.to_string(),
            secure_context: is_potentially_trustworthy(&self.url),
            cross_origin_isolated: self.cross_origin_isolated,
            referrer: self.referrer.clone(),
            user_agent: USER_AGENT.to_owned(),
            local_storage: storage.local,
            session_storage: storage.session,
            ..Environment::new(self.url.clone())
        };
        Page::load(event_loop, &self.body, self.charset.as_deref(), environment, host)
    }
}
