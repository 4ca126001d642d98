//! The two clocks of a node, read when something happens.
//!
//! The steady one starts at zero with the node. The wall clock is only handed on together with
//! whether it is known to be right: a board without a clock chip wakes up in the past.

use std::cell::Cell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::limits::CLOCK_CHECK_MS;
use crate::config::ClockTrust;
use crate::proto::time::{Mono, Now, Timestamp};

/// Reads both clocks.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    trust: Cell<ClockTrust>,
    trusted: Cell<bool>,
    /// When to look again; never once the answer is final.
    look_at: Cell<Mono>,
    last: Cell<Mono>,
}

impl Clock {
    /// A clock whose steady time is zero now.
    #[must_use]
    pub fn start(trust: ClockTrust) -> Self {
        let final_answer = trust != ClockTrust::Auto;
        Clock {
            started: Instant::now(),
            trust: Cell::new(trust),
            trusted: Cell::new(trust.holds_now()),
            look_at: Cell::new(if final_answer { Mono::NEVER } else { Mono(0) }),
            last: Cell::new(Mono(0)),
        }
    }

    /// Both times, and whether the wall clock is trusted.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = self.steady();
        if mono >= self.look_at.get() {
            let right = self.trust.get().holds_now();
            self.trusted.set(right);
            self.look_at.set(if right { Mono::NEVER } else { mono.after_ms(CLOCK_CHECK_MS) });
        }
        Now { mono, wall: wall(), wall_is_trusted: self.trusted.get() }
    }

    /// The steady time alone. Where the processor has no clock that a program can read, each clock costs a system call.
    #[must_use]
    pub fn steady(&self) -> Mono {
        let steady = Instant::now().saturating_duration_since(self.started);
        // As `as_millis`, without its 128 bits.
        let mono =
            Mono(steady.as_secs().saturating_mul(1_000).saturating_add(u64::from(steady.subsec_millis())));
        self.last.set(mono);
        mono
    }

    /// The steady time when it was last read: to a turn that has read it, now.
    #[must_use]
    pub fn last(&self) -> Mono {
        self.last.get()
    }

    /// The configuration says something else of the clock now.
    pub fn set_trust(&self, trust: ClockTrust) {
        self.trust.set(trust);
        self.trusted.set(trust.holds_now());
        self.look_at.set(if trust == ClockTrust::Auto { Mono(0) } else { Mono::NEVER });
    }

    /// The instant of a steady time, for a runtime's timers; `None` for [`Mono::NEVER`].
    #[must_use]
    pub fn instant(&self, at: Mono) -> Option<Instant> {
        if at == Mono::NEVER {
            None
        } else {
            self.started.checked_add(std::time::Duration::from_millis(at.0))
        }
    }
}

/// The wall clock; the nearest end of the range when it is set beyond 1677 to 2262.
fn wall() -> Timestamp {
    let nanoseconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    };
    Timestamp(nanoseconds)
}
