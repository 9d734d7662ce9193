//! Tests of which documents have a share together.

use url::Url;

use super::*;

fn client(url: &str, top_level: &str) -> Client {
    let mut client = Client::new(Url::parse(url).unwrap(), Nonce::random());
    let top_level = Origin::of(&Url::parse(top_level).unwrap(), Nonce::from_u128(1));
    client.network_partition_key.top_level_site = Site::of(&top_level);
    client
}

fn sandboxed(url: &str, top_level: &str) -> Client {
    let mut client = client(url, top_level);
    client.origin = Origin::Opaque(Nonce::random());
    client
}

const TOP: &str = "https://a.test/";

#[test]
fn the_documents_of_a_site_in_a_partition_have_one_share() {
    let budget = Budget::new(MemoryLimits::default());
    let first = budget.share_for(&client(TOP, TOP));
    for (client, is_same) in [
        (client(TOP, TOP), true),
        (client("https://sub.a.test/x", TOP), true),
        (client("https://b.test/", TOP), false),
        (client(TOP, "https://b.test/"), false),
        (sandboxed(TOP, TOP), false),
        (client("data:,x", TOP), false),
    ] {
        assert_eq!(Arc::ptr_eq(&budget.share_for(&client), &first), is_same, "{client:?}");
    }
}

#[test]
fn opaque_origins_have_one_share_for_each_site_that_their_documents_come_from() {
    let budget = Budget::new(MemoryLimits::default());
    let share = |client: Client| budget.share_for(&client);
    let of_b = share(client("https://b.test/", TOP));
    assert!(Arc::ptr_eq(&share(sandboxed("https://x.b.test/", TOP)), &of_b));
    let of_data = share(client("data:,x", TOP));
    assert!(Arc::ptr_eq(&share(client("data:,y", TOP)), &of_data));
    assert!(!Arc::ptr_eq(&of_data, &of_b));
}

#[cfg(feature = "remote")]
#[test]
fn the_process_of_a_sandboxed_document_has_the_share_of_the_document() {
    let budget = Budget::new(MemoryLimits::default());
    for url in ["https://x.b.test/", "data:,x", TOP] {
        let client = sandboxed(url, TOP);
        let pin = crate::remote::Pin::of(&client);
        let of_process = budget.share_of(&pin.network_partition_key, &pin.site, &pin.url_site);
        assert!(Arc::ptr_eq(&of_process, &budget.share_for(&client)), "{url}");
    }
}

#[test]
fn an_opaque_top_level_document_is_the_first_party() {
    let mut top = sandboxed("https://a.test/", TOP);
    top.network_partition_key.top_level_site = Site::of(&top.origin);
    assert!(Place::of(&top).is_first_party);
    assert!(!Place::of(&sandboxed("https://a.test/", TOP)).is_first_party);
}

#[test]
fn shares_that_nobody_has_are_forgotten() {
    let budget = Budget::new(MemoryLimits::default());
    let kept = budget.share_for(&client(TOP, TOP));
    for n in 0..1_000 {
        let site = format!("https://{n}.test/");
        let _ = budget.share_for(&client(&site, &site));
    }
    let shares = budget.lock();
    assert!(shares.of_sites.len() < 100 && shares.of_partitions.len() < 100);
    drop(shares);
    assert!(Arc::ptr_eq(&budget.share_for(&client(TOP, TOP)), &kept));
}
