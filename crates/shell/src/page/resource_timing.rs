//! `ResourceTiming` and `NavigationTiming`, the timing of a fetch as a page may know it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The content of a [`PerformanceResourceTiming`](https://w3c.github.io/resource-timing/#sec-performanceresourcetiming).
/// All times after `start` are relative to `start`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceTiming {
    /// `name`: the requested URL.
    pub name: String,
    /// `initiatorType`
    pub initiator_type: String,
    /// `startTime`
    #[serde(with = "ago")]
    pub start: Instant,
    /// `redirectStart`
    pub redirect_start: Option<Duration>,
    /// `redirectEnd`
    pub redirect_end: Option<Duration>,
    /// `fetchStart`
    pub fetch_start: Duration,
    /// `requestStart`
    pub request_start: Option<Duration>,
    /// `responseStart`
    pub response_start: Option<Duration>,
    /// `responseEnd`
    pub response_end: Duration,
    /// `responseStatus`, or 0 if script may not see it.
    pub response_status: u16,
    /// `transferSize`, in bytes.
    pub transfer_size: u64,
    /// `encodedBodySize`, in bytes.
    pub encoded_body_size: u64,
    /// `decodedBodySize`, in bytes.
    pub decoded_body_size: u64,
    /// `nextHopProtocol`
    pub next_hop_protocol: String,
}

impl ResourceTiming {
    /// The timing of a fetch that ends now, if script may see only its start and its end.
    #[must_use]
    pub fn opaque(name: String, initiator_type: &str, start: Instant) -> Self {
        Self {
            name,
            initiator_type: initiator_type.to_owned(),
            start,
            redirect_start: None,
            redirect_end: None,
            fetch_start: Duration::ZERO,
            request_start: None,
            response_start: None,
            response_end: start.elapsed(),
            response_status: 0,
            transfer_size: 0,
            encoded_body_size: 0,
            decoded_body_size: 0,
            next_hop_protocol: String::new(),
        }
    }
}

/// The timing of the navigation to a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NavigationTiming {
    /// The timing of the fetch. Its start is the document's time origin.
    pub timing: ResourceTiming,
    /// The [navigation type](https://w3c.github.io/navigation-timing/#dom-performancenavigationtiming-type): `"navigate"`,
    /// `"reload"` or `"back_forward"`.
    pub type_: String,
    /// `redirectCount`
    pub redirect_count: u16,
}

/// Serialises an instant as the time since then, which another process can read.
mod ago {
    use super::{Deserialize, Deserializer, Duration, Instant, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Instant, to: S) -> Result<S::Ok, S::Error> {
        at.elapsed().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
        let ago = Duration::deserialize(from)?;
        let now = Instant::now();
        Ok(now.checked_sub(ago).unwrap_or(now))
    }
}
