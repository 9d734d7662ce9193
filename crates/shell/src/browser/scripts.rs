//! Loading the scripts of documents.

use std::sync::Arc;

use sendbeacon::{Client, MemoryCookieStore, net::HttpNetwork};
use tokio::runtime::Handle;

use super::{Browser, navigation::fetch_script};
use crate::page::ScriptRequest;

/// The bytes of a script, and the charset from its `Content-Type`.
pub(super) type Script = (Vec<u8>, Option<String>);

/// Loads scripts on behalf of documents.
pub(super) struct Scripts {
    network: Arc<HttpNetwork>,
    cookies: Arc<MemoryCookieStore>,
    runtime: Handle,
    /// See [`Browser::with_script`].
    stand_in: Option<(String, String)>,
}

impl Scripts {
    pub(super) fn of(browser: &Browser) -> Self {
        Self {
            network: Arc::clone(&browser.network),
            cookies: Arc::clone(&browser.cookies),
            runtime: browser.runtime.handle().clone(),
            stand_in: browser.stand_in.clone(),
        }
    }

    /// Loads a classic script for `client`. Blocks until the script is there.
    pub(super) fn load(&self, client: &Client, request: &ScriptRequest) -> Result<Script, String> {
        let path = request.url.path();
        if let Some((_, source)) = self.stand_in.as_ref().filter(|(of, _)| of == path) {
            return Ok((source.clone().into_bytes(), None));
        }
        let script = fetch_script(&*self.network, &*self.cookies, client, request);
        let script = self.runtime.block_on(script).map_err(|error| error.to_string())?;
        if script.status.is_success() {
            Ok((script.body.to_vec(), script.charset()))
        } else {
            Err(format!("the status is {}", script.status))
        }
    }
}
