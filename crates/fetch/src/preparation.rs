//! What fetch need not do again for a request like an earlier one.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, COOKIE},
};

/// How many bytes the texts of a remembered header list may have together, without cookies.
const MAX_BYTES: usize = 4096;

/// What fetch need not do again for a request.
///
/// A clone has nothing of it, because its owner may change the request around it.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    /// What the request is kept for.
    pub(crate) used_for: Use,
    /// Whether the steps of main fetch that come before HSTS were done to this request or to an equal one, have told nothing
    /// and changed no URL, and nothing has changed the request since. False after a redirect.
    pub(crate) has_passed: bool,
    /// The header lists of the beacons that have had this request. `None`: the request was not kept before.
    pub(crate) header_lists: Option<Box<HeaderLists>>,
}

/// For which later beacons a request is kept, once its own beacon is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Use {
    /// For none: no beacon like its own came before.
    #[default]
    Once,
    /// For beacons to new URLs of the same origin: its client has lately sent to that origin before.
    Origin,
    /// For beacons to the same URL: its client has lately sent to that URL before.
    Url,
}

impl Clone for Preparation {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Preparation {
    /// The header lists of the beacons that have had this request. `None` if it was not kept before, or if fetch has changed
    /// it for this beacon, or the policies have reported something.
    pub(crate) fn header_lists(&self) -> Option<&HeaderLists> {
        self.header_lists.as_deref().filter(|_| self.has_passed)
    }
}

/// The header lists of beacons of one client to one origin: one without a `Cookie` header, and one that ends with it.
#[derive(Debug, Default)]
pub(crate) struct HeaderLists(Mutex<[Option<HeaderList>; 2]>);

struct HeaderList {
    /// Shared with the request on the network while there is one.
    list: Arc<HeaderMap>,
    /// The length of the body in the list.
    body_length: u64,
}

/// Without the list, which may have cookies.
impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderList").field("body_length", &self.body_length).finish_non_exhaustive()
    }
}

impl HeaderLists {
    /// The header list of a request whose body has `body_length` bytes, and then a `Cookie` header with `cookies`. `make`
    /// makes the list without that header. What it makes depends on the length of the body and on nothing else that differs
    /// between the requests.
    pub(crate) fn get_or_make(
        &self,
        body_length: u64,
        cookies: Option<HeaderValue>,
        make: impl FnOnce() -> HeaderMap,
    ) -> Arc<HeaderMap> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut lists[usize::from(cookies.is_some())];
        let Some(HeaderList { list, body_length: length }) = known else {
            let list = make();
            // A list in which a name comes twice has no one place for a new value.
            let is_simple = list.len() == list.keys_len()
                && !list.contains_key(COOKIE)
                && text_bytes(&list) <= MAX_BYTES;
            let list = Arc::new(with_cookies(list, cookies));
            if is_simple {
                *known = Some(HeaderList { list: Arc::clone(&list), body_length });
            }
            return list;
        };
        // This copies the list only if an earlier request still has it.
        let own = Arc::make_mut(list);
        if body_length != *length {
            own.insert(CONTENT_LENGTH, body_length.into());
            *length = body_length;
        }
        if let (Some(value), Some(cookies)) = (own.get_mut(COOKIE), cookies) {
            *value = cookies;
        }
        Arc::clone(list)
    }

    /// Forgets the value of the `Cookie` header, which is set anew each time, and may be long.
    pub(crate) fn forget_cookies(&mut self) {
        let lists = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let [_, Some(HeaderList { list, .. })] = lists else { return };
        if let Some(cookies) = Arc::make_mut(list).get_mut(COOKIE) {
            *cookies = HeaderValue::from_static("");
        }
    }
}

fn text_bytes(list: &HeaderMap) -> usize {
    list.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The list, and then a `Cookie` header with `cookies`.
pub(crate) fn with_cookies(mut list: HeaderMap, cookies: Option<HeaderValue>) -> HeaderMap {
    if let Some(cookies) = cookies {
        list.append(COOKIE, cookies);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lists: &HeaderLists, body_length: u64, cookies: &'static str) -> Arc<HeaderMap> {
        let make = || HeaderMap::from_iter([(CONTENT_LENGTH, body_length.into())]);
        lists.get_or_make(body_length, Some(HeaderValue::from_static(cookies)), make)
    }

    fn values(list: &HeaderMap) -> [&str; 2] {
        [&list[CONTENT_LENGTH], &list[COOKIE]].map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_list_is_changed_in_its_place_unless_an_earlier_request_still_has_it() {
        let mut lists = HeaderLists::default();
        let first = list(&lists, 1, "a=1");
        let second = list(&lists, 22, "b=2");
        assert_eq!((values(&first), values(&second)), (["1", "a=1"], ["22", "b=2"]));
        lists.forget_cookies();
        assert_eq!(values(&second), ["22", "b=2"]);
        drop((first, second));
        let third = Arc::as_ptr(&list(&lists, 3, "c=3"));
        let fourth = list(&lists, 3, "d=4");
        assert_eq!((values(&fourth), Arc::as_ptr(&fourth)), (["3", "d=4"], third));
    }

    #[test]
    fn no_cookies_are_kept() {
        let mut lists = HeaderLists::default();
        drop(list(&lists, 1, "a=1"));
        lists.forget_cookies();
        let kept = lists.0.get_mut().unwrap()[1].as_ref().expect("the list is kept");
        assert_eq!(values(&kept.list), ["1", ""]);
    }
}
