//! Parses the dates of cookies.
//!
//! The algorithm accepts nearly anything as a date, so no date library can parse it.

use std::time::{Duration, SystemTime};

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// [Parse a date](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-parse-a-date).
pub(crate) fn parse_date(input: &[u8]) -> Option<SystemTime> {
    let mut time = None;
    let mut day_of_month = None;
    let mut month = None;
    let mut year = None;
    // Step 1.
    let tokens = input.split(|&byte| is_delimiter(byte)).filter(|token| !token.is_empty());
    // Step 2.
    for token in tokens {
        // Step 2.1.
        if time.is_none() {
            time = parse_time(token);
            if time.is_some() {
                continue;
            }
        }
        // Step 2.2.
        if day_of_month.is_none() {
            day_of_month = parse_number(token, 1, 2);
            if day_of_month.is_some() {
                continue;
            }
        }
        // Step 2.3.
        if month.is_none() {
            month = parse_month(token);
            if month.is_some() {
                continue;
            }
        }
        // Step 2.4.
        if year.is_none() {
            year = parse_number(token, 2, 4);
        }
    }
    // Step 5, the first condition.
    let (hour, minute, second) = time?;
    let (day_of_month, month) = (day_of_month?, month?);
    let year = match year? {
        // Step 3.
        year @ 70..=99 => year + 1900,
        // Step 4.
        year @ 0..=69 => year + 2000,
        year => year,
    };
    // Step 5, the other conditions.
    if !(1..=31).contains(&day_of_month) || year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Step 6.
    let days = days_since_epoch(year.into(), month, day_of_month.into())?;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    // Step 7.
    let timestamp = days * 24 * 60 * 60 + seconds;
    let since = Duration::from_secs(timestamp.unsigned_abs());
    if timestamp < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(since)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

/// The production `delimiter`.
fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// The production `time`.
fn parse_time(token: &[u8]) -> Option<(u16, u16, u16)> {
    let mut fields = token.splitn(3, |&byte| byte == b':');
    let mut whole_field = || {
        let field = fields.next().filter(|field| field.iter().all(u8::is_ascii_digit))?;
        parse_number(field, 1, 2)
    };
    let (hour, minute) = (whole_field()?, whole_field()?);
    Some((hour, minute, parse_number(fields.next()?, 1, 2)?))
}

/// The production `month`: the number of the month, counted from 0.
fn parse_month(token: &[u8]) -> Option<usize> {
    let name = token.first_chunk::<3>()?;
    MONTHS.iter().position(|month| name.eq_ignore_ascii_case(*month))
}

/// The productions `day-of-month` and `year`: from `min` to `max` digits, then the end of the token or
/// a non-digit. The rest of the token is ignored.
fn parse_number(token: &[u8], min: usize, max: usize) -> Option<u16> {
    let end = token.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(token.len());
    (min..=max)
        .contains(&end)
        .then(|| token[..end].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

/// The number of days from 1970-01-01 to a date; `None` if the Gregorian calendar does not have it.
///
/// The year is positive, and the month is counted from 0.
fn days_since_epoch(year: i64, month: usize, day_of_month: i64) -> Option<i64> {
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap_year { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if day_of_month > *months.get(month)? {
        return None;
    }
    let leap_days_before = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let leap_days = leap_days_before(year) - leap_days_before(1970);
    let days_in_year = months[..month].iter().sum::<i64>() + day_of_month - 1;
    Some((year - 1970) * 365 + leap_days + days_in_year)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(input: &str) -> Option<i64> {
        let time = parse_date(input.as_bytes())?;
        Some(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_secs().cast_signed(),
            Err(before) => -before.duration().as_secs().cast_signed(),
        })
    }

    #[test]
    fn the_three_date_formats_of_http_and_similar_ones_are_dates() {
        for input in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "06-Nov-1994 08:49:37",
            "6 nov 94 8:49:37",
            "08:49:37 1994 6 November",
            "Nov 6 94 8:49:37",
            ";;1994/NOV/6!08:49:37",
            "6th Nov 1994AD 08:49:37.5Z",
            "08:49:37 GMT Sun Nov 6 1994 GMT-0800 (PST)",
            "6 Nov 1994 08:49:37 +0900",
            "6\tNov\t1994\t08:49:37",
        ] {
            assert_eq!(seconds(input), Some(784_111_777), "{input}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_from_1970_to_2069() {
        let year_is = |short: &str, long: &str| {
            let date = |year| seconds(&format!("1 Jan {year} 00:00:00"));
            assert_eq!(date(short), date(long), "{short}");
            assert!(date(long).is_some());
        };
        year_is("70", "1970");
        year_is("99", "1999");
        year_is("00", "2000");
        year_is("69", "2069");
        // The number counts, not the number of digits.
        year_is("069", "2069");
        year_is("0099", "1999");
        assert_eq!(seconds("1 Jan 100 00:00:00"), None);
    }

    #[test]
    fn an_hour_or_a_minute_has_only_digits() {
        // So the token is the day of the month, and the year is the first number after that.
        assert_eq!(seconds("1a:02:03 05 Jan 2030 04:05:06"), seconds("1 Jan 2005 04:05:06"));
        assert_eq!(seconds("02:3b:03 Jan 2030 04:05:06"), seconds("2 Jan 2030 04:05:06"));
    }

    #[test]
    fn the_first_token_of_a_kind_counts() {
        assert_eq!(seconds("1 Jan 1970 00:00:01 00:00:02 2 Feb 1971"), Some(1));
        // The second number of two digits is the year, even if it was meant otherwise.
        assert_eq!(seconds("1 71 Jan 00:00:00 1970"), Some(31_536_000));
        // A token that is not a whole time can still be a day.
        assert_eq!(seconds("1:2 Jan 1970 00:00:00"), Some(0));
    }

    #[test]
    fn a_missing_or_impossible_part_makes_a_date_invalid() {
        for input in [
            "",
            " ",
            "garbage",
            "1 Jan 1970",
            "Jan 1970 00:00:00",
            "1 1970 00:00:00",
            "1 Jan 00:00:00",
            "1 Jan 1970 00: 00:00",
            "1 Jan 1970 00:00",
            "1 Jan 1970 000:00:00",
            "1 Jan 1970 00:00:000",
            "1 Jan 1970 24:00:00",
            "1 Jan 1970 00:60:00",
            "1 Jan 1970 00:00:60",
            "0 Jan 1970 00:00:00",
            "32 Jan 1970 00:00:00",
            "30 Feb 2024 00:00:00",
            "29 Feb 2023 00:00:00",
            "31 Apr 2024 00:00:00",
            "001 Jan 1970 00:00:00",
            "1 Jan 19700 00:00:00",
            "1 Jan 7 00:00:00",
            "1 Jan 1600 00:00:00",
            "1 Ja 1970 00:00:00",
            "1:Jan:1970 00:00:00",
            "١ Jan 1970 00:00:00",
        ] {
            assert_eq!(seconds(input), None, "{input}");
        }
    }

    #[test]
    fn the_calendar_goes_from_1601_to_9999_and_has_leap_days() {
        assert_eq!(seconds("1 Jan 1601 00:00:00"), Some(-11_644_473_600));
        assert_eq!(seconds("31 Dec 1969 23:59:59"), Some(-1));
        assert_eq!(seconds("29 Feb 2024 00:00:00"), Some(1_709_164_800));
        assert_eq!(seconds("31 Dec 9999 23:59:59"), Some(253_402_300_799));
    }

    #[test]
    fn the_calendar_is_the_one_of_the_crate_time() {
        let epoch = time::Date::from_ordinal_date(1970, 1).unwrap().to_julian_day();
        for (year, month) in (1601..=9999).flat_map(|year| (0..12).map(move |month| (year, month)))
        {
            let name = time::Month::January.nth_next(month);
            for day in [1, 28, 29, 30, 31] {
                let date = time::Date::from_calendar_date(year, name, day).ok();
                let expected = date.map(|date| i64::from(date.to_julian_day() - epoch));
                let days = days_since_epoch(year.into(), month.into(), day.into());
                assert_eq!(days, expected, "{year} {name} {day}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(input in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_date(&input);
        }

        #[test]
        fn tokens_in_any_order_never_panic(
            tokens in prop::collection::vec("[0-9]{0,5}|[0-9]{0,3}:[0-9]{0,3}:[0-9]{0,3}|jan|Dec|[ -,]", 0..8),
        ) {
            let _ = parse_date(tokens.join(" ").as_bytes());
        }
    }
}
