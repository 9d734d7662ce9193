//! The Local Network Access check of one request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendbeacon_fetch::{
    AddressSpace, Client, NetworkError,
    host::{Answer, BoxFuture, LocalNetworkAccess, NetworkRequest},
    local_network_access_check,
};
use url::Url;

/// The Local Network Access check of one request, for every connection that the request might use.
///
/// The check itself never waits, so that a request holds neither a connection nor room for one while a
/// user decides. If the embedder does not answer at once, the check refuses and keeps the embedder's
/// question. The request then gives up its connection, waits with [`asked`](Self::asked), and tries
/// again.
pub(crate) struct AccessCheck<'a> {
    client: Arc<Client>,
    url: Arc<Url>,
    permission: Permission<'a>,
}

impl<'a> AccessCheck<'a> {
    /// The check of `request`. `None` if the address space of its client is not known: then nothing is refused.
    pub(crate) fn of(
        request: &NetworkRequest,
        permission: &'a dyn LocalNetworkAccess,
    ) -> Option<Self> {
        let client = request.client.clone().filter(|client| client.address_space.is_some())?;
        let permission = Permission { embedder: permission, state: Mutex::default() };
        Some(Self { client, url: Arc::clone(&request.url), permission })
    }

    /// Whether the request may use a connection to an address in `target`.
    pub(crate) async fn check(&self, target: AddressSpace) -> Result<(), NetworkError> {
        local_network_access_check(&self.client, &self.url, target, &self.permission).await
    }

    /// Repeats the check for an open connection to `target`: the pool may have opened it for a client that
    /// may reach more. If a proxy chose the address, `target` is not known and counts as public.
    pub(crate) async fn repeat(
        check: Option<&Self>,
        target: Option<AddressSpace>,
    ) -> Result<(), NetworkError> {
        match check {
            Some(check) => check.check(target.unwrap_or(AddressSpace::Public)).await,
            None => Ok(()),
        }
    }

    /// Whether the embedder still has to answer, so that a refusal is not final.
    pub(crate) fn must_ask(&self) -> bool {
        self.permission.state().question.is_some()
    }

    /// Waits for the embedder's answer. Returns false if the embedder has nothing to answer.
    pub(crate) async fn asked(&self) -> bool {
        let question = self.permission.state().question.take();
        let Some((target, question)) = question else { return false };
        let is_permitted = question.await;
        self.permission.state().answers.push((target, is_permitted));
        true
    }
}

/// The embedder's service, asked once for each address space.
struct Permission<'a> {
    embedder: &'a dyn LocalNetworkAccess,
    state: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    answers: Vec<(AddressSpace, bool)>,
    /// The question that the embedder has not answered yet.
    question: Option<(AddressSpace, BoxFuture<'static, bool>)>,
}

impl Permission<'_> {
    fn state(&self) -> MutexGuard<'_, Questions> {
        // No code that holds the lock leaves the questions half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalNetworkAccess for Permission<'_> {
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool> {
        let mut state = self.state();
        if let Some((_, answer)) = state.answers.iter().find(|(space, _)| *space == target) {
            return Answer::Ready(*answer);
        }
        // The embedder gets one question at a time. The next check asks the next question.
        if state.question.is_none() {
            match self.embedder.permits(client, url, target) {
                Answer::Ready(answer) => return Answer::Ready(answer),
                Answer::Later(question) => state.question = Some((target, question)),
            }
        }
        Answer::Ready(false)
    }
}
