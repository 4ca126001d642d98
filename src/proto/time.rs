//! Time, which the core gets as an argument.
//!
//! The core uses two clocks and never mixes them. `mono` drives timers and ages and never goes back. `wall` is
//! only compared with the times of clients and of other nodes. A board without a clock chip starts with a wall
//! clock that is wrong by years and then jumps. Code that uses `mono` is not affected.

/// Nanoseconds in a second.
pub(super) const NANOSECONDS: u32 = 1_000_000_000;

/// Milliseconds since the node started. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// The end of time: a timer that never fires.
    pub const NEVER: Mono = Mono(u64::MAX);

    /// This time plus `ms` milliseconds, at most [`Mono::NEVER`].
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`. 0 if `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the node started.
    ///
    /// The value is signed, because an entry may be older than the node that holds it. It reaches 68 years.
    #[must_use]
    pub fn seconds(self) -> i32 {
        i32::try_from(self.0 / 1000).unwrap_or(i32::MAX)
    }
}

/// Nanoseconds since the Unix epoch, 1677 to 2262.
///
/// Packed to two bytes: a table entry holds three timestamps and is ten bytes smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(2))]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The smallest time after this one.
    #[must_use]
    pub fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }
}

/// The clocks at the moment of an input.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Drives timers and ages.
    pub mono: Mono,
    /// Only compared with the times of clients and of other nodes.
    pub wall: Timestamp,
    /// Whether `wall` is trusted. Only then may the node reject a client's time as too far ahead.
    pub wall_is_trusted: bool,
}
