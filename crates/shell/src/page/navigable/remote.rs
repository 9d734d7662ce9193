//! Navigables whose documents other processes run, or that other processes have created: see
//! [`remote`](crate::page::remote).

use std::rc::Rc;

use super::{
    HistoryHandling, Navigable, NavigableId, NavigateParams,
    create::{about_blank, activate},
    history::Initiator,
    load::queue_container_load,
    settings::opaque_origin,
    unload::{fire_before_unload_at, unload_a_document_and_its_descendants},
};
use crate::page::{
    Environment, EventLoop, Lifecycle, PageError,
    dom::Dom,
    realm::Realm,
    remote::{Command, NewNavigable, RemoteNavigation, WindowMessage},
    window::Stage,
};

impl EventLoop {
    /// Handles a message of another process. A message about a navigable that has gone does nothing.
    pub fn receive(self: &Rc<Self>, id: NavigableId, message: WindowMessage) {
        let found = self.navigables().get(id);
        let (message, navigable) = match (message, found) {
            (WindowMessage::Created(new), None) => return self.copy_navigable(id, new),
            (message, Some(navigable)) => (message, navigable),
            (_, None) => return,
        };
        let realm = navigable.active();
        let is_remote = realm.window().is_remote;
        match message {
            WindowMessage::Renamed(name) => drop(navigable.name.replace(name)),
            WindowMessage::Removed if !navigable.kept => self.remove_copy(&navigable),
            WindowMessage::Activated(origin) if is_remote => realm.window().set_origin(origin),
            WindowMessage::Crashed if is_remote && navigable.kept => navigable.crashed(),
            WindowMessage::Loaded if is_remote => queue_container_load(&realm, &navigable),
            WindowMessage::Navigate(navigation) => navigable.navigate_for_other(*navigation),
            WindowMessage::Disowned if is_remote => navigable.opener.set(None),
            WindowMessage::Close { source } if !is_remote => {
                if let Some(source) = self.navigables().get(source) {
                    navigable.close(&source);
                }
            }
            WindowMessage::PostMessage(posted) if !is_remote => realm.call(
                "receiveMessage",
                (posted.source.0, posted.origin, posted.target_origin, posted.text),
            ),
            _ => {}
        }
    }

    /// Does what a document above the document of this navigable has asked for.
    pub fn obey(self: &Rc<Self>, id: NavigableId, command: Command) {
        let Some(navigable) = self.navigables().get(id) else { return };
        let realm = navigable.active();
        if realm.window().is_remote || realm.window().navigable.get().is_none() {
            return;
        }
        let lifecycle = |step| realm.window().host().lifecycle(step);
        match command {
            Command::FireBeforeUnload => fire_before_unload_at(&realm),
            Command::Unload => {
                self.enter(|ctx| unload_a_document_and_its_descendants(ctx, &realm, false));
                self.microtask_checkpoint();
            }
            Command::Show => {
                realm.call("setVisibility", ("visible",));
                lifecycle(Lifecycle::Visible);
            }
            Command::Hide => {
                realm.call("setVisibility", ("hidden",));
                lifecycle(Lifecycle::Hidden);
            }
            Command::Freeze => {
                realm.call("freeze", ());
                lifecycle(Lifecycle::Freeze);
                self.freeze(realm.id());
            }
            Command::Resume => {
                self.thaw(realm.id());
                realm.call("resume", ());
                lifecycle(Lifecycle::Resume);
            }
        }
    }

    /// Creates a copy of a navigable that another process keeps.
    fn copy_navigable(self: &Rc<Self>, id: NavigableId, new: NewNavigable) {
        let navigables = self.navigables();
        let parent = new.parent.map(|parent| navigables.get(parent));
        // The parent may have gone, or may have got another document since the message was sent.
        let is_remote = |it: &Rc<Navigable>| it.active().window().is_remote;
        if parent.as_ref().is_some_and(|it| !it.as_ref().is_some_and(is_remote)) {
            return;
        }
        let parent = parent.flatten();
        let container = parent.as_ref().and_then(|parent| add_container(&parent.active()));
        let made = self.enter(|ctx| {
            let realm = Realm::new_remote(self, ctx)?;
            let parent_id = parent.as_ref().map(|it| it.id);
            let navigable =
                Navigable::new(id, parent_id, container, None, new.name, Rc::clone(&realm));
            navigable.opener.set(new.opener);
            let is_auxiliary = new.is_auxiliary;
            let navigable = navigables.add(Navigable { kept: false, is_auxiliary, ..navigable });
            if let (Some(parent), Some(container)) = (&parent, container) {
                parent.active().window().frames.borrow_mut().insert(container.node, id);
            }
            activate(ctx, &realm, id, Environment::new(about_blank()), self.remote_host());
            realm.window().set_origin(new.origin);
            realm.window().stage.set(Stage::Complete);
            Ok::<_, PageError>(navigable)
        });
        // Without memory, the navigable is missing here.
        drop(made);
    }

    /// Removes the copy of a navigable. If this process runs its document, the document is unloaded.
    fn remove_copy(self: &Rc<Self>, navigable: &Rc<Navigable>) {
        let realm = navigable.active();
        if !realm.window().is_remote && realm.window().navigable.get().is_some() {
            self.enter(|ctx| unload_a_document_and_its_descendants(ctx, &realm, false));
            self.microtask_checkpoint();
        }
        if let Some((parent, node)) = navigable.container_realm(self) {
            parent.window().frames.borrow_mut().remove(&node);
        }
        self.navigables().discard(navigable);
    }
}

/// Adds an `iframe` element to the nodes of a remote window, for a frame in it.
fn add_container(realm: &Realm) -> Option<super::Container> {
    let mut dom = realm.window().document.dom_mut();
    let node = dom.create_html_element("iframe");
    dom.pre_insert(Dom::DOCUMENT, node, None).ok()?;
    Some(super::Container { realm: realm.id(), node })
}

impl Navigable {
    /// Sends a navigation to the process that has to perform it.
    pub(super) fn send_navigation(
        &self,
        initiator: Initiator,
        params: NavigateParams,
        is_reload: bool,
    ) {
        let Initiator { client, cookie_url, referrer_policy } = initiator;
        let NavigateParams { url, history, post, .. } = params;
        let replace = history != HistoryHandling::Push;
        let navigation =
            RemoteNavigation { url, replace, client, is_reload, cookie_url, referrer_policy, post };
        let message = WindowMessage::Navigate(Box::new(navigation));
        self.active().window().host().send(self.id, message);
    }

    /// Navigates on behalf of a document of another process.
    fn navigate_for_other(self: &Rc<Self>, navigation: RemoteNavigation) {
        let RemoteNavigation {
            url,
            replace,
            mut client,
            is_reload,
            cookie_url,
            referrer_policy,
            post,
        } = navigation;
        if !matches!(url.scheme(), "http" | "https") {
            // NB: the document would inherit the origin of a document that another process runs. That may be of another
            // site, whose documents this process may not run.
            client.origin = opaque_origin();
        }
        let history = if replace { HistoryHandling::Replace } else { HistoryHandling::Push };
        let params = NavigateParams { history, referrer_policy, post, ..NavigateParams::new(url) };
        let initiator = Initiator { client, cookie_url, referrer_policy };
        let realm = self.active();
        if realm.window().is_remote {
            // The process of the document has fired `beforeunload` already.
            let source = initiator.clone();
            let initiator = if is_reload { self.entry_initiator() } else { Some(initiator) };
            self.navigate_across_documents(source, params, initiator, false);
        } else {
            self.active().event_loop().enter(|ctx| self.navigate(ctx, initiator, params));
        }
    }

    /// Shows an error in place of the document, whose process has ended.
    fn crashed(self: &Rc<Self>) {
        // The result of a navigation replaces the document anyway.
        if self.ongoing.get().is_none() {
            self.fetched(Err("The process of a document has ended.".to_owned()));
        }
    }
}
