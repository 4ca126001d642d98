//! Ends a call by its deadline at the socket, whatever is being read or written there.
//!
//! ureq reckons anew before each read how much time is left, with one exception: the answer of a proxy to CONNECT is awaited
//! with the same time-out again and again, so one that sends a byte now and then would hold a worker until its answer is
//! 8 KB long. Must not know what a call is for. Invariant: within [`until`] no read or write of that thread begins after the
//! deadline or lasts beyond it; a call never leaves the thread that makes it, so a thread-local is all that it takes.

use std::cell::Cell;
use std::time::Instant;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Does `call` with `deadline` as the end of all that this thread reads and writes by [`DeadlineConnector`].
pub(crate) fn until<T>(deadline: Instant, call: impl FnOnce() -> T) -> T {
    DEADLINE.set(Some(deadline));
    let result = call();
    DEADLINE.set(None);
    result
}

/// A part of a chain of connectors: puts the deadline around the connection that those before it have made.
#[derive(Debug)]
pub(crate) struct DeadlineConnector;

impl<In: Transport> Connector<In> for DeadlineConnector {
    type Out = Timed<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Timed<In>>, Error> {
        Ok(chained.map(Timed))
    }
}

/// A connection that knows the deadline.
#[derive(Debug)]
pub(crate) struct Timed<T>(T);

impl<T: Transport> Transport for Timed<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, within(timeout)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(within(timeout)?)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// `timeout`, or what is left until the deadline where that is less.
fn within(mut timeout: NextTimeout) -> Result<NextTimeout, Error> {
    let Some(deadline) = DEADLINE.get() else { return Ok(timeout) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    timeout.after = timeout.after.min(left.into());
    Ok(timeout)
}
