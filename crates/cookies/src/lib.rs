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
//! use sendbeacon_cookies::{CookieJar, Limits, RetrieveContext, SameSiteMode, StoreContext};
//! use url::Url;
//!
//! let mut jar = CookieJar::new(Limits::default());
//! let now = SystemTime::now();
//! let url = Url::parse("https://shop.example/cart/add")?;
//!
//! let response = StoreContext {
//!     same_site_strict_or_lax_allowed: true,
//!     ..StoreContext::for_url(&url).expect("an https URL has a host")
//! };
//! jar.store(b"__Host-id=7; Path=/; Secure; HttpOnly", &response, now)?;
//! jar.store(b"seen=cart", &response, now)?;
//!
//! let request = RetrieveContext {
//!     same_site: SameSiteMode::StrictOrLess,
//!     ..RetrieveContext::for_url(&url).expect("an https URL has a host")
//! };
//! assert_eq!(jar.cookie_header(&request, now).as_deref(), Some(&b"seen=cart; __Host-id=7"[..]));
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
mod parse;
mod path;
mod rejected;
mod retrieve;
pub mod site;
mod store;

pub use context::{ClearContext, RetrieveContext, SameSiteMode, StoreContext};
pub use cookie::{Cookie, SameSite};
pub use jar::{CookieJar, Limits};
pub use rejected::Rejected;
pub use retrieve::serialize_cookies;
