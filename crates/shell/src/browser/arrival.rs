//! Making a page of the first document in a tab.

use std::rc::Rc;

use tokio::runtime::Handle;

use super::{host::Host, surroundings::Surroundings};
use crate::page::{Environment, EventLoop, FetchedDocument, Page, PageError};

/// Loads the first document of a tab: parses it, runs its scripts and fires `load`.
pub(super) fn open_page(
    event_loop: &Rc<EventLoop>,
    document: FetchedDocument,
    runtime: Handle,
    around: Rc<dyn Surroundings>,
) -> Result<Page, PageError> {
    let mut environment = Environment {
        url: document.url,
        cross_origin_isolated: document.cross_origin_isolated,
        content_type: document.type_,
        referrer: document.referrer,
        refresh: document.refresh,
        sandbox: document.sandbox,
        navigation: document.timing,
        ..Environment::of(document.client)
    };
    let host = Host::new(runtime, around, &mut environment, None);
    let charset = document.charset.as_deref();
    let mut page = Page::load(event_loop, &document.body, charset, environment, host, None)?;
    page.fire_load();
    Ok(page)
}
