use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use sendbeacon_fetch::{
    AddressSpace, Client, NetworkError,
    host::{Answer, BoxFuture, LocalNetworkAccess, NetworkRequest},
    local_network_access_check,
};
use thiserror::Error;
use url::Url;

/// Which address space an address is in: the standard's table, and what the embedder knows better.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressSpaces {
    overrides: Vec<(Addresses, AddressSpace)>,
}

impl AddressSpaces {
    pub(crate) fn add(
        &mut self,
        addresses: &str,
        space: AddressSpace,
    ) -> Result<(), AddressesError> {
        self.overrides.push((Addresses::parse(addresses)?, space));
        Ok(())
    }

    pub(crate) fn of(&self, address: SocketAddr) -> AddressSpace {
        let address = canonical(address);
        let known = self.overrides.iter().rev().find(|(addresses, _)| addresses.contains(address));
        known.map_or_else(|| AddressSpace::of(address.ip()), |(_, space)| *space)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    One(SocketAddr),
    Range(IpNet),
}

impl Addresses {
    fn parse(text: &str) -> Result<Self, AddressesError> {
        let one = text.parse().ok().map(|address| Self::One(canonical(address)));
        let range = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let range = range.ok().map(|range| Self::Range(canonical_range(range)));
        one.or(range).ok_or_else(|| AddressesError(text.to_owned()))
    }

    fn contains(self, address: SocketAddr) -> bool {
        match self {
            Self::One(one) => one == address,
            Self::Range(range) => range.contains(&address.ip()),
        }
    }
}

/// An IPv4-mapped address is the IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// And so is a range of them.
fn canonical_range(range: IpNet) -> IpNet {
    let mapped = match range {
        IpNet::V6(range) => range.addr().to_ipv4_mapped().zip(range.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    // A prefix of an IPv4 address from that of an IPv6 address is one.
    mapped.and_then(|(ip, prefix)| IpNet::new(ip.into(), prefix).ok()).unwrap_or(range)
}

/// The text is no address, range of addresses, or address with a port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not an address (10.1.2.3), a range (10.0.0.0/8) or an address and port (10.1.2.3:80)"
)]
pub struct AddressesError(String);

/// The Local Network Access check of one request, for whichever connection it gets.
///
/// A check waits for nobody, so that neither a connection nor room for one is held while a user makes
/// up their mind: what has to be asked for is a refusal until it was [asked](Self::asked).
pub(crate) struct AccessCheck<'a> {
    client: Arc<Client>,
    url: Url,
    permission: Permission<'a>,
}

impl<'a> AccessCheck<'a> {
    /// `None` where nothing can be refused.
    pub(crate) fn of(
        request: &NetworkRequest,
        permission: &'a dyn LocalNetworkAccess,
    ) -> Option<Self> {
        let client = request.client.clone().filter(|client| client.address_space.is_some())?;
        let permission = Permission { embedder: permission, state: Mutex::default() };
        Some(Self { client, url: request.url.clone(), permission })
    }

    pub(crate) async fn check(&self, target: AddressSpace) -> Result<(), NetworkError> {
        local_network_access_check(&self.client, &self.url, target, &self.permission).await
    }

    /// Whether somebody is to be asked before a refusal is one.
    pub(crate) fn must_ask(&self) -> bool {
        self.permission.state().question.is_some()
    }

    /// Waits for the answer to what a check had to ask for. False if there was nothing to ask.
    pub(crate) async fn asked(&self) -> bool {
        let question = self.permission.state().question.take();
        let Some((target, question)) = question else { return false };
        let is_permitted = question.await;
        self.permission.state().answers.push((target, is_permitted));
        true
    }
}

/// The embedder, asked once for each address space.
struct Permission<'a> {
    embedder: &'a dyn LocalNetworkAccess,
    state: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    answers: Vec<(AddressSpace, bool)>,
    /// What the embedder has yet to answer.
    question: Option<(AddressSpace, BoxFuture<'static, bool>)>,
}

impl Permission<'_> {
    fn state(&self) -> MutexGuard<'_, Questions> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalNetworkAccess for Permission<'_> {
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool> {
        let mut state = self.state();
        if let Some((_, answer)) = state.answers.iter().find(|(space, _)| *space == target) {
            return Answer::Ready(*answer);
        }
        // One question at a time; another has its turn.
        if state.question.is_none() {
            match self.embedder.permits(client, url, target) {
                Answer::Ready(answer) => return Answer::Ready(answer),
                Answer::Later(question) => state.question = Some((target, question)),
            }
        }
        Answer::Ready(false)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn spaces(overrides: &[(&str, AddressSpace)]) -> AddressSpaces {
        let mut spaces = AddressSpaces::default();
        for (addresses, space) in overrides {
            spaces.add(addresses, *space).unwrap();
        }
        spaces
    }

    #[test]
    fn override_is_for_its_addresses_only_and_the_last_one_counts() {
        let spaces = spaces(&[
            ("127.0.0.0/8", AddressSpace::Local),
            ("127.0.0.1:8080", AddressSpace::Public),
            ("8.8.8.8", AddressSpace::Local),
            ("2600::/16", AddressSpace::Local),
            ("2600:1::/32", AddressSpace::Loopback),
            ("[::ffff:9.9.9.9]:53", AddressSpace::Local),
            ("::ffff:9.9.8.0/120", AddressSpace::Local),
            ("::ffff:9.9.7.7", AddressSpace::Local),
        ]);
        for (address, space) in [
            ("127.0.0.1:80", AddressSpace::Local),
            ("127.0.0.1:8080", AddressSpace::Public),
            ("[::ffff:127.0.0.1]:8080", AddressSpace::Public),
            ("[::1]:8080", AddressSpace::Loopback),
            ("8.8.8.8:1", AddressSpace::Local),
            ("8.8.8.9:1", AddressSpace::Public),
            ("[2600::1]:1", AddressSpace::Local),
            ("[2600:1::1]:1", AddressSpace::Loopback),
            ("9.9.9.9:53", AddressSpace::Local),
            ("9.9.9.9:54", AddressSpace::Public),
            ("9.9.8.8:1", AddressSpace::Local),
            ("9.9.7.7:1", AddressSpace::Local),
            ("9.9.7.8:1", AddressSpace::Public),
            ("10.0.0.1:1", AddressSpace::Local),
        ] {
            assert_eq!(spaces.of(address.parse().unwrap()), space, "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for text in ["", "a.test", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8:80", "1.2.3", "::/129"] {
            let error = AddressSpaces::default().add(text, AddressSpace::Local).unwrap_err();
            assert_eq!(error, AddressesError(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_addresses_or_an_error(text: String) {
            let _ = Addresses::parse(&text);
        }

        #[test]
        fn range_has_the_addresses_that_share_its_prefix(range: u32, ip: u32, length in 0..=32_u32) {
            let text = format!("{}/{length}", Ipv4Addr::from(range));
            let shared = (range ^ ip).leading_zeros() >= length;
            let address = (Ipv4Addr::from(ip), 80).into();
            prop_assert_eq!(Addresses::parse(&text).unwrap().contains(address), shared);
        }

        #[test]
        fn every_address_and_port_is_itself(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            let parsed = Addresses::parse(&address.to_string()).unwrap();
            prop_assert!(parsed.contains(canonical(address)));
            let other = SocketAddr::new(ip, port.wrapping_add(1));
            prop_assert!(!parsed.contains(canonical(other)));
        }
    }
}
