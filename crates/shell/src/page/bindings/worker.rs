//! The native functions of workers and of those that start them.

use std::rc::Rc;

use encoding_rs::UTF_8;
use rquickjs::Object;
use url::Url;

use crate::page::{
    FetchedScript,
    host::ScriptRequest,
    parser::decode,
    shared_workers::{self, Wanted},
    window::Window,
    workers,
};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "startWorker" => |this, url: Option<String>, name: String, source: Option<String>| {
            workers::start(this, url.and_then(|url| Url::parse(&url).ok()), name, source)
        },
        "stopWorker" => |this, id: u32| workers::stop(this, id),
        "connectSharedWorker" => |
            this, url: Option<String>, name: String, options: String, source: Option<String>
        | {
            let url = url.and_then(|url| Url::parse(&url).ok());
            shared_workers::connect(this, Wanted { url, name, options, source })
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
