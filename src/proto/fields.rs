//! The fields of a client's command. Each type checks its text once, when it is parsed.
//!
//! A value of these types can only be made from text that PROTOCOL.md allows, so the rest of the core does not
//! check again. These types do not depend on nodes, tables or clocks.

use core::cmp::Ordering;

use super::decimal::decimal;
use super::digits::{Digits, nanos_of, split_number, value_of};
use super::limits::{CLIENT_ID_BYTES_MAX, ITEMS_MAX, POSITION_BYTES_MAX, RADIUS_KM_MAX, TIME_BYTES_MAX};
use super::out::Out;
use super::time::{NANOSECONDS, Timestamp};

/// White space is exactly these six bytes (PROTOCOL, Lines and fields). NBSP and 0x1C to 0x1F are not.
#[must_use]
pub fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c | 0x0b)
}

/// The fields of a line: the runs of bytes that are not white space.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_white_space(byte)).filter(|field| !field.is_empty())
}

/// The id that a client gives itself: 1 to 64 bytes without white space. It need not be UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientId(heapless::Vec<u8, CLIENT_ID_BYTES_MAX, u8>);

impl ClientId {
    /// `None` for an empty field, for one with white space, and for one over the limit.
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        let fits = !field.is_empty() && !field.iter().any(|&byte| is_white_space(byte));
        if fits { heapless::Vec::from_slice(field).ok().map(ClientId) } else { None }
    }

    /// The bytes as received.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A client's position in ISO 6709 decimal degrees. It preserves the text exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Digits<{ POSITION_BYTES_MAX / 2 }>);

impl Position {
    /// Sign, 1-2 digits, optional fraction, sign, 1-3 digits, optional fraction; within 90 and 180
    /// degrees; at most 48 bytes (PROTOCOL, IAMAT).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        let rest = coordinate(field, 2, 90)?;
        let rest = coordinate(rest, 3, 180)?;
        if rest.is_empty() { Digits::pack(field).map(Position) } else { None }
    }

    /// Latitude and longitude in degrees, north and east positive, each the nearest double by its first 15 digits.
    #[must_use]
    pub fn degrees(&self) -> (f64, f64) {
        let mut text = [0; POSITION_BYTES_MAX];
        let text = self.0.unpack(&mut text);
        let second_sign = text.iter().rposition(|byte| matches!(byte, b'+' | b'-')).unwrap_or(0);
        let (latitude, longitude) = text.split_at(second_sign);
        (decimal(latitude).unwrap_or(0.0), decimal(longitude).unwrap_or(0.0))
    }

    /// Appends the text as received.
    pub fn put(&self, out: &mut Out) {
        self.0.put(out);
    }

    /// The packed text, as a digest hashes it. Equal bytes mean equal texts.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        self.0.packed()
    }
}

/// Parses one signed coordinate at the front of `text` and returns the rest.
fn coordinate(text: &[u8], digits_max: usize, degrees_max: u128) -> Option<&[u8]> {
    let (b'+' | b'-', text) = text.split_first()? else { return None };
    let (whole, fraction, rest) = split_number(text)?;
    let degrees = value_of(whole);
    let beyond = degrees > degrees_max || (degrees == degrees_max && fraction.iter().any(|&d| d != b'0'));
    if whole.len() > digits_max || beyond { None } else { Some(rest) }
}

/// A client's time in POSIX seconds. It preserves the text exactly and compares to the nanosecond.
///
/// `nanoseconds` is the value within the range of an `i64` (1677 to 2262). The grammar allows 31 digits. Beyond
/// the range the text decides, so [`ClientTime::compare`] is exact for every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTime {
    text: Digits<{ TIME_BYTES_MAX / 2 }>,
    nanoseconds: Timestamp,
}

impl ClientTime {
    /// Optional `-`, digits, optional fraction; at most 32 bytes (PROTOCOL, IAMAT).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (negative, number) = take_minus(field);
        let (whole, fraction, []) = split_number(number)? else { return None };
        let text = Digits::pack(field)?;
        let seconds = Seconds::from_magnitude(negative, value_of(whole), nanos_of(fraction));
        Some(ClientTime { text, nanoseconds: Timestamp(seconds.saturating_nanoseconds()) })
    }

    /// Nanoseconds since the Unix epoch. A time beyond the range gives the nearest end of the range.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.nanoseconds
    }

    /// The order of the times, to the nanosecond. Two texts of the same time are equal here.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match self.nanoseconds.cmp(&other.nanoseconds) {
            Ordering::Equal if self.is_saturated() => self.seconds().cmp(&other.seconds()),
            order => order,
        }
    }

    /// The order of the texts. It decides between two texts of the same time.
    #[must_use]
    pub fn compare_text(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }

    /// Appends the text as received.
    pub fn put(&self, out: &mut Out) {
        self.text.put(out);
    }

    /// The packed text, as a digest hashes it. Equal bytes mean equal texts.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        self.text.packed()
    }

    /// Whether `nanoseconds` is at an end of its range. Then only the text gives the value.
    fn is_saturated(&self) -> bool {
        matches!(self.nanoseconds.0, i64::MIN | i64::MAX)
    }

    /// The exact value, to the nanosecond.
    #[must_use]
    pub fn seconds(&self) -> Seconds {
        if !self.is_saturated() {
            return Seconds::of_wall(self.timestamp());
        }
        let mut text = [0; TIME_BYTES_MAX];
        Seconds::of_time(self.text.unpack(&mut text))
    }
}

fn take_minus(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    }
}

/// A number of seconds to the nanosecond. It is wide enough for any difference of two client times.
///
/// The value is `whole` (rounded down) plus `nanoseconds` (0 to 999,999,999), so the derived order is the order
/// of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds {
    whole: i128,
    nanoseconds: u32,
}

impl Seconds {
    /// A wall clock's time.
    #[must_use]
    pub fn of_wall(wall: Timestamp) -> Self {
        let whole = wall.0.div_euclid(i64::from(NANOSECONDS));
        let nanoseconds = wall.0.rem_euclid(i64::from(NANOSECONDS));
        Seconds {
            whole: i128::from(whole),
            nanoseconds: u32::try_from(nanoseconds).expect("a remainder modulo a billion fits 32 bits"),
        }
    }

    /// The value of a client time that [`ClientTime::parse`] has checked.
    fn of_time(text: &[u8]) -> Self {
        let (negative, number) = take_minus(text);
        let (whole, fraction, _) = split_number(number).unwrap_or((b"0", b"", b""));
        Self::from_magnitude(negative, value_of(whole), nanos_of(fraction))
    }

    /// 32 digits are below 2^107, so the conversion does not saturate for checked text.
    fn from_magnitude(negative: bool, whole: u128, nanoseconds: u32) -> Self {
        let whole = i128::try_from(whole).unwrap_or(i128::MAX);
        match (negative, nanoseconds) {
            (false, _) => Seconds { whole, nanoseconds },
            (true, 0) => Seconds { whole: -whole, nanoseconds: 0 },
            (true, _) => Seconds { whole: -whole - 1, nanoseconds: NANOSECONDS - nanoseconds },
        }
    }

    /// `self - other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let borrow = self.nanoseconds < other.nanoseconds;
        let nanoseconds = if borrow { self.nanoseconds + NANOSECONDS } else { self.nanoseconds };
        Seconds {
            whole: self.whole - other.whole - i128::from(borrow),
            nanoseconds: nanoseconds - other.nanoseconds,
        }
    }

    /// `self + other`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = self.nanoseconds + other.nanoseconds;
        let carry = sum >= NANOSECONDS;
        Seconds {
            whole: self.whole + other.whole + i128::from(carry),
            nanoseconds: if carry { sum - NANOSECONDS } else { sum },
        }
    }

    /// The value as a wall clock's time. `None` if an `i64` of nanoseconds cannot hold it.
    #[must_use]
    pub fn to_wall(self) -> Option<Timestamp> {
        i64::try_from(self.nanoseconds_exact()?).ok().map(Timestamp)
    }

    /// The value in 64 bits. This is the fast path: every time within centuries of now fits.
    fn nanoseconds_small(self) -> Option<i64> {
        let whole = i64::try_from(self.whole).ok()?;
        whole.checked_mul(i64::from(NANOSECONDS))?.checked_add(i64::from(self.nanoseconds))
    }

    fn nanoseconds_exact(self) -> Option<i128> {
        self.whole.checked_mul(i128::from(NANOSECONDS))?.checked_add(i128::from(self.nanoseconds))
    }

    fn saturating_nanoseconds(self) -> i64 {
        let end = if self.whole < 0 { i64::MIN } else { i64::MAX };
        let exact = || self.nanoseconds_exact().and_then(|exact| i64::try_from(exact).ok());
        self.nanoseconds_small().or_else(exact).unwrap_or(end)
    }

    /// Appends the number as a skew: always signed, plain decimal, nine digits (PROTOCOL, IAMAT).
    pub fn put_skew(self, out: &mut Out) {
        let negative = self.whole < 0;
        let (whole, nanoseconds) = match (negative, self.nanoseconds) {
            (false, _) => (self.whole, self.nanoseconds),
            (true, 0) => (self.whole, 0),
            (true, _) => (self.whole + 1, NANOSECONDS - self.nanoseconds),
        };
        out.put_byte(if negative { b'-' } else { b'+' });
        out.put_u128(whole.unsigned_abs());
        out.put_byte(b'.');
        out.put_nanos(nanoseconds);
    }

    /// Reads what [`Seconds::put_skew`] writes. `None` for anything else.
    #[must_use]
    pub fn parse_skew(field: &[u8]) -> Option<Self> {
        let (sign, number) = field.split_first()?;
        let (whole, fraction, []) = split_number(number)? else { return None };
        let canonical = whole.len() == 1 || whole[0] != b'0';
        if !matches!(sign, b'+' | b'-')
            || whole.len() > TIME_BYTES_MAX + 1
            || fraction.len() != 9
            || !canonical
        {
            return None;
        }
        let skew = Self::from_magnitude(*sign == b'-', value_of(whole), nanos_of(fraction));
        let minus_zero = *sign == b'-' && skew == Seconds { whole: 0, nanoseconds: 0 };
        (!minus_zero).then_some(skew)
    }
}

/// The radius of a WHATSAT around its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Radius {
    millimetres: u32,
}

impl Radius {
    /// Kilometres from 0 to 50, with an optional decimal fraction (PROTOCOL, WHATSAT).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (whole, fraction, []) = split_number(field)? else { return None };
        let kilometres = u32::try_from(value_of(whole)).ok()?;
        let beyond = kilometres == RADIUS_KM_MAX && fraction.iter().any(|&digit| digit != b'0');
        if kilometres > RADIUS_KM_MAX || beyond {
            return None;
        }
        // Nine decimal digits of a kilometre are micrometres. Millimetres are precise enough for places.
        Some(Radius { millimetres: kilometres * 1_000_000 + nanos_of(fraction) / 1_000 })
    }

    /// The radius in metres.
    #[must_use]
    pub fn metres(self) -> f64 {
        f64::from(self.millimetres) / 1_000.0
    }
}

/// The largest number of places that a WHATSAT requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemLimit(u8);

impl ItemLimit {
    /// Digits only, from 0 to 20 (PROTOCOL, WHATSAT).
    #[must_use]
    pub fn parse(field: &[u8]) -> Option<Self> {
        if field.is_empty() || !field.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let items = u8::try_from(value_of(field)).ok()?;
        (items <= ITEMS_MAX).then_some(ItemLimit(items))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
