//! The host of the windows whose documents other processes run.

use std::rc::Rc;

use sendbeacon::NavigableContainer;
use tokio::runtime::Handle;

use super::{host::Host, surroundings::Surroundings};
use crate::page::{
    BodyInit, Command, DocumentDone, Environment, FetchDone, FetchRequest, NavigableId, Navigation,
    PageHost, TabOf, WindowMessage,
};

/// The host of all remote windows of an event loop. They have no scripts, so it fetches nothing.
pub(super) struct RemoteHost {
    pub(super) runtime: Handle,
    pub(super) around: Rc<dyn Surroundings>,
}

impl PageHost for RemoteHost {
    fn send_beacon(&self, _url: &str, _data: Option<BodyInit>) -> Result<bool, String> {
        Ok(false)
    }

    fn fetch(&self, _request: FetchRequest, done: FetchDone) {
        done(Err("another process runs the document".into()));
    }

    fn console(&self, level: &str, message: &str) {
        self.around.console(level, message);
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        self.around.fetch_document(navigation, done);
    }

    fn create_host(
        &self,
        environment: &mut Environment,
        _tab: TabOf,
        container: Option<&NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        Host::new(self.runtime.clone(), Rc::clone(&self.around), environment, container)
    }

    fn send(&self, navigable: NavigableId, message: WindowMessage) {
        self.around.send(navigable, message);
    }

    fn command(&self, navigable: NavigableId, command: Command) {
        self.around.command(navigable, command);
    }
}
