//! What fetch need not do again for a request like an earlier one.

use std::sync::OnceLock;

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
    /// Whether the request is like one that was made lately. Others are not kept.
    pub(crate) is_repeated: bool,
    /// Whether the steps of main fetch that come before HSTS were done to this request or to an equal one, have told nothing
    /// and changed no URL, and nothing has changed the request since. False after a redirect.
    pub(crate) has_passed: bool,
    /// The header lists of equal requests. `None`: the request was not kept before.
    pub(crate) header_lists: Option<Box<HeaderLists>>,
}

impl Clone for Preparation {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Preparation {
    /// The header lists of equal requests. `None` if the request was not kept before, or if it was changed.
    pub(crate) fn header_lists(&self) -> Option<&HeaderLists> {
        self.header_lists.as_deref().filter(|_| self.has_passed)
    }
}

/// The header lists of equal requests: one without a `Cookie` header, and one that ends with it.
#[derive(Debug, Default)]
pub(crate) struct HeaderLists([OnceLock<HeaderList>; 2]);

#[derive(Debug)]
struct HeaderList {
    list: HeaderMap,
    /// The length of the body in the list.
    body_length: u64,
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
    ) -> HeaderMap {
        let known = &self.0[usize::from(cookies.is_some())];
        let Some(HeaderList { list, body_length: length }) = known.get() else {
            let list = make();
            // A list in which a name comes twice has no one place for a new value.
            let is_simple = list.len() == list.keys_len()
                && !list.contains_key(COOKIE)
                && text_bytes(&list) <= MAX_BYTES;
            let list = with_cookies(list, cookies);
            if is_simple {
                known.get_or_init(|| HeaderList { list: without_cookies(&list), body_length });
            }
            return list;
        };
        let mut list = list.clone();
        if body_length != *length {
            list.insert(CONTENT_LENGTH, body_length.into());
        }
        if let (Some(value), Some(cookies)) = (list.get_mut(COOKIE), cookies) {
            *value = cookies;
        }
        list
    }
}

fn text_bytes(list: &HeaderMap) -> usize {
    list.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The list with an empty `Cookie` header, if it has one: cookies are set anew each time, and are not remembered here.
fn without_cookies(list: &HeaderMap) -> HeaderMap {
    let mut list = list.clone();
    if let Some(cookies) = list.get_mut(COOKIE) {
        *cookies = HeaderValue::from_static("");
    }
    list
}

/// The list, and then a `Cookie` header with `cookies`.
pub(crate) fn with_cookies(mut list: HeaderMap, cookies: Option<HeaderValue>) -> HeaderMap {
    if let Some(cookies) = cookies {
        list.append(COOKIE, cookies);
    }
    list
}
