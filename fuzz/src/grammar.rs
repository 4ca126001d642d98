//! The grammar of client lines, implemented independently of the core except for its limits. This simple
//! version allocates and compares numbers of any size as text.
//!
//! Source: docs/PROTOCOL.md. This file does not use nodes or tables.

use std::cmp::Ordering;

use herd::proto::limits::{
    AHEAD_NS_MAX, CLIENT_ID_BYTES_MAX, CLIENT_LINE_BYTES_MAX, ITEMS_MAX, POSITION_BYTES_MAX, RADIUS_KM_MAX,
    TIME_BYTES_MAX,
};

const WHITE_SPACE: &[u8] = b" \t\n\r\x0b\x0c";
/// The characters of positions and times in the order of the packed form.
const ORDER: &[u8] = b"+-.0123456789";

/// A valid command.
pub(crate) enum Request {
    Iamat(Fix),
    Whatsat { client: Vec<u8>, radius_km: f64, items: u8 },
}

/// A client's position and time, as the client sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fix {
    pub(crate) client: Vec<u8>,
    pub(crate) position: Vec<u8>,
    pub(crate) time: Vec<u8>,
    /// Seconds, rounded down, and the nanoseconds above them.
    value: (i128, i128),
}

impl Fix {
    /// The strict order of two updates that one node heard at the same time.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let ranks = |text: &[u8]| -> Vec<Option<usize>> {
            text.iter().map(|c| ORDER.iter().position(|o| o == c)).collect()
        };
        let by_time = self.value.cmp(&other.value);
        by_time
            .then_with(|| ranks(&self.position).cmp(&ranks(&other.position)))
            .then_with(|| ranks(&self.time).cmp(&ranks(&other.time)))
            .then_with(|| self.client.cmp(&other.client))
    }

    /// At its origin the same time and place is a duplicate.
    pub(crate) fn is_repeat(&self, other: &Self) -> bool {
        self.value == other.value && self.position == other.position
    }

    fn is_ahead(&self, wall_ns: i64) -> bool {
        let limit = i128::from(wall_ns) + i128::from(AHEAD_NS_MAX);
        self.value > (limit.div_euclid(1_000_000_000), limit.rem_euclid(1_000_000_000))
    }

    /// The node's clock minus the client's.
    pub(crate) fn skew(&self, wall_ns: i64) -> String {
        let wall_ns = i128::from(wall_ns);
        let mut seconds = wall_ns.div_euclid(1_000_000_000) - self.value.0;
        let mut nanos = wall_ns.rem_euclid(1_000_000_000) - self.value.1;
        if nanos < 0 {
            (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
        }
        if seconds < 0 && nanos > 0 {
            (seconds, nanos) = (seconds + 1, 1_000_000_000 - nanos);
            return format!("-{}.{nanos:09}", -seconds);
        }
        format!("{}{}.{nanos:09}", if seconds < 0 { "-" } else { "+" }, seconds.abs())
    }
}

/// The command of a line, by a correct clock. `None` if the line is invalid.
pub(crate) fn read(line: &[u8], wall_ns: i64) -> Option<Request> {
    if line.len() > CLIENT_LINE_BYTES_MAX {
        return None;
    }
    let fields: Vec<&[u8]> =
        line.split(|byte| WHITE_SPACE.contains(byte)).filter(|field| !field.is_empty()).collect();
    let [word, client, second, third] = fields[..] else { return None };
    if client.len() > CLIENT_ID_BYTES_MAX {
        return None;
    }
    let client = client.to_vec();
    match word {
        b"IAMAT" => {
            let (second, third) = (std::str::from_utf8(second).ok()?, std::str::from_utf8(third).ok()?);
            let value = time_value(third).filter(|_| is_position(second))?;
            let fix = Fix { client, position: second.into(), time: third.into(), value };
            (!fix.is_ahead(wall_ns)).then_some(Request::Iamat(fix))
        }
        b"WHATSAT" => {
            let (radius, items) = (std::str::from_utf8(second).ok()?, std::str::from_utf8(third).ok()?);
            let (whole, fraction) = decimal(radius)?;
            is_within(whole, fraction, u64::from(RADIUS_KM_MAX)).then_some(())?;
            let is_count = !items.is_empty() && items.bytes().all(|byte| byte.is_ascii_digit());
            is_count.then_some(())?;
            is_within(items, "", u64::from(ITEMS_MAX)).then_some(())?;
            Some(Request::Whatsat { client, radius_km: radius.parse().ok()?, items: items.parse().ok()? })
        }
        _ => None,
    }
}

/// Splits digits and optionally a point and digits into both runs of digits.
fn decimal(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(whole) && is_number(fraction)).then_some((whole, fraction))
}

/// Whether a number with any number of digits is at most `most`.
fn is_within(whole: &str, fraction: &str, most: u64) -> bool {
    let (whole, most) = (whole.trim_start_matches('0'), most.to_string());
    match whole.len().cmp(&most.len()).then_with(|| whole.cmp(&most)) {
        Ordering::Less => true,
        Ordering::Equal => fraction.bytes().all(|digit| digit == b'0'),
        Ordering::Greater => false,
    }
}

fn is_position(text: &str) -> bool {
    let is_coordinate = |text: &str, digits: usize, most: u64| {
        decimal(text)
            .is_some_and(|(whole, fraction)| whole.len() <= digits && is_within(whole, fraction, most))
    };
    let Some(rest) = text.strip_prefix(['+', '-']) else { return false };
    let Some(sign) = rest.find(['+', '-']) else { return false };
    text.len() <= POSITION_BYTES_MAX
        && is_coordinate(&rest[..sign], 2, 90)
        && is_coordinate(&rest[sign + 1..], 3, 180)
}

/// The value of a time, truncated to nanoseconds.
fn time_value(text: &str) -> Option<(i128, i128)> {
    let (sign, number) = text.strip_prefix('-').map_or((1, text), |number| (-1, number));
    let (whole, fraction) = decimal(number)?;
    if text.len() > TIME_BYTES_MAX {
        return None;
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let seconds: i128 = sign * whole.parse::<i128>().expect("32 digits fit 128 bits");
    let nanos: i128 = sign * nanos.parse::<i128>().expect("nine digits");
    Some(if nanos < 0 { (seconds - 1, nanos + 1_000_000_000) } else { (seconds, nanos) })
}
