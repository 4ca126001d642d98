//! Waits for sockets, for times and for other threads: epoll, edge-triggered, on one thread.
//!
//! A socket is registered once. Its readiness is stored until an attempt disproves it: a read or a write that would block, or
//! a read that leaves room. So a socket that is not ready will get an edge, and a ready socket must be tried again before the
//! loop sleeps.
//!
//! Timers are a list of sleepers, and one kernel timer for the earliest of them. Other threads ring a [`Bell`]. A turn that
//! only a socket woke makes no other system calls.
//!
//! Client connections are many, so they are not tasks: they have their own keys here, and a [`Crowd`] serves them.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use slab::Slab;

use super::readiness::Source;
use super::timers::{NO_TIME, Sleep, Timers};

/// Events that are taken from the kernel at once. Only as many of them are touched as there are.
const EVENTS: usize = 128;
/// How often in a row the list of events may be full before clients are served: a sparse client may be the last of a crowd.
const FULL_MAX: usize = 32;

/// What an event's number means: a client by its key, a source behind this bit, or one of the two below.
const SOURCE: u64 = 1 << 32;
const BELL: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What a socket of a client is registered for; [`Reactor::watch_room`] adds to it.
const CLIENT_FLAGS: EventFlags =
    EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(EventFlags::ET);

/// What other threads, and this one's tasks, wake the loop by.
#[derive(Debug)]
pub(super) struct Bell {
    was_rung: AtomicBool,
    /// The loop sleeps, or is about to: a thread that rings must write to the descriptor.
    sleeps: AtomicBool,
    descriptor: OwnedFd,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.was_rung.swap(true, Ordering::SeqCst) && self.sleeps.load(Ordering::SeqCst) {
            // Each write is an edge, so no read is needed.
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }
}

/// The clients, to the loop.
pub(super) trait Crowd {
    /// The kernel reports an event of a client's socket. The key may belong to a client that has just disconnected.
    fn ready(&self, key: u32, flags: EventFlags);
    /// Something has rung: an answer from another thread, perhaps.
    fn rung(&self);
    /// Serves some of the ready clients; true if there are more.
    fn serve(&self) -> bool;
}

/// Everything that is waited for.
pub(super) struct Reactor {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    sources: RefCell<Slab<Rc<Source>>>,
    timers: Timers,
    /// The wakers of tasks that wait for the next turn of the loop.
    waiting: RefCell<Vec<Waker>>,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let timers = Timers::new()?;
        let edge = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &descriptor, EventData::new_u64(BELL), edge)?;
        epoll::add(&epoll, &timers, EventData::new_u64(TIMER), edge)?;
        let bell = Bell { was_rung: AtomicBool::new(true), sleeps: AtomicBool::new(false), descriptor };
        Ok(Reactor {
            epoll,
            bell: Arc::new(bell),
            sources: RefCell::default(),
            waiting: RefCell::default(),
            timers,
        })
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    /// Runs a future to its end, and serves the crowd meanwhile.
    ///
    /// The future is polled when it has been woken and at no other time: a client's line does not touch it.
    ///
    /// # Errors
    /// What epoll_wait(2) says, which it does only of arguments that are wrong.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>, crowd: &impl Crowd) -> io::Result<T> {
        let mut future = pin!(future);
        let waker = Waker::from(self.bell.clone());
        let mut context = Context::from_waker(&waker);
        let mut events = [MaybeUninit::uninit(); EVENTS];
        loop {
            if self.bell.was_rung.swap(false, Ordering::SeqCst) {
                crowd.rung();
                if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                    return Ok(done);
                }
            }
            let has_more = crowd.serve();
            self.timers.set();
            self.wake_waiting();
            self.bell.sleeps.store(true, Ordering::SeqCst);
            let mut may_sleep = !has_more && !self.bell.was_rung.load(Ordering::SeqCst);
            for _ in 0..FULL_MAX {
                let waited = epoll::wait(&self.epoll, &mut events, (!may_sleep).then_some(&NO_TIME));
                self.bell.sleeps.store(false, Ordering::SeqCst);
                let ready = match waited {
                    Ok((ready, _)) => ready,
                    // By a debugger, or a process that was stopped and goes on: there is nothing then.
                    Err(rustix::io::Errno::INTR) => break,
                    Err(error) => return Err(error.into()),
                };
                let is_full = ready.len() == EVENTS;
                ready.iter().for_each(|event| self.tell(event, crowd));
                if !is_full {
                    break;
                }
                may_sleep = false;
            }
        }
    }

    fn tell(&self, event: &epoll::Event, crowd: &impl Crowd) {
        let (number, flags) = (event.data.u64(), event.flags);
        match number {
            BELL => {}
            TIMER => self.timers.ring(),
            _ if number & SOURCE == 0 => crowd.ready(low(number), flags),
            _ => {
                let source = self.sources.borrow().get(low(number) as usize).cloned();
                if let Some(source) = source {
                    source.add(flags);
                }
            }
        }
    }

    /// Waits until all other ready tasks and clients have had a turn.
    pub(super) async fn next_turn(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_waiting(&self) {
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Reports events of a client's socket to the crowd, until it is closed. The socket must have no other descriptor.
    pub(super) fn watch_client(&self, stream: &TcpStream, key: u32) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(u64::from(key)), CLIENT_FLAGS)?)
    }

    /// And of room to write, too.
    pub(super) fn watch_room(&self, stream: &TcpStream, key: u32) -> io::Result<()> {
        let flags = CLIENT_FLAGS | EventFlags::OUT;
        Ok(epoll::modify(&self.epoll, stream, EventData::new_u64(u64::from(key)), flags)?)
    }

    /// Reports events of a descriptor to a [`Source`], until [`unwatch`](Self::unwatch) with the number that is returned.
    pub(super) fn register(&self, io: &impl AsFd) -> io::Result<(Rc<Source>, usize)> {
        let source = Rc::new(Source::new());
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let key = entry.key();
        let flags = CLIENT_FLAGS | EventFlags::OUT;
        epoll::add(&self.epoll, io, EventData::new_u64(SOURCE | key as u64), flags)?;
        entry.insert(source.clone());
        Ok((source, key))
    }

    /// Watches it no more.
    pub(super) fn unwatch(&self, io: &impl AsFd, key: usize) {
        // If the service manager also holds it open, the kernel would report its events for ever.
        let _ = epoll::delete(&self.epoll, io);
        self.sources.borrow_mut().remove(key);
    }

    /// Waits until then.
    pub(super) fn sleep_until(&'static self, at: Instant) -> Sleep {
        self.timers.sleep_until(at)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is made of 32 bits and flags above them")]
fn low(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
