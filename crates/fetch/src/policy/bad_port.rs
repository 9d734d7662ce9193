//! [Port blocking](https://fetch.spec.whatwg.org/#port-blocking): a request to a bad port is a network error.

use url::Url;

/// The [bad ports](https://fetch.spec.whatwg.org/#bad-port), in ascending order.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// [Should fetching be blocked due to a bad port?](https://fetch.spec.whatwg.org/#block-bad-port) Returns the port if so.
///
/// Only explicit ports are looked up: the default ports of the HTTP(S) schemes are not bad ports.
pub(crate) fn blocked_port(current_url: &Url) -> Option<u16> {
    current_url.port().filter(|port| BAD_PORTS.binary_search(port).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_ports_are_sorted_for_the_binary_search() {
        assert!(BAD_PORTS.is_sorted());
    }

    #[test]
    fn only_explicit_bad_ports_are_blocked() {
        let blocked = |url: &str| blocked_port(&Url::parse(url).unwrap());
        assert_eq!(blocked("http://a.test:25/"), Some(25));
        assert_eq!(blocked("https://a.test:10080/"), Some(10_080));
        assert_eq!(blocked("http://a.test:8000/"), None);
        assert_eq!(blocked("https://a.test/"), None);
    }
}
