//! Remembers the URLs that a thread has parsed last, because pages send to the same few again and again.

use std::{cell::RefCell, hash::BuildHasher, sync::Arc};

// NB: this hash has no secret. Two URLs with one hash do no harm: a URL is remembered one time too early.
use rustc_hash::FxBuildHasher;
use url::{ParseError, Url};

thread_local! {
    static MEMO: RefCell<UrlMemo> = RefCell::new(UrlMemo::default());
}

/// Parses `input` relative to `base`: [`Url::join`], from memory where this thread has done it before.
///
/// The result depends on the two strings only, so a remembered result is never out of date.
pub(crate) fn join(base: &Url, input: &str) -> Result<Arc<Url>, ParseError> {
    MEMO.with_borrow_mut(|memo| memo.join(base, input))
}

/// How many results are remembered.
const ENTRIES: usize = 4;

/// How long the three strings of an entry may be together, in bytes.
const ENTRY_LENGTH: usize = 2_048;

#[derive(Default)]
struct UrlMemo {
    entries: [Option<Entry>; ENTRIES],
    /// Which entry is replaced next.
    next: usize,
    /// The hash of the last input that was not remembered. A URL is remembered when it comes twice in a row, so
    /// that a page with a new URL for each call does not pay for it.
    missed: Option<u64>,
}

struct Entry {
    base: Box<str>,
    input: Box<str>,
    url: Arc<Url>,
}

impl UrlMemo {
    fn join(&mut self, base: &Url, input: &str) -> Result<Arc<Url>, ParseError> {
        let is_it = |entry: &&Entry| *entry.input == *input && *entry.base == *base.as_str();
        if let Some(entry) = self.entries.iter().flatten().find(is_it) {
            return Ok(Arc::clone(&entry.url));
        }
        let url = Arc::new(base.join(input)?);
        if base.as_str().len() + input.len() + url.as_str().len() <= ENTRY_LENGTH {
            let missed = Some(FxBuildHasher.hash_one(input));
            if self.missed == missed {
                let (base, input) = (base.as_str().into(), input.into());
                self.entries[self.next] = Some(Entry { base, input, url: Arc::clone(&url) });
                self.next = (self.next + 1) % ENTRIES;
            }
            self.missed = missed;
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_url_from_memory_is_the_url_that_parsing_gives(
            calls in proptest::collection::vec((0..3_usize, 0..9_usize), 1..200),
        ) {
            let bases = ["https://a.test/d/", "https://b.test/", "data:,x"];
            let bases = bases.map(|base| Url::parse(base).unwrap());
            let long = "x".repeat(ENTRY_LENGTH);
            let inputs = ["", "x", "/x", "?x", "//c.test", "http://[", "x#f", "\u{e9}", &long];
            let mut memo = UrlMemo::default();
            for (base, input) in calls {
                let (base, input) = (&bases[base], inputs[input]);
                prop_assert_eq!(memo.join(base, input), base.join(input).map(Arc::new));
            }
        }
    }

    #[test]
    fn a_url_that_comes_twice_is_remembered_and_few_are() {
        let base = Url::parse("https://a.test/").unwrap();
        let mut memo = UrlMemo::default();
        let remembered = |memo: &UrlMemo| memo.entries.iter().flatten().count();
        for n in 0..10 {
            memo.join(&base, &n.to_string()).unwrap();
        }
        assert_eq!(remembered(&memo), 0);
        for n in 0..10 {
            memo.join(&base, &n.to_string()).unwrap();
            memo.join(&base, &n.to_string()).unwrap();
        }
        assert_eq!(remembered(&memo), ENTRIES);
        let long = "x".repeat(ENTRY_LENGTH);
        let mut memo = UrlMemo::default();
        for _ in 0..3 {
            memo.join(&base, &long).unwrap();
        }
        assert_eq!(remembered(&memo), 0);
    }
}
