//! The latest `Cookie` headers, so that a request like an earlier one needs no search.

use std::{collections::VecDeque, ops::Deref, time::SystemTime};

use bytes::Bytes;
use url::Host;

use crate::{AccessContext, SameSiteMode, missed::Missed, site::borrowed};

/// How many headers are remembered.
const MAX_REMEMBERED: usize = 4;

/// The longest path of a request whose header is remembered, in bytes.
const MAX_PATH: usize = 2048;

/// The longest partition key, in bytes.
const MAX_PARTITION: usize = 2048;

/// The longest header, in bytes.
const MAX_HEADER: usize = 16 * 1024;

/// The latest headers.
#[derive(Default)]
pub(crate) struct RememberedHeaders {
    /// The last one first.
    headers: VecDeque<Remembered>,
    /// The latest requests whose headers were not remembered.
    missed: Missed,
}

/// A header, and everything that it depends on.
pub(crate) struct Remembered {
    context: OwnedContext,
    made: Made,
}

/// A header as it was made.
pub(crate) struct Made {
    /// The versions of the unpartitioned and the partitioned cookies.
    pub(crate) versions: [u64; 2],
    /// The header is right from this time on: what had expired stays expired.
    pub(crate) since: SystemTime,
    /// It is right until one of its cookies expires.
    pub(crate) until: Option<SystemTime>,
    /// The site of the host, and where it has the header's cookies.
    pub(crate) site: Host,
    pub(crate) places: Box<[FoundPlace]>,
    /// Empty if there are no cookies.
    pub(crate) header: Bytes,
}

impl Deref for Remembered {
    type Target = Made;

    fn deref(&self) -> &Made {
        &self.made
    }
}

/// An [`AccessContext`] that owns its text.
struct OwnedContext {
    host: Host,
    path: Box<str>,
    is_secure: bool,
    http_only_allowed: bool,
    same_site: SameSiteMode,
    partition: Option<Box<str>>,
    unpartitioned_allowed: bool,
}

impl OwnedContext {
    fn of(context: &AccessContext<'_>) -> Self {
        Self {
            host: context.host.to_owned(),
            path: context.path.into(),
            is_secure: context.is_secure,
            http_only_allowed: context.http_only_allowed,
            same_site: context.same_site,
            partition: context.partition.map(Into::into),
            unpartitioned_allowed: context.unpartitioned_allowed,
        }
    }

    fn is(&self, context: &AccessContext<'_>) -> bool {
        let AccessContext {
            host,
            path,
            is_secure,
            http_only_allowed,
            same_site,
            partition,
            unpartitioned_allowed,
        } = context;
        *self.path == **path
            && borrowed(&self.host) == *host
            && self.is_secure == *is_secure
            && self.http_only_allowed == *http_only_allowed
            && self.same_site == *same_site
            && self.partition.as_deref() == *partition
            && self.unpartitioned_allowed == *unpartitioned_allowed
    }
}

/// Where a cookie of a header is, until the cookies of its section change.
#[derive(Clone, Copy)]
pub(crate) struct FoundPlace {
    pub(crate) is_partitioned: bool,
    pub(crate) index: usize,
}

impl RememberedHeaders {
    /// The header for a request or for script at the time `now`, if it is remembered. `versions` are those of the cookies
    /// of this moment.
    pub(crate) fn find(
        &self,
        context: &AccessContext<'_>,
        versions: [u64; 2],
        now: SystemTime,
    ) -> Option<&Remembered> {
        self.headers.iter().find(|it| {
            it.versions == versions
                && it.since <= now
                && it.until.is_none_or(|until| now < until)
                && it.context.is(context)
        })
    }

    /// Remembers a header, if it was made lately for such a request, unless it or what it depends on is long.
    pub(crate) fn add(&mut self, context: &AccessContext<'_>, made: impl FnOnce() -> Made) {
        if !self.missed.came_before((&context.host, context.path, context.partition)) {
            return;
        }
        let made = made();
        if context.path.len() > MAX_PATH
            || context.partition.map_or(0, str::len) > MAX_PARTITION
            || made.header.len() > MAX_HEADER
        {
            return;
        }
        self.headers.truncate(MAX_REMEMBERED - 1);
        self.headers.push_front(Remembered { context: OwnedContext::of(context), made });
    }
}
