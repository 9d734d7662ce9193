//! Making a page of the first document in a tab.

use std::rc::Rc;

use sendbeacon::NavigableContainer;
use tokio::runtime::Handle;

use super::{host::Host, surroundings::Surroundings};
use crate::page::{Environment, EventLoop, FetchedDocument, NavigableId, Page, PageError};

/// The place of a document in the tab of another process.
pub(super) struct Place {
    pub(super) navigable: NavigableId,
    /// For a frame: the library's handle of its container.
    pub(super) container: Option<NavigableContainer>,
}

/// Loads the first document of a tab or of a process: parses it, runs its scripts and fires `load`. `place` is
/// where another process has made room for it.
pub(super) fn open_page(
    event_loop: &Rc<EventLoop>,
    document: FetchedDocument,
    runtime: Handle,
    around: Rc<dyn Surroundings>,
    place: Option<&Place>,
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
    let container = place.and_then(|place| place.container.as_ref());
    let host = Host::new(runtime, around, &mut environment, container);
    let charset = document.charset.as_deref();
    let mut page = Page::load(
        event_loop,
        &document.body,
        charset,
        environment,
        host,
        place.map(|it| it.navigable),
    )?;
    page.fire_load();
    Ok(page)
}
