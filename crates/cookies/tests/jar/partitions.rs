//! Partitioned cookies (CHIPS): WPT cookies/partitioned-cookies.

use sendbeacon_cookies::ClearContext;

use super::*;

const EMBED: &str = "https://embed.example/";
const CHIP: &str = "__Host-id=1; Secure; Path=/; SameSite=None; Partitioned";

/// Cross-site requests to `EMBED` from a frame, and their responses, with one partition key.
struct Embedded<'a> {
    profile: &'a mut Profile,
    partition: Option<&'a str>,
    third_party_cookies: bool,
}

impl<'a> Embedded<'a> {
    fn context<'b>(&self, url: &'b Url) -> AccessContext<'b>
    where
        'a: 'b,
    {
        cross_site(url)
            .with_partition(self.partition)
            .with_unpartitioned_allowed(self.third_party_cookies)
    }

    fn set(&mut self, cookie: &str) -> Result<(), Rejected> {
        let url = url(EMBED);
        let context = self.context(&url);
        self.profile.jar.store(cookie.as_bytes(), &context, self.profile.now)
    }

    fn sent(&mut self) -> String {
        let url = url(EMBED);
        let context = self.context(&url);
        let header = self.profile.jar.cookie_header(&context, self.profile.now);
        String::from_utf8(header.unwrap_or_default().into()).unwrap()
    }
}

impl Profile {
    fn embedded_in<'a>(&'a mut self, partition: &'a str) -> Embedded<'a> {
        Embedded { profile: self, partition: Some(partition), third_party_cookies: true }
    }

    fn embedded_with_blocking<'a>(&'a mut self, partition: &'a str) -> Embedded<'a> {
        Embedded { profile: self, partition: Some(partition), third_party_cookies: false }
    }
}

#[test]
fn a_partitioned_cookie_is_only_sent_in_its_partition() {
    let mut profile = Profile::new();
    profile.embedded_in("https://a.example").set(CHIP).unwrap();
    assert_eq!(profile.embedded_in("https://a.example").sent(), "__Host-id=1");
    assert_eq!(profile.embedded_in("https://b.example").sent(), "");
    assert_eq!(profile.embedded_in("https://a.example;cross-site").sent(), "");
    assert_eq!(profile.sent(EMBED), "");
    assert_eq!(profile.jar.iter().next().unwrap().partition(), Some("https://a.example"));
}

#[test]
fn each_partition_has_its_own_cookie_of_a_name() {
    let mut profile = Profile::new();
    profile.set(EMBED, "id=0; Secure; SameSite=None").unwrap();
    for (partition, value) in [("a", 1), ("b", 2)] {
        let cookie = format!("id={value}; Secure; SameSite=None; Partitioned");
        profile.embedded_in(partition).set(&cookie).unwrap();
    }
    assert_eq!(profile.embedded_in("a").sent(), "id=0; id=1");
    assert_eq!(profile.embedded_in("b").sent(), "id=0; id=2");
    assert_eq!(profile.sent(EMBED), "id=0");
}

#[test]
fn partitioned_needs_secure() {
    let mut profile = Profile::new();
    let url = url(EMBED);
    let context = same_site(&url).with_partition(Some("a"));
    let stored = profile.jar.store(b"a=b; Partitioned", &context, start());
    assert_eq!(stored, Err(Rejected::PartitionedWithoutSecure));
}

#[test]
fn partitioned_needs_a_partition() {
    assert_eq!(Profile::new().set(EMBED, CHIP), Err(Rejected::PartitionedWithoutKey));
}

#[test]
fn a_same_site_partitioned_cookie_does_not_need_same_site_none() {
    let mut profile = Profile::new();
    let url = url(EMBED);
    let context = same_site(&url).with_partition(Some("a"));
    profile.jar.store(b"a=b; Secure; Partitioned; SameSite=Lax", &context, start()).unwrap();
    // Like any lax cookie, it is not sent with a cross-site request.
    assert_eq!(profile.embedded_in("a").sent(), "");
}

#[test]
fn a_partitioned_cookie_is_subject_to_same_site() {
    let mut profile = Profile::new();
    let set = profile.embedded_in("a").set("a=b; Secure; Partitioned");
    assert_eq!(set, Err(Rejected::CrossSite));
}

#[test]
fn only_partitioned_cookies_pass_where_third_parties_are_blocked() {
    let mut profile = Profile::new();
    profile.set(EMBED, "a=b; Secure; SameSite=None").unwrap();
    let mut embedded = profile.embedded_with_blocking("a");
    assert_eq!(embedded.set("c=d; Secure; SameSite=None"), Err(Rejected::UnpartitionedBlocked));
    embedded.set(CHIP).unwrap();
    assert_eq!(embedded.sent(), "__Host-id=1");
    assert_eq!(profile.sent(EMBED), "a=b");
}

#[test]
fn a_partitioned_cookie_is_replaced_in_its_partition() {
    let mut profile = Profile::new();
    profile.embedded_in("a").set(CHIP).unwrap();
    profile.embedded_in("b").set(CHIP).unwrap();
    profile.embedded_in("a").set(&CHIP.replace("id=1", "id=2")).unwrap();
    assert_eq!(profile.embedded_in("a").sent(), "__Host-id=2");
    assert_eq!(profile.embedded_in("b").sent(), "__Host-id=1");
    profile.embedded_in("a").set(&format!("{CHIP}; Max-Age=0")).unwrap();
    assert_eq!(profile.embedded_in("a").sent(), "");
    assert_eq!(profile.jar.len(), 1);
}

#[test]
fn a_refusal_does_not_reveal_secure_cookies_of_other_partitions() {
    let mut profile = Profile::new();
    profile.embedded_in("a").set("id=1; Secure; SameSite=None; Partitioned").unwrap();
    let url = url("http://embed.example/");
    let mut in_partition = |partition| {
        let context = same_site(&url).with_partition(Some(partition));
        profile.jar.store(b"id=2", &context, start())
    };
    assert_eq!(in_partition("a"), Err(Rejected::OverlaysSecure));
    assert_eq!(in_partition("b"), Ok(()));
}

#[test]
fn clearing_stays_within_a_partition() {
    let mut profile = Profile::new();
    profile.set(EMBED, "a=b; Secure; SameSite=None").unwrap();
    profile.embedded_in("a").set(CHIP).unwrap();
    profile.embedded_in("b").set(CHIP).unwrap();
    let url = url(EMBED);
    let context = ClearContext::new(url.host().unwrap()).with_partition(Some("a"));
    let third_party = context.clone().with_unpartitioned_allowed(false);
    assert_eq!(profile.jar.clear(&third_party), 1);
    assert_eq!(profile.embedded_in("a").sent(), "a=b");
    assert_eq!(profile.jar.clear(&context), 1);
    assert_eq!(profile.embedded_in("b").sent(), "__Host-id=1");
}
