//! What a content process says of itself, and is not believed.

use std::{os::unix::net::UnixStream, time::Duration};

use sendbeacon::{
    Client, Nonce, Origin, PartitionKey, Referrer, Request, Site,
    remote::{ChannelError, Pin, RemoteUserAgent},
};
use url::Url;

use super::{PLENTY, client, serve};
use crate::browser::{Browser, wait_until};

/// What becomes of a channel, pinned to `https://a.test`, on which this client sends a beacon.
async fn channel_of(client: Client) -> Result<(), ChannelError> {
    let browser = Browser::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ended = serve(&browser, ours, Pin::of(&super::client("https://a.test/")));
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    agent.document(client).send_beacon("http://127.0.0.1:1/", None).unwrap();
    drop(agent);
    let result = ended.await.unwrap();
    browser.agent.shutdown(Duration::from_secs(20)).await;
    assert_eq!(browser.events.outcomes().is_empty(), result.is_err());
    result
}

fn refused(result: Result<(), ChannelError>) -> &'static str {
    match result {
        Err(ChannelError::Pin(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_documents_of_the_pinned_site_may_send() {
    let page = |url| with_partition(client(url), "https://a.test/");
    assert!(channel_of(page("https://a.test/x")).await.is_ok());
    assert!(channel_of(page("https://sub.a.test/x")).await.is_ok());
    assert_eq!(refused(channel_of(page("https://b.test/")).await), "origin");
    assert_eq!(refused(channel_of(page("http://a.test/")).await), "origin");
}

#[tokio::test]
async fn only_the_pinned_partition_is_used() {
    let page = with_partition(client("https://a.test/"), "https://b.test/");
    assert_eq!(refused(channel_of(page).await), "network partition key");
}

#[tokio::test]
async fn no_document_names_another_site_as_its_referrer() {
    let mut page = client("https://a.test/");
    page.creation_url = Url::parse("https://b.test/secret").unwrap();
    assert_eq!(refused(channel_of(page).await), "creation URL");
}

#[tokio::test]
async fn an_opaque_origin_is_let_through_unless_another_is_pinned() {
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    assert!(channel_of(page).await.is_ok());
}

/// It tells pings where they come from, and reports what they are about.
#[tokio::test]
async fn an_opaque_origin_hides_no_other_sites_url() {
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    page.creation_url = Url::parse("https://b.test/secret").unwrap();
    assert_eq!(refused(channel_of(page.clone()).await), "creation URL");
    page.creation_url = Url::parse("data:text/html,x").unwrap();
    assert!(channel_of(page).await.is_ok());
}

#[tokio::test]
async fn a_process_for_a_sandbox_is_held_to_the_site_of_its_url() {
    let browser = Browser::new();
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    for (url, is_own) in [("https://sub.a.test/", true), ("https://b.test/", false)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ended = serve(&browser, ours, Pin::of(&page));
        let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
        let mut document = page.clone();
        document.creation_url = Url::parse(url).unwrap();
        agent.document(document).ping("http://127.0.0.1:1/", "/", None);
        drop(agent);
        assert_eq!(ended.await.unwrap().is_ok(), is_own, "{url}");
    }
}

#[tokio::test]
async fn a_fetch_with_a_foreign_referrer_ends_the_channel() {
    let browser = Browser::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let page = client("https://a.test/");
    let ended = serve(&browser, ours, Pin::of(&page));
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page);
    let url = Url::parse("http://127.0.0.1:1/").unwrap();
    let mut request = Request::new(document.client(), url);
    request.referrer = Referrer::Url(Url::parse("https://b.test/").unwrap());
    let pending = document.fetch_group().fetch(request);
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::Request)));
    pending.await.unwrap_err();
}

#[tokio::test]
async fn the_quota_is_counted_again() {
    let browser = Browser::new();
    browser.agent.set_online(false);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let page = client("https://a.test/");
    let ended = serve(&browser, ours, Pin::of(&page));
    // A content process that allows itself more than it may.
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap().keepalive_limits(PLENTY);
    let document = agent.document(page);
    let forty = "x".repeat(40_000);
    for _ in 0..2 {
        assert_eq!(document.send_beacon("/", Some((&*forty).into())), Ok(true));
    }
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::Quota)));
}

#[tokio::test]
async fn a_flood_ends_at_the_credits_of_the_channel() {
    let browser = Browser::with(|builder| builder.keepalive_limits(PLENTY));
    browser.agent.set_online(false);
    let page = client("https://a.test/");
    let (ours, theirs) = UnixStream::pair().unwrap();
    serve(&browser, ours, Pin::of(&page));
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap().keepalive_limits(PLENTY);
    let (one, other) = (agent.document(page.clone()), agent.document(page));
    let mut accepted = 0;
    // A while without room in the channel is no refusal for good.
    wait_until(|| {
        let is_accepted = [&one, &other][accepted % 2].send_beacon("/", None).unwrap();
        accepted += usize::from(is_accepted);
        accepted == 16_384
    })
    .await;
    for document in [&one, &other, &one] {
        assert_eq!(document.send_beacon("/", None), Ok(false));
    }
}

fn with_partition(mut client: Client, top_level: &str) -> Client {
    let origin = Origin::of(&Url::parse(top_level).unwrap(), Nonce::from_u128(0));
    client.network_partition_key =
        PartitionKey { top_level_site: Site::of(&origin), second_key: None };
    client
}
