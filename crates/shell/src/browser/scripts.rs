//! Loading the scripts of documents and workers, by the library.

use bytes::Bytes;
use sendbeacon::{Client, CspList, FetchGroup, InitiatorType, Referrer, Request, Response};
use tokio::time::timeout;

use super::{
    Browser,
    response_headers::{mime_type, policy_container},
};
use crate::page::{
    FetchedScript, PolicyContainer, ScriptRequest, TASK_BUDGET, needs_more_than_urls,
};

/// The largest script, in bytes.
const MAX_SCRIPT: usize = 16 << 20;

/// Loads scripts on behalf of documents and workers.
pub(super) struct Scripts {
    group: FetchGroup,
    /// See [`Browser::with_script`].
    stand_in: Option<(String, String)>,
    /// See [`Browser::with_script_end`].
    script_end: Option<(String, String)>,
}

impl Scripts {
    pub(super) fn of(browser: &Browser) -> Self {
        Self {
            group: browser.agent.fetch_group(),
            stand_in: browser.stand_in.clone(),
            script_end: browser.script_end.clone(),
        }
    }

    /// Loads a script for `client`.
    pub(super) async fn load(
        &self,
        client: Client,
        request: &ScriptRequest,
    ) -> Result<FetchedScript, String> {
        let for_this = |script: &Option<(String, String)>| {
            let script = script.clone().filter(|(path, _)| request.url.path() == path);
            script.map(|(_, source)| source)
        };
        if let Some(source) = for_this(&self.stand_in) {
            return Ok(FetchedScript {
                url: request.url.clone(),
                type_: Some("text/javascript".to_owned()),
                policies: PolicyContainer::default(),
                body: source.into_bytes(),
            });
        }
        // NB: the page waits, as in a task.
        let fetched = timeout(TASK_BUDGET, self.fetch(client, request)).await;
        let mut script = fetched.map_err(|_| "the script takes too long")??;
        script.body.extend(for_this(&self.script_end).unwrap_or_default().into_bytes());
        Ok(script)
    }

    async fn fetch(
        &self,
        client: Client,
        request: &ScriptRequest,
    ) -> Result<FetchedScript, String> {
        let mut made = Request::new(without_nonces(client).into(), request.url.clone());
        made.destination = request.destination;
        made.mode = request.mode;
        made.credentials = request.credentials;
        if let Some(referrer) = &request.referrer {
            made.referrer = Referrer::Url(referrer.clone());
        }
        made.referrer_policy = request.referrer_policy;
        made.integrity_metadata.clone_from(&request.integrity);
        made.initiator_type = InitiatorType::Script;
        let mut response = self.group.fetch(made).await.map_err(|error| error.to_string())?;
        if !response.status.is_success() {
            return Err(format!("the status is {}", response.status));
        }
        let body = read(&mut response).await?;
        // Never empty, by its documentation.
        let url = response.url_list.last().unwrap_or(&request.url).clone();
        let headers = response.internal_headers();
        Ok(FetchedScript {
            type_: mime_type(headers).map(|it| it.to_string()),
            policies: policy_container(headers, &url),
            url,
            body,
        })
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await {
        let chunk: Bytes = chunk.map_err(|error| error.to_string())?;
        body.extend_from_slice(&chunk);
        if body.len() > MAX_SCRIPT {
            return Err("the script is too large".to_owned());
        }
    }
    Ok(body)
}

/// Removes the policies of a client if one of them allows scripts by other means than their URLs.
///
/// TODO(spec): the library does not know the nonces and hashes of scripts. So it would block all scripts by such a
/// policy.
fn without_nonces(mut client: Client) -> Client {
    if needs_more_than_urls(&client.csp_list) {
        client.csp_list = CspList::new(&client.origin);
    }
    client
}
