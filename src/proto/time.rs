//! Time as the core sees it: an argument.
//!
//! Two clocks, never confused, passed together. `mono` drives timers and ages and only moves
//! forward; `wall` is only ever compared with the times that clients send. A board without a clock
//! chip starts with a wall clock that is wrong by years and then jumps: nothing that lives by `mono`
//! notices.

/// Nanoseconds of a second.
pub(super) const NANOSECONDS: u32 = 1_000_000_000;

/// Milliseconds since the node started. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// The end of time: no timer is due.
    pub const NEVER: Mono = Mono(u64::MAX);

    /// This time and `ms` milliseconds, at most [`Mono::NEVER`].
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Mono {
        Mono(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the node started.
    ///
    /// Signed, because an entry may be older than the node that holds it. 68 years fit.
    #[must_use]
    pub fn seconds(self) -> i32 {
        i32::try_from(self.0 / 1000).unwrap_or(i32::MAX)
    }
}

/// Nanoseconds since the Unix epoch, 1677 to 2262.
///
/// Packed to two bytes: a table entry holds three of them, and is ten bytes smaller so.
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

/// What the server knows of time when it hands the core an input.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Drives timers and ages.
    pub mono: Mono,
    /// Compared with the times of clients and of other nodes' clocks, and nothing else.
    pub wall: Timestamp,
    /// Whether `wall` is known to be right. Only then may a client's time be called too far ahead.
    pub wall_is_trusted: bool,
}
