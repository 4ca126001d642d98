//! Timers of tasks: a list of sleepers, and one kernel timer. The loop sets the kernel timer before it sleeps, if the earliest
//! time has changed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use slab::Slab;

pub(super) const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The sleepers: a few dozen at most, so a linear search is enough.
pub(super) struct Timers {
    /// The time and the waker; none when it has been woken.
    sleepers: RefCell<Slab<(Instant, Option<Waker>)>>,
    /// The earliest time of a sleeper that has not been woken.
    earliest: Cell<Option<Instant>>,
    /// The time of the kernel timer.
    set: Cell<Option<Instant>>,
    timer: OwnedFd,
}

impl AsFd for Timers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl Timers {
    pub(super) fn new() -> std::io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Timers { sleepers: RefCell::default(), earliest: Cell::new(None), set: Cell::new(None), timer })
    }

    /// Waits until then.
    pub(super) fn sleep_until(&'static self, at: Instant) -> Sleep {
        Sleep { timers: self, at, key: None }
    }

    /// Sets the kernel's timer, if the earliest is another one than it was.
    pub(super) fn set(&self) {
        let earliest = self.earliest.get();
        if earliest == self.set.get() {
            return;
        }
        // A zero time would disarm the timer.
        let time = earliest.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
        });
        let it_value = Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let value = Itimerspec { it_interval: NO_TIME, it_value };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value).is_ok() {
            self.set.set(earliest);
        }
    }

    /// Wakes all sleepers that are due.
    pub(super) fn ring(&self) {
        let now = Instant::now();
        for (_, (at, waker)) in &mut *self.sleepers.borrow_mut() {
            if *at <= now
                && let Some(waker) = waker.take()
            {
                waker.wake();
            }
        }
        self.look_for_earliest();
        // It has gone off, whatever it was set to.
        self.set.set(None);
    }

    fn look_for_earliest(&self) {
        let sleepers = self.sleepers.borrow();
        let waiting = sleepers.iter().filter(|(_, (_, waker))| waker.is_some());
        self.earliest.set(waiting.map(|(_, (at, _))| *at).min());
    }
}

/// Waits for a time.
pub(super) struct Sleep {
    timers: &'static Timers,
    at: Instant,
    key: Option<usize>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<()> {
        let Sleep { timers, at, key } = *self;
        let mut sleepers = timers.sleepers.borrow_mut();
        match key.and_then(|key| sleepers.get_mut(key)) {
            Some((_, None)) => return Poll::Ready(()),
            Some((_, Some(waker))) => waker.clone_from(context.waker()),
            None if at <= Instant::now() => return Poll::Ready(()),
            None => {
                self.key = Some(sleepers.insert((at, Some(context.waker().clone()))));
                if timers.earliest.get().is_none_or(|earliest| at < earliest) {
                    timers.earliest.set(Some(at));
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let (at, waker) = self.timers.sleepers.borrow_mut().remove(key);
        if waker.is_some() && self.timers.earliest.get() == Some(at) {
            self.timers.look_for_earliest();
        }
    }
}
