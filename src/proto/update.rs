//! An update: that one client was somewhere at some time, as one node heard it.
//!
//! Here is the one strict order of the herd. It decides which of two updates of a client is newer
//! and, over all clients, which one a full table drops. One order for both is what makes flooding
//! end: an update that was dropped once is below the table's floor from then on, so it can never come
//! back as news (evict by age of arrival or by use instead and some herds never stop).
//!
//! # Rank
//!
//! The order begins with the **rank**: the client's time, but no later than the time at which a node received the update.
//! So a client whose clock is ahead cannot pin an id or push other clients out of the table: its updates rank as if it
//! had sent the time of their arrival. The rank is fixed when the update is received, and travels with it: where the
//! origin's clock was trusted every node computes it from the client's time and the skew, else the line carries it.
//! What receive time means without a trusted clock, and what is promised then, is in
//! [`receive_time`](super::receive_time).

use core::cmp::Ordering;

use super::fields::{ClientId, ClientTime, Position, Seconds, fields};
use super::limits::{AT_LINE_BYTES_MAX, RANKED_LINE_BYTES_MAX};
use super::names::{Names, NodeId};
use super::out::Out;
use super::time::Timestamp;

/// Everything of an update but the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The client's own time.
    pub time: ClientTime,
    /// The node that heard the client.
    pub origin: NodeId,
    /// Where the client was.
    pub position: Position,
    /// The origin's wall clock when it heard the client. The skew is this minus `time`, and is kept
    /// in this form because it always fits 64 bits, however far off the client's time is.
    pub heard: Timestamp,
    /// Where it stands in the order: `time`, or the receive time if that is earlier.
    pub rank: Timestamp,
    /// Whether the origin's clock was known to be right, 1 or 0. Not a `bool`: of the values that a `bool` has not an `Option`
    /// around this would make its `None`, which then is not all zero, and the node's memory would be in the program file.
    trust: u8,
}

impl Sighting {
    /// One whose origin heard the client at `heard` by a clock that is known to be right.
    #[must_use]
    pub fn trusted(time: ClientTime, origin: NodeId, position: Position, heard: Timestamp) -> Self {
        let rank = heard.min(time.timestamp());
        Sighting { time, origin, position, heard, rank, trust: 1 }
    }

    /// One whose origin had no such clock: `received` is the receive time by the herd's reckoning.
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

    /// Whether the origin's clock was known to be right: then the receive time is `heard`.
    #[must_use]
    pub fn clock_was_trusted(&self) -> bool {
        self.trust != 0
    }

    /// The order of two updates of one client: (rank, client time, origin, position, skew), then the text
    /// of the time and the origin's trust, so that only identical updates are equal. The larger wins.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let rank = self.rank.cmp(&other.rank);
        // With equal client times the order of the skews is the order of the clocks that heard them.
        rank.then_with(|| self.time.compare(&other.time))
            .then_with(|| self.origin.cmp(&other.origin))
            .then_with(|| self.position.cmp(&other.position))
            .then_with(|| self.heard.cmp(&other.heard))
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
    /// Who.
    pub client: ClientId,
    /// Where and when, and who heard it.
    pub sighting: Sighting,
}

/// An update's place in the strict order over all clients: [`Sighting::compare`], then the client id.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRef<'a> {
    /// Who.
    pub client: &'a ClientId,
    /// Where and when, and who heard it.
    pub sighting: &'a Sighting,
}

impl UpdateRef<'_> {
    /// The strict order: equal only for identical updates.
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

    /// Appends the AT line with what other nodes need beside it: the rank in nanoseconds since 1970 and a blank before
    /// it, where the origin's clock was not trusted.
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
    /// Not the form that [`UpdateRef::put_at_line`] writes.
    Malformed,
    /// Well formed, by a node that this configuration does not list.
    UnknownOrigin,
}

impl Update {
    /// The update as a [`UpdateRef`].
    #[must_use]
    pub fn borrowed(&self) -> UpdateRef<'_> {
        UpdateRef { client: &self.client, sighting: &self.sighting }
    }

    /// Reads what [`UpdateRef::put_ranked_line`] writes.
    ///
    /// # Errors
    /// [`AtLineError`]; nothing is changed by either.
    pub fn parse_ranked_line(line: &[u8], names: &Names) -> Result<Self, AtLineError> {
        if line.starts_with(b"AT ") {
            return Self::parse_at_line(line, names);
        }
        let blank = line.iter().position(|&byte| byte == b' ').ok_or(AtLineError::Malformed)?;
        let rank = parse_i64(&line[..blank]).ok_or(AtLineError::Malformed)?;
        let Update { client, sighting } = Self::parse_at_line(&line[blank + 1..], names)?;
        let Sighting { time, origin, position, heard, .. } = sighting;
        let sighting = Sighting::untrusted(time, origin, position, heard, Timestamp(rank));
        // The form is canonical: a rank above the client's time is none that a node writes.
        if sighting.rank.0 == rank { Ok(Update { client, sighting }) } else { Err(AtLineError::Malformed) }
    }

    /// Reads what [`UpdateRef::put_at_line`] writes, of an origin whose clock was trusted.
    ///
    /// # Errors
    /// [`AtLineError`]; nothing is changed by either.
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
    fn each_part_of_the_order_decides_when_those_before_it_are_equal() {
        let rising = [
            "AT Smith +9.000000000 z +9+9 1",
            // Ahead of the clocks that heard them: these rank by those.
            "AT Hill -9000000000.000000000 z -9-9 9000000001.5",
            "AT Hill -9000000000.000000000 z -9-9 9000000001.6",
            "AT Campbell +9.000000000 z +9+9 2",
            "AT Hill +0.000000000 z -9+9 2",
            "AT Hill +8.000000000 z -9-9 2",
            "AT Hill +8.000000001 a -9-9 2",
            "AT Hill +8.000000001 b -9-9 2",
            "AT Hill +8.000000001 b -9-9 2.0",
        ];
        // `+` sorts before `-`: any fixed order will do, and this is the packed one.
        let mut sorted: Vec<Update> = rising.iter().map(|line| update(line)).collect();
        sorted.sort_by(|a, b| a.borrowed().compare(&b.borrowed()));
        let got: Vec<String> = sorted.iter().map(at_line).collect();
        assert_eq!(got, rising.map(String::from));
        // Sorting leaves equal ones as they were: none may be.
        assert!(sorted.windows(2).all(|pair| compare_updates(&pair[0], &pair[1]).is_lt()));
    }

    fn compare_updates(a: &Update, b: &Update) -> Ordering {
        a.borrowed().compare(&b.borrowed())
    }

    #[test]
    fn at_lines_that_are_not_are_refused() {
        let table = [
            ("AT Hill +0.000000000 a +1+1", AtLineError::Malformed),
            ("AT Hill +0.000000000 a +1+1 1 x", AtLineError::Malformed),
            ("at Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Hill 0.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Hill +0.000000000 a +91+1 1", AtLineError::Malformed),
            // The origin's clock would be in the year 2493: no node's clock can say so.
            ("AT Hill +16500000000.000000000 a +1+1 1", AtLineError::Malformed),
            ("AT Mallory +0.000000000 a +1+1 1", AtLineError::UnknownOrigin),
            ("1 AT Mallory +0.000000000 a +1+1 1", AtLineError::UnknownOrigin),
            ("1", AtLineError::Malformed),
            (" AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("- AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("-0 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            ("01 AT Hill +0.000000000 a +1+1 1", AtLineError::Malformed),
            // Above the client's time.
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
        fn lines_round_trip(update in any_update()) {
            let mut bytes = [0; RANKED_LINE_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            update.borrowed().put_ranked_line(&names(), &mut out);
            prop_assert_eq!(Update::parse_ranked_line(out.written(), &names()), Ok(update));
        }

        #[test]
        fn no_rank_is_above_the_client_time_or_the_receive_time(update in any_update()) {
            let Sighting { time, heard, rank, .. } = update.sighting;
            prop_assert!(rank <= time.timestamp());
            prop_assert!(!update.sighting.clock_was_trusted() || rank <= heard);
        }
    }
}
