//! A notification from one task to another, on one thread.
//!
//! A notification without a waiting task is stored; several count as one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::task::{Poll, Waker};

/// The notification.
#[derive(Debug, Default)]
pub struct Notify {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Notify {
    /// Notifies the waiting task.
    pub fn wake(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits for a notification.
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
