//! A cookie jar for browser engines.
//!
//! It implements the algorithms that the Fetch Standard names: parse and store a cookie, garbage
//! collect cookies, retrieve cookies and serialize cookies. Two drafts of the IETF describe them, and
//! the step numbers in the code are those of the first:
//!
//! * [Layered Cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html),
//!   to which Fetch links;
//! * [RFC 6265bis](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html), where the
//!   first is silent, or where it is at odds with 6265bis and with what all browsers do. Each such
//!   place has an `NB:` remark.
//!
//! Partitioned cookies are those of [CHIPS](https://github.com/privacycg/CHIPS).
//!
//! The jar does no I/O, has no lock and no clock: the caller passes `now`, and shares the jar as it
//! likes. It decides nothing about requests either: whether one is same-site, and what its partition
//! is, is for the caller (Fetch's "determine the same-site mode" and CHIPS' "cookie partition key").
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
//! * A cookie without a (known) `SameSite` attribute is enforced as `Lax`, for any method and at any
//!   age: "Lax-allowing-unsafe" of 6265bis is not applied.
//! * Secure means the `https` scheme, as Fetch has it. `http://localhost` is not.
//! * [Limits] count by site (registrable domain), as in Chromium and Firefox, not by host: otherwise
//!   one site with a wildcard certificate fills the jar.
//! * A cookie never reaches beyond its site, not even where a public suffix lies below a registrable
//!   domain (`s3.amazonaws.com`).
//! * Partitioned cookies have limits of their own, so that what a site stores in one partition shows
//!   neither in another nor outside.

mod context;
mod cookie;
mod date;
mod domain;
mod evict;
mod jar;
mod limits;
mod parse;
mod path;
mod rejected;
mod retrieve;
mod same_site;
pub mod site;
mod store;

pub use context::{AccessContext, ClearContext};
pub use cookie::{Cookie, SameSite};
pub use jar::CookieJar;
pub use limits::{InvalidLimits, Limits};
pub use rejected::Rejected;
pub use retrieve::serialize_cookies;
pub use same_site::SameSiteMode;
