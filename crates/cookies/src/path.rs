//! The default path of a cookie, and path matching. Paths are in their serialized form.

/// The [cookie default path](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-default-path).
pub(crate) fn cookie_default_path(path: &str) -> &str {
    match path.rfind('/') {
        // Step 2. NB: the draft asserts in step 1 that the path is a list. An opaque path does not begin
        // with a slash, and gets the root path here.
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        // Steps 3 and 4.
        _ => "/",
    }
}

/// [Path matching](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-path-matching).
// NB: as 6265bis has it, and WPT (cookies/path/match-segment-boundaries). Step 5 of Layered Cookies
// appended its slash to the request path, so that `/foo` matched `/foobar`, and `/foo/` matched a
// request for `/foo`, until https://github.com/httpwg/http-extensions/pull/3512.
pub(crate) fn path_matches(request_path: &str, cookie_path: &str) -> bool {
    // Steps 1 to 3: the two are equal.
    // Step 4: the cookie path is a prefix that ends with a slash.
    // Step 5: the cookie path is a prefix, and the request path goes on with a slash.
    request_path
        .strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_path_is_the_directory_of_the_url() {
        for (path, default) in [
            ("/", "/"),
            ("/one", "/"),
            ("/one/", "/one"),
            ("/one/two", "/one"),
            ("/one/two/", "/one/two"),
            ("//", "/"),
            ("//x", "/"),
            ("", "/"),
            ("opaque/path", "/"),
        ] {
            assert_eq!(cookie_default_path(path), default, "{path}");
        }
    }

    #[test]
    fn a_path_matches_only_at_segment_boundaries() {
        for (request, cookie) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a/b", "/a"),
            ("/a/b", "/a/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a"),
            ("/a//b", "/a/"),
        ] {
            assert!(path_matches(request, cookie), "{request} {cookie}");
        }
        for (request, cookie) in
            [("/", "/a"), ("/ab", "/a"), ("/a", "/a/"), ("/a", "/a/b"), ("/A", "/a"), ("", "/")]
        {
            assert!(!path_matches(request, cookie), "{request} {cookie}");
        }
    }
}
