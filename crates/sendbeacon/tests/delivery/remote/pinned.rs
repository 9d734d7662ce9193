//! Tests of the pin and the limits of a channel, which the network process enforces.

use sendbeacon::{
    Client, MemoryLimits, Nonce, Origin, PartitionKey, Referrer, Site,
    remote::{ChannelError, Pin},
};
use url::Url;

use super::{PLENTY, connect, wait_for_quota};
use crate::browser::{Browser, LONG, client, request, scripted_network};

/// Sends a beacon of a document with this settings object, on a channel that is pinned to `https://a.test`.
/// Returns how the channel ended.
async fn send_beacon_as(client: Client) -> Result<(), ChannelError> {
    let browser = Browser::new();
    let (agent, ended) = connect(&browser, pin());
    agent.document(client).send_beacon("http://127.0.0.1:1/", None).unwrap();
    drop(agent);
    let result = ended.await.unwrap();
    browser.agent.shutdown(LONG).await;
    assert_eq!(browser.events.outcomes().is_empty(), result.is_err());
    result
}

/// The pin of `https://a.test`.
fn pin() -> Pin {
    Pin::of(&client("https://a.test/"))
}

/// Which part of the settings object broke the pin.
fn pin_error(result: Result<(), ChannelError>) -> &'static str {
    match result {
        Err(ChannelError::Pin(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_documents_of_the_pinned_site_may_send() {
    let page = |url| with_partition(client(url), "https://a.test/");
    assert!(send_beacon_as(page("https://a.test/x")).await.is_ok());
    assert!(send_beacon_as(page("https://sub.a.test/x")).await.is_ok());
    assert_eq!(pin_error(send_beacon_as(page("https://b.test/")).await), "origin");
    assert_eq!(pin_error(send_beacon_as(page("http://a.test/")).await), "origin");
}

#[tokio::test]
async fn another_network_partition_ends_the_channel() {
    let page = with_partition(client("https://a.test/"), "https://b.test/");
    assert_eq!(pin_error(send_beacon_as(page).await), "network partition key");
}

#[tokio::test]
async fn a_creation_url_of_another_site_ends_the_channel() {
    let mut page = client("https://a.test/");
    page.creation_url = Url::parse("https://b.test/secret").unwrap();
    assert_eq!(pin_error(send_beacon_as(page).await), "creation URL");
}

#[tokio::test]
async fn a_document_with_an_opaque_origin_may_send() {
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    assert!(send_beacon_as(page).await.is_ok());
}

// The creation URL is in the `Ping-From` header of a ping and in a report of a violation.
#[tokio::test]
async fn an_opaque_origin_does_not_hide_the_creation_url_of_another_site() {
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    page.creation_url = Url::parse("https://b.test/secret").unwrap();
    assert_eq!(pin_error(send_beacon_as(page.clone()).await), "creation URL");
    page.creation_url = Url::parse("data:text/html,x").unwrap();
    assert!(send_beacon_as(page).await.is_ok());
}

#[tokio::test]
async fn a_pin_with_an_opaque_origin_allows_the_site_of_its_url() {
    let browser = Browser::new();
    let mut page = client("https://a.test/");
    page.origin = Origin::Opaque(Nonce::from_u128(7));
    for (url, is_allowed) in [("https://sub.a.test/", true), ("https://b.test/", false)] {
        let (agent, ended) = connect(&browser, Pin::of(&page));
        let mut document = page.clone();
        document.creation_url = Url::parse(url).unwrap();
        agent.document(document).ping("http://127.0.0.1:1/", "/", None);
        drop(agent);
        assert_eq!(ended.await.unwrap().is_ok(), is_allowed, "{url}");
    }
}

#[tokio::test]
async fn a_fetch_with_a_referrer_of_another_site_ends_the_channel() {
    let browser = Browser::new();
    let (agent, ended) = connect(&browser, pin());
    let document = agent.document(client("https://a.test/"));
    let mut request = request(&document, "http://127.0.0.1:1/", false);
    request.referrer = Referrer::Url(Url::parse("https://b.test/").unwrap());
    let pending = document.fetch_group().fetch(request);
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::Request)));
    pending.await.unwrap_err();
}

#[tokio::test]
async fn exceeding_the_quota_ends_the_channel() {
    let browser = Browser::new();
    browser.agent.set_online(false);
    let (agent, ended) = connect(&browser, pin());
    // The content process has larger limits than the network process.
    let document = agent.keepalive_limits(PLENTY).document(client("https://a.test/"));
    let forty = "x".repeat(40_000);
    for _ in 0..2 {
        assert_eq!(document.send_beacon("/", Some((&*forty).into())), Ok(true));
    }
    assert!(matches!(ended.await.unwrap(), Err(ChannelError::Quota)));
}

#[tokio::test]
async fn beacons_beyond_the_memory_limits_are_refused_and_the_others_are_delivered() {
    // The site of a top-level document has half of its partition, and half of the floor.
    let memory = MemoryLimits::default().with_user_agent(32 << 20).with_partition(8 << 20);
    let browser = Browser::with(|builder| {
        builder.network(scripted_network()).keepalive_limits(PLENTY).memory_limits(memory)
    });
    browser.agent.set_online(false);
    let page = client("https://a.test/");
    let (agent, ended) = connect(&browser, Pin::of(&page));
    let agent = agent.keepalive_limits(PLENTY);
    let documents = [(); 4].map(|()| agent.document(page.clone()));
    let (mut accepted, mut refused) = (0, 0);
    let body = "x".repeat(10_000);
    // A call is also refused while the channel is full, so a refused call is repeated.
    while refused < 20 {
        match documents[accepted % 4].send_beacon("/", Some((&*body).into())) {
            Ok(true) => accepted += 1,
            _ => refused += 1,
        }
    }
    // Each beacon costs its body, 2 KiB, and a little for its URL and its frame.
    let most = ((4 << 20) + (128 << 10)) / (10_000 + 2_048);
    assert!((most - 40..=most).contains(&accepted), "{accepted} of {most}");
    browser.agent.set_online(true);
    browser.events.wait_for(accepted).await;
    for document in &documents {
        wait_for_quota(document).await;
    }
    assert_eq!(documents[0].send_beacon("/", Some((&*body).into())), Ok(true));
    drop((documents, agent));
    ended.await.unwrap().unwrap();
    browser.events.wait_for(accepted + 1).await;
}

/// Gives a settings object the network partition key of this top-level site.
fn with_partition(mut client: Client, top_level: &str) -> Client {
    let origin = Origin::of(&Url::parse(top_level).unwrap(), Nonce::from_u128(0));
    client.network_partition_key =
        PartitionKey { top_level_site: Site::of(&origin), second_key: None };
    client
}
