//! Parses the value of a `Set-Cookie` header into a cookie.
//!
//! The parser of the crate `cookie` does not fit, because it is made for well-behaved servers. It wants
//! UTF-8, refuses a cookie without a name, knows four date formats and accepts `Max-Age=-` as a number.
//! It neither rejects control characters nor limits lengths.

use std::time::{Duration, SystemTime};

use url::Host;

use crate::{SameSite, date::parse_date, rejected::Rejected};

const MAX_NAME_AND_VALUE_LENGTH: usize = 4096;
const MAX_ATTRIBUTE_VALUE_LENGTH: usize = 1024;

/// A parsed cookie. Whether it may be stored is not yet known.
#[derive(Debug)]
pub(crate) struct ParsedCookie<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) secure: bool,
    /// The host in the `Domain` attribute; `None` for a host-only cookie.
    pub(crate) host: Option<Host>,
    /// The path in the `Path` attribute; `None` if the default path applies.
    pub(crate) path: Option<&'a str>,
    pub(crate) same_site: SameSite,
    pub(crate) http_only: bool,
    pub(crate) partitioned: bool,
    pub(crate) expiry_time: Option<SystemTime>,
}

/// [Parse a cookie](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-parse-a-cookie),
/// with the "cookie age limit" of the user agent.
// NB: the caller does step 14, the default path, because only it has the path of the URL.
pub(crate) fn parse_cookie(
    input: &[u8],
    age_limit: Duration,
    now: SystemTime,
) -> Result<ParsedCookie<'_>, Rejected> {
    // Step 1.
    if input.iter().any(|&byte| byte != b'\t' && byte.is_ascii_control()) {
        return Err(Rejected::ControlCharacter);
    }
    // Steps 2 to 6, 15.2 and 15.3: the parts between the semicolons.
    let mut parts = input.split(|&byte| byte == b';');
    let name_value_input = parts.next().unwrap_or_default();
    // Steps 7 to 11.
    let (name, value) = match split_at_equals_sign(name_value_input) {
        Some((name, value)) => (trim(name), trim(value)),
        None => (&b""[..], trim(name_value_input)),
    };
    // Step 12.
    let length = name.len() + value.len();
    if length == 0 {
        return Err(Rejected::Empty);
    }
    if length > MAX_NAME_AND_VALUE_LENGTH {
        return Err(Rejected::TooLarge);
    }
    // Step 13.
    let mut attributes = Attributes::default();
    // Step 15.
    for attribute_input in parts {
        // Steps 15.4 to 15.11.
        let (attribute_name, attribute_value) = match split_at_equals_sign(attribute_input) {
            Some((name, value)) => (trim(name), trim(value)),
            None => (trim(attribute_input), &b""[..]),
        };
        // Step 15.12.
        if attribute_value.len() > MAX_ATTRIBUTE_VALUE_LENGTH {
            continue;
        }
        attributes.process(attribute_name, attribute_value, age_limit, now);
    }
    // Step 16. NB: only the attribute that wins (the last of its name) can make a cookie fail. The draft
    // says so for the host, and since https://github.com/httpwg/http-extensions/pull/3512 for the path
    // too (WPT cookies/path/non-ascii-path-attribute).
    let host = attributes.host.transpose().map_err(|InvalidHost| Rejected::Domain)?;
    let path = match attributes.path {
        Some(path) if !path.is_ascii() => return Err(Rejected::Path),
        Some(path) => str::from_utf8(path).ok(),
        None => None,
    };
    Ok(ParsedCookie {
        name,
        value,
        secure: attributes.secure,
        host,
        path,
        same_site: attributes.same_site,
        http_only: attributes.http_only,
        partitioned: attributes.partitioned,
        // Steps 15.1, 15.13.1, 15.13.6, 15.14.7 and 15.14.8. NB: `Max-Age` wins over `Expires`, wherever
        // it stands. The draft resets its flag with each attribute, by mistake.
        expiry_time: attributes.max_age.or(attributes.expires),
    })
}

/// The host parser failed on a `Domain` attribute.
#[derive(Debug)]
struct InvalidHost;

/// The attributes that were parsed so far.
#[derive(Debug, Default)]
struct Attributes<'a> {
    expires: Option<SystemTime>,
    max_age: Option<SystemTime>,
    host: Option<Result<Host, InvalidHost>>,
    path: Option<&'a [u8]>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    partitioned: bool,
}

impl<'a> Attributes<'a> {
    /// Steps 15.13 to 15.19 of parse a cookie.
    fn process(&mut self, name: &[u8], value: &'a [u8], age_limit: Duration, now: SystemTime) {
        let latest = now.checked_add(age_limit).unwrap_or(now);
        let is = |expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
        if is("Expires") {
            // Steps 15.13.2 and 15.13.3.
            if let Some(expiry_time) = parse_date(value) {
                // Step 15.13.4.
                self.expires = Some(expiry_time.min(latest));
            }
        } else if is("Max-Age") {
            if let Some(delta_seconds) = parse_delta_seconds(value) {
                // Steps 15.14.5 and 15.14.6.
                self.max_age = Some(if delta_seconds == Duration::ZERO {
                    SystemTime::UNIX_EPOCH.min(now)
                } else {
                    now.checked_add(delta_seconds.min(age_limit)).unwrap_or(now)
                });
            }
        } else if is("Domain") {
            // Step 15.15.3. NB: an empty attribute is ignored, as in RFC 6265 (section 5.2.3). An earlier
            // one stays (WPT cookies/attributes/domain, cases 30 and 42). Layered Cookies would refuse the
            // cookie, and 6265bis would make it host-only.
            if !value.is_empty() {
                self.host = Some(parse_domain_attribute(value));
            }
        } else if is("Path") {
            // Steps 15.16.1, 15.16.1.1 and 15.16.1.2. NB: a value that does not begin with a slash
            // means the default path, as in 6265bis and WPT (cookies/attributes/path, case 21). In Layered
            // Cookies an earlier path would stay.
            self.path = value.starts_with(b"/").then_some(value);
        } else if is("Secure") {
            // Step 15.17.1.
            self.secure = true;
        } else if is("HttpOnly") {
            // Step 15.18.1.
            self.http_only = true;
        } else if is("SameSite") {
            // Steps 15.19.1 to 15.19.3. NB: an unknown value means "unset", as in 6265bis and WPT
            // (cookies/samesite/multiple-samesite-attributes). In Layered Cookies an earlier value would
            // stay.
            let is = |expected: &str| value.eq_ignore_ascii_case(expected.as_bytes());
            self.same_site = if is("None") {
                SameSite::None
            } else if is("Strict") {
                SameSite::Strict
            } else if is("Lax") {
                SameSite::Lax
            } else {
                SameSite::Unset
            };
        } else if is("Partitioned") {
            // NB: this attribute is from the draft on partitioned cookies, "Using Set-Cookie with
            // Partitioned".
            self.partitioned = true;
        }
    }
}

/// Steps 15.15.1, 15.15.2 and 15.15.2.1 to 15.15.2.3 of parse a cookie.
fn parse_domain_attribute(value: &[u8]) -> Result<Host, InvalidHost> {
    let host_input = value.strip_prefix(b".").unwrap_or(value);
    str::from_utf8(host_input)
        .ok()
        .filter(|host_input| host_input.is_ascii())
        .and_then(|host_input| Host::parse(host_input).ok())
        .ok_or(InvalidHost)
}

/// Steps 15.14.1 to 15.14.4 of parse a cookie.
///
/// A negative number counts as zero. A number that is too large for the integer counts as the largest
/// one, which exceeds any limit.
fn parse_delta_seconds(value: &[u8]) -> Option<Duration> {
    let (is_negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if is_negative {
        return Some(Duration::ZERO);
    }
    let seconds = digits.iter().fold(0_u64, |seconds, digit| {
        seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_secs(seconds))
}

fn split_at_equals_sign(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let index = input.iter().position(|&byte| byte == b'=')?;
    Some((&input[..index], &input[index + 1..]))
}

/// Removes leading and trailing WSP: spaces and tabs.
fn trim(mut input: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = input {
        input = rest;
    }
    input
}
