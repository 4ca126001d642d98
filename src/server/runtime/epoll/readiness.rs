//! The readiness of a socket by the kernel's events, and the wakers of the tasks that wait for it.

use std::cell::Cell;
use std::task::Waker;

use rustix::event::epoll::EventFlags;

/// Something can be read, or the other end has closed.
const READ_FLAGS: EventFlags =
    EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(FAILED_FLAGS);
/// Something can be written, or nothing ever will.
const WRITE_FLAGS: EventFlags = EventFlags::OUT.union(FAILED_FLAGS);
const FAILED_FLAGS: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
/// After these a read that leaves room proves nothing: the end may be behind it, or an urgent byte that parts the data.
const UNSURE_FLAGS: EventFlags = EventFlags::RDHUP.union(EventFlags::PRI).union(FAILED_FLAGS);

/// One of the two things that are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Reading,
    Writing,
}

/// The readiness of a socket, by the kernel's events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readiness {
    pub(super) can_read: bool,
    pub(super) can_write: bool,
    /// The end has come, or an urgent byte: a read that leaves room proves nothing then.
    pub(super) is_unsure: bool,
}

impl Readiness {
    /// A new socket: ready until the first attempt.
    pub(super) const UNTRIED: Readiness = Readiness { can_read: true, can_write: true, is_unsure: false };

    pub(super) fn add(&mut self, flags: EventFlags) {
        self.can_read |= flags.intersects(READ_FLAGS);
        self.can_write |= flags.intersects(WRITE_FLAGS);
        self.is_unsure |= flags.intersects(UNSURE_FLAGS);
    }

    /// A read has left room: the next bytes cause a new edge.
    pub(super) fn was_drained(&mut self) {
        self.can_read = self.is_unsure;
    }

    pub(super) fn clear(&mut self, direction: For) {
        match direction {
            For::Reading => self.can_read = false,
            For::Writing => self.can_write = false,
        }
    }

    pub(super) fn has(self, direction: For) -> bool {
        match direction {
            For::Reading => self.can_read,
            For::Writing => self.can_write,
        }
    }
}

/// What waits for a socket that belongs to a task.
pub(super) struct Source {
    pub(super) readiness: Cell<Readiness>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Source {
    pub(super) fn new() -> Self {
        let readiness = Cell::new(Readiness::UNTRIED);
        Source { readiness, reader: Cell::default(), writer: Cell::default() }
    }

    pub(super) fn add(&self, flags: EventFlags) {
        let mut readiness = self.readiness.get();
        readiness.add(flags);
        self.readiness.set(readiness);
        if flags.intersects(READ_FLAGS)
            && let Some(waker) = self.reader.take()
        {
            waker.wake();
        }
        if flags.intersects(WRITE_FLAGS)
            && let Some(waker) = self.writer.take()
        {
            waker.wake();
        }
    }

    pub(super) fn wait(&self, direction: For, waker: &Waker) {
        let cell = if direction == For::Reading { &self.reader } else { &self.writer };
        keep(cell, waker);
    }
}

/// Stores a waker, and clones it only if it belongs to another task.
fn keep(cell: &Cell<Option<Waker>>, waker: &Waker) {
    let stored = cell.take().filter(|stored| stored.will_wake(waker));
    cell.set(Some(stored.unwrap_or_else(|| waker.clone())));
}
