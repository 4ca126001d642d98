//! An update says that one node heard from one client at one position and time.
//!
//! This file defines the one strict order of updates. The node uses it twice: to decide which of two updates of
//! a client is newer, and to decide which entry a full table evicts. One order for both purposes makes flooding
//! end. An evicted update is below the table's floor from then on, so it cannot come back as new. With eviction
//! by age of arrival or by use, some herds never stop flooding.
//!
//! # Rank
//!
//! The order begins with the **rank**: the earlier of the client's time and the time at which a node received
//! the update. A client whose clock is ahead therefore cannot pin an id or push other clients out of the table:
//! its updates rank by their arrival. The origin fixes the rank when it receives the update, and the rank
//! travels with the update. If the origin's clock was trusted, every node computes the rank from the client's
//! time and the skew. If not, the line carries the rank. [`receive_time`](super::receive_time) defines the
//! receive time without a trusted clock and what it guarantees.

use core::cmp::Ordering;

use super::fields::{ClientId, ClientTime, Position, Seconds, fields};
use super::limits::{AT_LINE_BYTES_MAX, RANKED_LINE_BYTES_MAX};
use super::names::{Names, NodeId};
use super::out::Out;
use super::time::Timestamp;

/// All of an update except the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The client's own time.
    pub time: ClientTime,
    /// The node that received the update from the client.
    pub origin: NodeId,
    /// Where the client was.
    pub position: Position,
    /// The origin's wall clock when it heard the client. The skew is this value minus `time`. The entry stores
    /// the clock and not the skew, because the clock always fits 64 bits, whatever the client's time is.
    pub heard: Timestamp,
    /// The main key of the order: `time`, or the receive time if that is earlier.
    pub rank: Timestamp,
    /// 1 if the origin's clock was trusted, else 0. This is not a `bool`: an `Option` around this struct would
    /// then use a spare value of the `bool` for `None`. `None` would not be all zero, and the node's static
    /// memory would be part of the program file.
    trust: u8,
}

impl Sighting {
    /// Makes a sighting whose origin had a trusted clock. `heard` is that clock's time at reception.
    #[must_use]
    pub fn trusted(time: ClientTime, origin: NodeId, position: Position, heard: Timestamp) -> Self {
        let rank = heard.min(time.timestamp());
        Sighting { time, origin, position, heard, rank, trust: 1 }
    }

    /// Makes a sighting whose origin had no trusted clock. `received` is the receive time that the origin
    /// computed.
    #[must_use]
    pub fn untrusted(
        time: ClientTime,
        origin: NodeId,
        position: Position,
        heard: Timestamp,
        received: Timestamp,
    ) -> Self {
        let rank = received.min(time.timestamp());
        Sighting { time, origin, position, heard, rank, trust: 0 }
    }

    /// Whether the origin's clock was trusted. If so, the receive time is `heard`.
    #[must_use]
    pub fn clock_was_trusted(&self) -> bool {
        self.trust != 0
    }

    /// The order of two updates of one client: (rank, client time, origin, skew, position), then the text of
    /// the time and the origin's trust. Only identical updates are equal. The larger update wins: of two with
    /// one client time at one origin, the later one.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let rank = self.rank.cmp(&other.rank);
        // If the client times are equal, the order of the skews is the order of `heard`.
        rank.then_with(|| self.time.compare(&other.time))
            .then_with(|| self.origin.cmp(&other.origin))
            .then_with(|| self.heard.cmp(&other.heard))
            .then_with(|| self.position.cmp(&other.position))
            .then_with(|| self.time.compare_text(&other.time))
            .then_with(|| self.trust.cmp(&other.trust))
    }

    /// The origin's clock minus the client's time.
    #[must_use]
    pub fn skew(&self) -> Seconds {
        Seconds::of_wall(self.heard).minus(self.time.seconds())
    }
}

/// A client and where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The client.
    pub client: ClientId,
    /// Position, times and origin.
    pub sighting: Sighting,
}

/// An update's place in the strict order over all clients: [`Sighting::compare`], then the client id.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRef<'a> {
    /// The client.
    pub client: &'a ClientId,
    /// Position, times and origin.
    pub sighting: &'a Sighting,
}

impl UpdateRef<'_> {
    /// The strict total order. Only identical updates are equal.
    #[must_use]
    pub fn compare(&self, other: &UpdateRef) -> Ordering {
        let sighting = self.sighting.compare(other.sighting);
        sighting.then_with(|| self.client.as_bytes().cmp(other.client.as_bytes()))
    }

    /// Appends the AT line without its newline: `AT Hill +0.26… kiwi… +34…-118… 1621464827.95…`.
    pub fn put_at_line(&self, names: &Names, out: &mut Out) {
        debug_assert!(out.room() >= AT_LINE_BYTES_MAX);
        out.put(b"AT ");
        out.put(names.name(self.sighting.origin));
        out.put_byte(b' ');
        self.sighting.skew().put_skew(out);
        out.put_byte(b' ');
        out.put(self.client.as_bytes());
        out.put_byte(b' ');
        self.sighting.position.put(out);
        out.put_byte(b' ');
        self.sighting.time.put(out);
    }

    /// Appends the AT line for other nodes. If the origin's clock was not trusted, the rank precedes it:
    /// nanoseconds since 1970, and a blank.
    pub fn put_ranked_line(&self, names: &Names, out: &mut Out) {
        debug_assert!(out.room() >= RANKED_LINE_BYTES_MAX);
        if !self.sighting.clock_was_trusted() {
            out.put_i64(self.sighting.rank.0);
            out.put_byte(b' ');
        }
        self.put_at_line(names, out);
    }
}

/// Why bytes are not an AT line of this herd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLineError {
    /// The line does not have the form that [`UpdateRef::put_at_line`] writes.
    Malformed,
    /// The line is well formed, but this configuration does not list its origin.
    UnknownOrigin,
}

impl Update {
    /// The update as a [`UpdateRef`].
    #[must_use]
    pub fn borrowed(&self) -> UpdateRef<'_> {
        UpdateRef { client: &self.client, sighting: &self.sighting }
    }

    /// Reads a line that [`UpdateRef::put_ranked_line`] wrote.
    ///
    /// # Errors
    /// [`AtLineError`]: the line is malformed, or its origin is unknown.
    pub fn parse_ranked_line(line: &[u8], names: &Names) -> Result<Self, AtLineError> {
        if line.starts_with(b"AT ") {
            return Self::parse_at_line(line, names);
        }
        let blank = line.iter().position(|&byte| byte == b' ').ok_or(AtLineError::Malformed)?;
        let rank = parse_i64(&line[..blank]).ok_or(AtLineError::Malformed)?;
        let Update { client, sighting } = Self::parse_at_line(&line[blank + 1..], names)?;
        let Sighting { time, origin, position, heard, .. } = sighting;
        let sighting = Sighting::untrusted(time, origin, position, heard, Timestamp(rank));
        // The form is canonical. A node never writes a rank above the client's time.
        if sighting.rank.0 == rank { Ok(Update { client, sighting }) } else { Err(AtLineError::Malformed) }
    }

    /// Reads a line that [`UpdateRef::put_at_line`] wrote. The origin's clock counts as trusted.
    ///
    /// # Errors
    /// [`AtLineError`]: the line is malformed, or its origin is unknown.
    pub fn parse_at_line(line: &[u8], names: &Names) -> Result<Self, AtLineError> {
        let mut parts = fields(line);
        let mut next = || parts.next().ok_or(AtLineError::Malformed);
        let (word, origin, skew) = (next()?, next()?, next()?);
        let (client, position, time) = (next()?, next()?, next()?);
        if word != b"AT" || parts.next().is_some() {
            return Err(AtLineError::Malformed);
        }
        let read = || {
            let time = ClientTime::parse(time)?;
            let heard = Seconds::parse_skew(skew)?.plus(time.seconds()).to_wall()?;
            Some((ClientId::parse(client)?, Position::parse(position)?, time, heard))
        };
        let (client, position, time, heard) = read().ok_or(AtLineError::Malformed)?;
        let origin = names.find(origin).ok_or(AtLineError::UnknownOrigin)?;
        Ok(Update { client, sighting: Sighting::trusted(time, origin, position, heard) })
    }
}

/// A signed decimal number without leading zeros.
fn parse_i64(field: &[u8]) -> Option<i64> {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let is_canonical = digits.first().is_some_and(|first| *first != b'0' || field == b"0");
    if !is_canonical || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn names() -> Names {
        let mut names = Names::new();
        names.fill(["Campbell", "Hill", "Jaquez", "Singleton", "Smith"].into_iter()).expect("sorted");
        names
    }

    pub(crate) fn update(line: &str) -> Update {
        Update::parse_at_line(line.as_bytes(), &names()).expect("the test's line is right")
    }

    fn at_line(update: &Update) -> String {
        let mut bytes = [0; AT_LINE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        update.borrowed().put_at_line(&names(), &mut out);
        String::from_utf8_lossy(out.written()).into_owned()
    }

    #[test]
    fn each_part_of_the_order_breaks_earlier_ties() {
        let rising = [
            "AT Smith +9.000000000 z +9+9 1",
            // These times are ahead of the origins' clocks, so they rank by `heard`.
            "AT Hill -9000000000.000000000 z -9-9 9000000001.5",
            "AT Hill -9000000000.000000000 z -9-9 9000000001.6",
            "AT Campbell +9.000000000 z +9+9 2",
            // Of one client time at one origin, what came later is larger, wherever it is.
            "AT Hill +0.000000000 z -9+9 2",
            "AT Hill +8.000000000 z +9-9 2",
            "AT Hill +8.000000000 z -9+9 2",
            "AT Hill +8.000000001 a -9-9 2",
            "AT Hill +8.000000001 b -9-9 2",
            "AT Hill +8.000000001 b -9-9 2.0",
        ];
        // `+` sorts before `-` in the packed form. Any fixed order is sufficient.
        let mut sorted: Vec<Update> = rising.iter().map(|line| update(line)).collect();
        sorted.sort_by(|a, b| a.borrowed().compare(&b.borrowed()));
        let got: Vec<String> = sorted.iter().map(at_line).collect();
        assert_eq!(got, rising.map(String::from));
        // No two updates may be equal.
        assert!(sorted.windows(2).all(|pair| compare_updates(&pair[0], &pair[1]).is_lt()));
    }

    fn compare_updates(a: &Update, b: &Update) -> Ordering {
        a.borrowed().compare(&b.borrowed())
    }

    #[test]
    fn malformed_at_lines_are_rejected() {
        let table = [
            ("AT Hill +0.000000000 a +1+1", AtLineError::Malformed),
            ("AT Hill +0.000000000 a +1+1 1 x", AtLineError::Malformed),
            ("at Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Hill 0.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Hill +0.000000000 a +91+1 1", AtLineError::Malformed),
            // The origin's clock would be in the year 2493. A node's clock cannot show that.
            ("AT Hill +16500000000.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Mallory +0.000000000 a +1+1 1", AtLineError::UnknownOrigin),
            ("1 AT Mallory +0.000000000 a +1+1 1", AtLineError::UnknownOrigin),
            ("1", AtLineError::Malformed),
            (" AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("- AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("-0 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("01 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            // The rank is above the client's time.
            ("1000000001 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("9223372036854775808 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
        ];
        for (line, expected) in table {
            assert_eq!(Update::parse_ranked_line(line.as_bytes(), &names()), Err(expected), "{line}");
        }
    }

    /// Few values of each part, so that ties at every depth are common.
    pub(crate) fn any_update() -> impl Strategy<Value = Update> {
        let origins = prop_oneof![Just("Campbell"), Just("Hill"), Just("Smith")];
        let times = prop_oneof![Just("1"), Just("1.0"), Just("2"), Just("99999999999"), Just("-99999999999")];
        let positions = prop_oneof![Just("+1+1"), Just("-1+1"), Just("+1.0+1")];
        let received = proptest::option::of(0..3_i64);
        (origins, 0..3_i64, "[ab]", positions, times, received).prop_map(
            |(origin, heard, client, position, time, received)| {
                let time = ClientTime::parse(time.as_bytes()).expect("of the list");
                let origin = names().find(origin.as_bytes()).expect("of the list");
                let position = Position::parse(position.as_bytes()).expect("of the list");
                let heard = Timestamp(heard);
                let sighting = match received {
                    Some(at) => Sighting::untrusted(time, origin, position, heard, Timestamp(at)),
                    None => Sighting::trusted(time, origin, position, heard),
                };
                Update { client: ClientId::parse(client.as_bytes()).expect("one letter"), sighting }
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_is_strict_and_total(a in any_update(), b in any_update(), c in any_update()) {
            let compare = |x: &Update, y: &Update| x.borrowed().compare(&y.borrowed());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn a_rank_never_exceeds_client_or_receive_time(update in any_update()) {
            let Sighting { time, heard, rank, .. } = update.sighting;
            prop_assert!(rank <= time.timestamp());
            prop_assert!(!update.sighting.clock_was_trusted() || rank <= heard);
        }
    }
}
