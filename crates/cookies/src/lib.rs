//! A cookie jar for browser engines.
//!
//! The crate implements the algorithms that the Fetch Standard names: parse and store a cookie, garbage
//! collect cookies, retrieve cookies and serialize cookies. Two drafts of the IETF describe them:
//!
//! * [Layered Cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html). Fetch
//!   links to this draft, and the step numbers in the code are its numbers.
//! * [RFC 6265bis](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html). The code
//!   follows it where Layered Cookies is silent, or contradicts both 6265bis and all browsers. An `NB:`
//!   remark marks each place.
//!
//! Partitioned cookies are those of [CHIPS](https://github.com/privacycg/CHIPS).
//!
//! The jar does no I/O, and has no lock and no clock. The caller passes `now`, and locks the jar if
//! threads share it. The caller also says whether a request is same-site (Fetch's "determine the
//! same-site mode") and what its partition is (CHIPS' "cookie partition key").
//!
//! [`site`] finds the registrable domain of a host by the Public Suffix List.
//!
//! ```
//! use std::time::SystemTime;
//! use sendbeacon_cookies::{AccessContext, CookieJar, SameSiteMode};
//! use url::Url;
//!
//! let mut jar = CookieJar::default();
//! let now = SystemTime::now();
//! let url = Url::parse("https://shop.example/cart/add")?;
//!
//! let context = AccessContext::for_url(&url)
//!     .expect("an https URL has a host")
//!     .with_same_site(SameSiteMode::StrictOrLess);
//!
//! // A same-site response sets two cookies.
//! jar.store(b"__Host-id=7; Path=/; Secure; HttpOnly", &context, now)?;
//! jar.store(b"seen=cart", &context, now)?;
//!
//! // A same-site request sends them.
//! let header = jar.cookie_header(&context, now);
//! assert_eq!(header.as_deref(), Some(&b"seen=cart; __Host-id=7"[..]));
//!
//! // Script does not see the HttpOnly cookie.
//! let script = context.with_http_only_allowed(false);
//! assert_eq!(jar.cookie_header(&script, now).as_deref(), Some(&b"seen=cart"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Decisions
//!
//! * A cookie without a known `SameSite` attribute is enforced as `Lax`, for any method and at any age.
//!   "Lax-allowing-unsafe" of 6265bis is not applied.
//! * A URL is secure if its scheme is `https`, as in Fetch. `http://localhost` is not secure.
//! * [`Limits`] count by site (registrable domain), as in Chromium and Firefox, and not by host.
//!   Otherwise a site with many subdomains could fill the jar.
//! * A cookie never reaches beyond its site, even if a public suffix is below a registrable domain
//!   (`s3.amazonaws.com`).
//! * Partitioned cookies have limits of their own. So a site cannot see in one partition what it stored
//!   in another one.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

mod context;
mod cookie;
mod date;
mod domain;
mod evict;
mod jar;
mod limits;
mod missed;
mod parse;
mod path;
mod rejected;
mod remembered;
mod retrieve;
mod same_site;
mod section;
pub mod site;
mod store;

pub use context::{AccessContext, ClearContext};
pub use cookie::{Cookie, SameSite};
pub use jar::CookieJar;
pub use limits::{InvalidLimits, Limits};
#[doc(hidden)]
pub use missed::Missed;
pub use rejected::Rejected;
pub use retrieve::serialize_cookies;
pub use same_site::SameSiteMode;
