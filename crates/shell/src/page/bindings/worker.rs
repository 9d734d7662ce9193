//! The native functions of workers and of those that start them.

use std::rc::Rc;

use encoding_rs::UTF_8;
use rquickjs::Object;
use url::Url;

use crate::page::{
    FetchedScript, credentials_mode,
    host::ScriptRequest,
    parser::decode,
    shared_workers::{self, Wanted},
    window::Window,
    workers::{self, WorkerScript},
};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "startWorker" => |
            this, url: String, text: Option<String>, credentials: Option<String>, name: String
        | {
            Some(workers::start(this, worker_script(&url, text, credentials)?, name))
        },
        "stopWorker" => |this, id: u32| workers::stop(this, id),
        "connectSharedWorker" => |
            this, url: String, text: Option<String>, credentials: Option<String>, name: String,
            options: String
        | {
            let script = worker_script(&url, text, credentials)?;
            Some(shared_workers::connect(this, Wanted { script, name, options }))
        },
        "closeSharedWorker" => |this| shared_workers::close(this),
        "loadScript" => |this, url: String| {
            let request = ScriptRequest::imported(Url::parse(&url).ok()?);
            // https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-worker-imported-script, step 5
            let fetched = this.load_script(&request).ok().filter(FetchedScript::is_javascript)?;
            Some(decode(&fetched.body, None, UTF_8).0)
        },
    }
    Ok(())
}

/// The script of a new worker. `text` is that at a blob URL, and `credentials` is the credentials mode of a module script.
/// `None` if the URL is not valid.
fn worker_script(
    url: &str,
    text: Option<String>,
    credentials: Option<String>,
) -> Option<WorkerScript> {
    let module_credentials = credentials.map(|credentials| credentials_mode(&credentials));
    Some(WorkerScript { url: Url::parse(url).ok()?, text, module_credentials })
}
