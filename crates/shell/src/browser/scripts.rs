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
    /// See [`Browser::with_script_end`].
    script_end: Option<(String, String)>,
}

impl Scripts {
    pub(super) fn of(browser: &Browser) -> Self {
        Self {
            network: Arc::clone(&browser.network),
            cookies: Arc::clone(&browser.cookies),
            runtime: browser.runtime.handle().clone(),
            stand_in: browser.stand_in.clone(),
            script_end: browser.script_end.clone(),
        }
    }

    /// Loads a classic script for `client`. Blocks until the script is there.
    pub(super) fn load(&self, client: &Client, request: &ScriptRequest) -> Result<Script, String> {
        let for_this = |script: &Option<(String, String)>| {
            let script = script.clone().filter(|(path, _)| request.url.path() == path);
            script.map(|(_, source)| source)
        };
        if let Some(source) = for_this(&self.stand_in) {
            return Ok((source.into_bytes(), None));
        }
        let script = fetch_script(&*self.network, &*self.cookies, client, request);
        let script = self.runtime.block_on(script).map_err(|error| error.to_string())?;
        if script.status.is_success() {
            let mut bytes = script.body.to_vec();
            bytes.extend(for_this(&self.script_end).unwrap_or_default().into_bytes());
            Ok((bytes, script.charset()))
        } else {
            Err(format!("the status is {}", script.status))
        }
    }
}
