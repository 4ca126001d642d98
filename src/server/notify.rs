//! A bell that one task rings and one other waits for, on one thread.
//!
//! A ring that nobody waits for is kept; many rings are one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::task::{Poll, Waker};

/// The bell.
#[derive(Debug, Default)]
pub struct Notify {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Notify {
    /// Rings.
    pub fn wake(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits for a ring.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            match &mut *waiting {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
    }
}
