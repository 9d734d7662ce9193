//! The `Server-Timing` header: the metrics that a server tells about its response.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use super::extract::{get, is_token_byte, split};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// A metric of a response, which script sees as a
/// [`PerformanceServerTiming`](https://w3c.github.io/server-timing/#the-performanceservertiming-interface).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServerTiming {
    /// `name`
    pub name: String,
    /// `duration`, usually in milliseconds. 0 if the server gives no number.
    pub duration: f64,
    /// `description`. Empty if the server gives none.
    pub description: String,
}

/// The metrics of a response with `headers`, in the order of the header.
pub(crate) fn server_timing(headers: &HeaderMap) -> Vec<ServerTiming> {
    let Some(value) = get(headers, &SERVER_TIMING) else { return Vec::new() };
    split(&value).filter_map(parse_a_server_timing_header_field).collect()
}

/// [Parse a server-timing header field](https://w3c.github.io/server-timing/#parse-a-server-timing-header-field). `None`
/// if there is no name.
///
/// NB: this follows the standard's grammar and its prose, as web platform tests do. The steps of its algorithm take
/// everything up to a semicolon or equals sign for a name, and do not keep the values.
fn parse_a_server_timing_header_field(field: &[u8]) -> Option<ServerTiming> {
    let mut input = Input(field);
    let name = input.token()?;
    input.skip_to_semicolon();
    let (mut duration, mut description) = (None, None);
    while input.take(b';') {
        let Some(param) = input.token() else { break };
        let mut value = Cow::default();
        if input.take(b'=') {
            value = input.token_or_quoted_string().unwrap_or_default();
            input.skip_to_semicolon();
        }
        // Only the first of several parameters with the same name counts.
        if param.eq_ignore_ascii_case("dur") {
            duration.get_or_insert(value);
        } else if param.eq_ignore_ascii_case("desc") {
            description.get_or_insert(value);
        }
    }
    Some(ServerTiming {
        name: name.to_owned(),
        duration: duration.and_then(|text| parse_floating_point_number(&text)).unwrap_or(0.0),
        description: description.unwrap_or_default().into_owned(),
    })
}

/// The part of a field that is still to be parsed.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn skip_whitespace(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes this byte, if it is the next one after whitespace.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_whitespace();
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_whitespace();
        let length = self.0.iter().take_while(|&&byte| is_token_byte(byte)).count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        // A token is ASCII.
        str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// `None` if the next bytes are neither a token nor a whole quoted string.
    fn token_or_quoted_string(&mut self) -> Option<Cow<'a, str>> {
        if !self.take(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'"' => return Some(value.into()),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    value.push(char::from(escaped));
                }
                byte => value.push(char::from(byte)),
            }
        }
        None
    }

    fn skip_to_semicolon(&mut self) {
        let length = self.0.iter().take_while(|&&byte| byte != b';').count();
        self.0 = &self.0[length..];
    }
}

/// [Parse a floating-point number value](https://html.spec.whatwg.org/multipage/common-microsyntaxes.html#rules-for-parsing-floating-point-number-values):
/// the number at the beginning of `text`. `None` if `text` does not begin with a number, or if that is too large.
fn parse_floating_point_number(text: &str) -> Option<f64> {
    let text = text.trim_ascii_start();
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|it| it.is_ascii_digit()).count();
    let is_at = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
    let mut end = usize::from(is_at(0, b"+-"));
    let integer = digits(end);
    end += integer;
    let fraction = if is_at(end, b".") { digits(end + 1) } else { 0 };
    if integer + fraction == 0 {
        return None;
    }
    if fraction > 0 {
        end += 1 + fraction;
    }
    if is_at(end, b"eE") {
        let sign = usize::from(is_at(end + 1, b"+-"));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text[..end].parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parsed(values: &[&str]) -> Vec<(String, f64, String)> {
        let value = |value: &&str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = values.iter().map(|it| (SERVER_TIMING, value(it))).collect();
        server_timing(&headers)
            .into_iter()
            .map(|it| (it.name, it.duration, it.description))
            .collect()
    }

    /// The headers of the web platform test server-timing/server_timing_header-parsing, and what script sees of them.
    #[test]
    fn metrics_are_those_of_the_web_platform_tests() {
        type Metric = (&'static str, f64, &'static str);
        let cases: &[(&str, &[Metric])] = &[
            ("", &[]),
            ("metric", &[("metric", 0.0, "")]),
            ("metric;dur=123.4", &[("metric", 123.4, "")]),
            ("metric;dur=\"123.4\"", &[("metric", 123.4, "")]),
            ("metric;desc=\"description\"", &[("metric", 0.0, "description")]),
            ("metric;desc=description;dur=123.4", &[("metric", 123.4, "description")]),
            ("aB3!#$%&'*+-.^_`|~", &[("aB3!#$%&'*+-.^_`|~", 0.0, "")]),
            ("metric;desc=\"descr;,=iption\";dur=123.4", &[("metric", 123.4, "descr;,=iption")]),
            ("metric , ", &[("metric", 0.0, "")]),
            ("metric ; dur = 123.4 ; desc = description", &[("metric", 123.4, "description")]),
            (
                "metric1;dur=12.3;desc=d1,metric2 ,metric1",
                &[("metric1", 12.3, "d1"), ("metric2", 0.0, ""), ("metric1", 0.0, "")],
            ),
            ("metric;desc=\"\t description \t\"", &[("metric", 0.0, "\t description \t")]),
            ("metric;desc=\"descr\\\"iption\"", &[("metric", 0.0, "descr\"iption")]),
            ("metric;desc=\\", &[("metric", 0.0, "")]),
            ("metric;desc=\"", &[("metric", 0.0, "")]),
            ("metric;desc=\"\\\\\"", &[("metric", 0.0, "\\")]),
            ("metric;desc=\"\\\"\\", &[("metric", 0.0, "")]),
            ("metric;desc=\"\"\"", &[("metric", 0.0, "")]),
            ("metric;desc=\\\"\"\"", &[("metric", 0.0, "")]),
            ("metric;DuR=123.4;DeSc=description", &[("metric", 123.4, "description")]),
            ("metric;dur=foo;dur=567.8", &[("metric", 0.0, "")]),
            ("metric;dur=123.4;dur=567.8", &[("metric", 123.4, "")]),
            ("metric;dur;dur=123.4;desc=description", &[("metric", 0.0, "description")]),
            ("metric;desc=;desc=description;dur=123.4", &[("metric", 123.4, "")]),
            ("metric;foo=bar;desc=description;foo=bar", &[("metric", 0.0, "description")]),
            ("metric;desc=d1 d2;dur=123.4", &[("metric", 123.4, "d1")]),
            ("metric;desc=\"d1\" d2,metric2", &[("metric", 0.0, "d1"), ("metric2", 0.0, "")]),
            ("metric==   \"\"foo;dur=123.4", &[("metric", 123.4, "")]),
            ("metric;dur foo=12", &[("metric", 0.0, "")]),
            ("metric;foo dur=12", &[("metric", 0.0, "")]),
            ("metric;\tdesc=\ttabs\t;dur=\t42\t", &[("metric", 42.0, "tabs")]),
        ];
        for (value, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, duration, text)| ((*name).to_owned(), *duration, (*text).to_owned()))
                .collect();
            assert_eq!(parsed(&[value]), expected, "{value:?}");
        }
        for value in ["=", "[", "]", ";", ",", "=;", ";=", "=,", ",=", ";,", ",;", "=;,"] {
            assert_eq!(parsed(&[value]), [], "{value:?}");
        }
    }

    #[test]
    fn metrics_of_several_headers_come_in_their_order() {
        let metric = |name: &str| (name.to_owned(), 0.0, String::new());
        assert_eq!(parsed(&["a, b", "c"]), ["a", "b", "c"].map(metric));
    }

    #[test]
    fn a_duration_is_the_number_at_the_beginning() {
        for (text, number) in [
            ("12", Some(12.0)),
            ("12.5ms", Some(12.5)),
            ("-1", Some(-1.0)),
            ("+.5", Some(0.5)),
            ("1.", Some(1.0)),
            ("1e3", Some(1000.0)),
            ("1e+", Some(1.0)),
            ("1E-1x", Some(0.1)),
            ("1e999", None),
            (".", None),
            ("-", None),
            ("e3", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(parse_floating_point_number(text), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_value_parses(value in "[ -~\\t]{0,40}", number: String) {
            parsed(&[&value]);
            parse_floating_point_number(&number);
        }
    }
}
