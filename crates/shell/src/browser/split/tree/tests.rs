//! Tests of what a process may say.

use sendbeacon::Client;

use super::*;
use crate::page::{Placement, SandboxFlags};

const A: ProcessId = ProcessId(1);
const B: ProcessId = ProcessId(2);

fn origin(url: &str) -> Origin {
    Origin::of(&Url::parse(url).unwrap(), Nonce::random())
}

fn created(parent: NavigableId, url: &str) -> WindowMessage {
    WindowMessage::Created(NewNavigable {
        parent: Some(parent),
        opener: None,
        is_auxiliary: false,
        name: String::new(),
        origin: origin(url),
    })
}

fn route(
    tree: &mut Tree,
    id: ProcessId,
    navigable: NavigableId,
    mut message: WindowMessage,
) -> Result<Route, Misconduct> {
    let url = if id == A { "https://a.test" } else { "https://b.test" };
    let site = Site::of(&origin(url));
    tree.route(&Sender { id, site: &site }, navigable, &mut message)
}

fn posted(origin: &str, source: NavigableId) -> PostedMessage {
    let (target_origin, text) = ("*".to_owned(), String::new());
    PostedMessage { source, origin: origin.to_owned(), target_origin, text }
}

/// The page of process A, and its frame, whose document process B runs.
fn tree() -> (Tree, NavigableId) {
    let mut tree = Tree::default();
    tree.begin(origin("https://a.test"));
    tree.set_runner(TAB, A);
    let frame = A.first_navigable();
    let message = created(TAB, "https://a.test");
    assert_eq!(route(&mut tree, A, frame, message), Ok(Route::ToOthers));
    let placement = Placement {
        client: Client::new(Url::parse("https://b.test").unwrap(), Nonce::random()),
        sandbox: SandboxFlags::default(),
        reserved: None,
    };
    let message = WindowMessage::Placed(Box::new(placement));
    assert_eq!(route(&mut tree, A, frame, message), Ok(Route::Place(A)));
    tree.set_runner(frame, B);
    (tree, frame)
}

#[test]
fn a_process_may_not_speak_for_another_site() {
    let (mut tree, frame) = tree();
    let foreign = WindowMessage::Activated(origin("https://a.test"));
    assert_eq!(route(&mut tree, B, frame, foreign), Err(Misconduct::Site));
    let own = WindowMessage::Activated(origin("https://sub.b.test"));
    assert_eq!(route(&mut tree, B, frame, own), Ok(Route::ToOthers));
    for (origin, expected) in [
        ("https://a.test", Err(Misconduct::Site)),
        ("no origin", Err(Misconduct::Site)),
        ("https://b.test", Ok(Route::To(A))),
        ("null", Ok(Route::To(A))),
    ] {
        let message = WindowMessage::PostMessage(Box::new(posted(origin, frame)));
        assert_eq!(route(&mut tree, B, TAB, message), expected, "{origin}");
    }
}

#[test]
fn the_source_of_a_message_is_a_window_of_the_sender() {
    let (tree, frame) = tree();
    let site = Site::of(&origin("https://b.test"));
    let sender = Sender { id: B, site: &site };
    for (said, expected) in [(frame, frame), (TAB, NavigableId(0))] {
        let mut message = posted("https://b.test", said);
        tree.check_message(&sender, &mut message).unwrap();
        assert_eq!(message.source, expected);
    }
}

#[test]
fn a_process_may_close_in_the_name_of_its_own_documents() {
    let (mut tree, frame) = tree();
    let close = WindowMessage::Close { source: frame };
    assert_eq!(route(&mut tree, B, TAB, close), Ok(Route::To(A)));
}

#[test]
fn other_processes_do_not_learn_the_nonce_of_an_opaque_origin() {
    let (mut tree, frame) = tree();
    let own = Origin::Opaque(Nonce::random());
    let (inner, site) = (B.first_navigable(), Site::of(&origin("https://b.test")));
    let sender = Sender { id: B, site: &site };
    let new = NewNavigable {
        parent: Some(frame),
        opener: None,
        is_auxiliary: false,
        name: String::new(),
        origin: own.clone(),
    };
    let mut created = WindowMessage::Created(new);
    assert_eq!(tree.route(&sender, inner, &mut created), Ok(Route::ToOthers));
    let mut activated = WindowMessage::Activated(own.clone());
    assert_eq!(tree.route(&sender, frame, &mut activated), Ok(Route::ToOthers));
    let WindowMessage::Created(NewNavigable { origin: created, .. }) = created else { panic!() };
    let WindowMessage::Activated(activated) = activated else { panic!() };
    let listed: Vec<_> = tree.list().into_iter().map(|(_, new)| new.origin).collect();
    assert!(matches!(created, Origin::Opaque(_)) && matches!(activated, Origin::Opaque(_)));
    assert!(!listed.contains(&own) && created != own && activated != own);
}

#[test]
fn only_a_window_without_a_parent_has_an_opener() {
    let (mut tree, frame) = tree();
    let inner = B.first_navigable();
    let WindowMessage::Created(new) = created(frame, "https://b.test") else { panic!() };
    let message = WindowMessage::Created(NewNavigable { opener: Some(inner), ..new });
    assert_eq!(route(&mut tree, B, inner, message), Ok(Route::ToOthers));
    assert!(tree.list().iter().any(|(id, new)| *id == inner && new.opener.is_none()));
}

#[test]
fn a_process_may_not_choose_the_numbers_of_others() {
    let (mut tree, frame) = tree();
    for id in [NavigableId(0), TAB, frame, A.first_navigable(), NavigableId(u32::MAX)] {
        let message = created(frame, "https://b.test");
        assert_eq!(route(&mut tree, B, id, message), Err(Misconduct::Number), "{id:?}");
    }
    assert_eq!(route(&mut tree, B, TAB, WindowMessage::Crashed), Err(Misconduct::Message));
}

#[test]
fn a_process_may_not_fill_the_tab_with_frames() {
    let (mut tree, frame) = tree();
    let first = B.first_navigable().0;
    let mut create = |id| route(&mut tree, B, NavigableId(id), created(frame, "https://b.test"));
    let count = u32::try_from(MAX_NAVIGABLES).unwrap();
    assert!((first..first + count).all(|id| create(id) == Ok(Route::ToOthers)));
    assert_eq!(create(first + count), Err(Misconduct::TooMany));
}

#[test]
fn what_concerns_the_documents_of_others_is_ignored() {
    let (mut tree, frame) = tree();
    let late = created(TAB, "https://b.test");
    for (id, message) in [
        (B.first_navigable(), late),
        (TAB, WindowMessage::Removed),
        (TAB, WindowMessage::Activated(origin("https://b.test"))),
        (TAB, WindowMessage::Renamed("name".to_owned())),
        (TAB, WindowMessage::TakenBack),
        (frame, WindowMessage::TakenBack),
        (TAB, WindowMessage::Loaded),
        (NavigableId(77), WindowMessage::Close { source: frame }),
        // It does not run the document that it says has called.
        (TAB, WindowMessage::Close { source: TAB }),
        (TAB, WindowMessage::Disowned),
    ] {
        assert_eq!(route(&mut tree, B, id, message.clone()), Ok(Route::Nowhere), "{message:?}");
    }
    assert!(tree.may_command(A, frame));
    assert!(!tree.may_command(B, TAB));
    assert!(!tree.may_command(B, frame));
}

#[test]
fn a_removed_frame_takes_what_is_in_it_along() {
    let (mut tree, frame) = tree();
    let inner = B.first_navigable();
    let message = created(frame, "https://b.test");
    assert_eq!(route(&mut tree, B, inner, message), Ok(Route::ToOthers));
    let gone = route(&mut tree, A, frame, WindowMessage::Removed);
    let expected = vec![
        Gone { id: inner, runner: B, is_of_process: false },
        Gone { id: frame, runner: B, is_of_process: true },
    ];
    assert_eq!(gone, Ok(Route::Removed(expected)));
    assert_eq!(tree.list().len(), 1);
}
