//! The outbox: beacons that could not be sent are kept on disk, and are sent later or after the next start.
//!
//! A beacon that has been unfinished for [`persist_after`](OutboxSettings::persist_after), and every unfinished one
//! when a [`shutdown`](crate::UserAgent::shutdown) begins, gets a record in the embedder's
//! [`Outbox`](crate::host::Outbox). A crash, a power cut or the deadline of the shutdown then loses nothing that was
//! *unsent*: no byte of it was given to the network. The record says so. It is changed before the first byte
//! goes, unless the store fails or needs more than a second. Apart from that, no server gets a beacon twice because of the
//! outbox, unless the embedder chooses [`Redelivery::AtLeastOnce`].
//!
//! The library sends what it finds in the outbox when a document of the same network partition is fully active again,
//! or when the [`BackgroundSend`](crate::host::BackgroundSend) permits it. A start without documents sends nothing.
//!
//! Kept are beacons, pings, deferred fetches, and keepalive `fetch()` calls whose document has gone. Not
//! kept are requests
//!
//! * of documents with an opaque origin, or in a partition with a [second key](crate::PartitionKey::second_key), such
//!   as a credentialless frame,
//! * with an `Authorization` header of a script,
//! * to a URL that is not `https`, unless it leads to this machine.
//!
//! A private window is a user agent without an outbox.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sendbeacon::{UserAgent, outbox::{FileOutbox, KeySealer, OutboxSettings}};
//!
//! # fn key_of_the_system() -> [u8; 32] { [0; 32] }
//! // The key comes from the system's key store. A program that has the key can read the outbox.
//! let settings = OutboxSettings::default().with_sealer(Arc::new(KeySealer::new(key_of_the_system())));
//! let store = FileOutbox::open("profile/outbox")?;
//! let agent = UserAgent::builder().outbox(Box::new(store), settings).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{fmt, sync::Arc, time::Duration};

use sendbeacon_fetch::host::Sealer;
pub use sendbeacon_outbox::{FileOutbox, KeySealer};

/// The longest time that a record may stay in an outbox.
const MAX_EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How an [`Outbox`](crate::host::Outbox) is used.
///
/// ```
/// use std::time::Duration;
///
/// use sendbeacon::outbox::{OutboxSettings, Redelivery};
///
/// let settings = OutboxSettings::default()
///     .with_profile("work")
///     .with_expires_after(Duration::from_secs(3600))
///     .with_redelivery(Redelivery::AtLeastOnce);
/// assert_eq!(settings.persist_after, Duration::from_millis(250));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct OutboxSettings {
    /// The name of the profile. A record of another profile is not read. Default: empty.
    pub profile: String,
    /// Seals the records. Without a sealer, every program with access to the storage can read and write records; the library
    /// then sends what it finds without credentials, and never to a private address. Default: none.
    pub sealer: Option<Arc<dyn Sealer>>,
    /// How long a request is unfinished before it is kept. Zero: each request is kept as it comes. Default: 250
    /// milliseconds, so a request that is answered quickly touches no disk.
    pub persist_after: Duration,
    /// How long a record is kept. At most 24 hours. Default: 30 minutes.
    pub expires_after: Duration,
    /// What is sent again. Default: [`Redelivery::OnlyUnsent`].
    pub redelivery: Redelivery,
    /// Which cookies a request is sent with later. Default: [`RedeliveryCookies::IfUnchanged`].
    pub cookies: RedeliveryCookies,
    /// How many bytes all records may have. Each top-level site and each destination may have a quarter of them. Default:
    /// 8 MiB.
    ///
    /// An earlier run of the app may have left more than this and [`max_records`](Self::max_records). What it left is
    /// sent, and no record is added until there is room.
    pub max_bytes: u64,
    /// How many records there may be. Each top-level site and each destination may have a quarter of them. Default: 1,000.
    pub max_records: usize,
}

impl OutboxSettings {
    /// Sets [`profile`](Self::profile).
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = profile.into();
        self
    }

    /// Sets [`sealer`](Self::sealer).
    #[must_use]
    pub fn with_sealer(mut self, sealer: Arc<dyn Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Sets [`persist_after`](Self::persist_after). More than 24 hours are 24 hours.
    #[must_use]
    pub fn with_persist_after(mut self, after: Duration) -> Self {
        self.persist_after = after.min(MAX_EXPIRES_AFTER);
        self
    }

    /// Sets [`expires_after`](Self::expires_after). More than 24 hours are 24 hours.
    #[must_use]
    pub fn with_expires_after(mut self, after: Duration) -> Self {
        self.expires_after = after.min(MAX_EXPIRES_AFTER);
        self
    }

    /// Sets [`redelivery`](Self::redelivery).
    #[must_use]
    pub fn with_redelivery(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = redelivery;
        self
    }

    /// Sets [`cookies`](Self::cookies).
    #[must_use]
    pub fn with_cookies(mut self, cookies: RedeliveryCookies) -> Self {
        self.cookies = cookies;
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes) and [`max_records`](Self::max_records).
    #[must_use]
    pub fn with_limits(mut self, max_bytes: u64, max_records: usize) -> Self {
        (self.max_bytes, self.max_records) = (max_bytes, max_records);
        self
    }
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            profile: String::new(),
            sealer: None,
            persist_after: Duration::from_millis(250),
            expires_after: Duration::from_secs(30 * 60),
            redelivery: Redelivery::default(),
            cookies: RedeliveryCookies::default(),
            max_bytes: 8 << 20,
            max_records: 1_000,
        }
    }
}

impl fmt::Debug for OutboxSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxSettings")
            .field("profile", &self.profile)
            .field("is_sealed", &self.sealer.is_some())
            .field("persist_after", &self.persist_after)
            .field("expires_after", &self.expires_after)
            .field("redelivery", &self.redelivery)
            .field("cookies", &self.cookies)
            .field("max_bytes", &self.max_bytes)
            .field("max_records", &self.max_records)
            .finish()
    }
}

/// Which requests of the outbox are sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redelivery {
    /// Those of which no byte was given to the network. The default.
    #[default]
    OnlyUnsent,
    /// Those of which a server may have got a copy, too. A server may get a request twice, and more often if the app is
    /// killed several times.
    AtLeastOnce,
}

/// Which cookies a request of the outbox is sent with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedeliveryCookies {
    /// Those of now, if they are the same as when the request was kept, and no credentials otherwise. A request that is
    /// redirected has none after the redirect. The default.
    #[default]
    IfUnchanged,
    /// Those of now.
    Current,
    /// None, and no other credentials.
    Omit,
}
