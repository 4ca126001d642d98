//! Ends a call at its deadline at the socket, for every read and write.
//!
//! ureq computes the remaining time before each read, with one exception: while it reads a proxy's answer to CONNECT, each
//! read gets the same time-out. A proxy that sends a byte now and then would block a worker until its answer is 8 KB long.
//! This module must not know the purpose of a call. Invariant: within [`until`], no read or write of the thread begins or
//! lasts after the deadline. A call stays on its thread, so a thread-local holds the deadline.

use std::cell::Cell;
use std::time::Instant;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `call`. `deadline` limits all that this thread reads and writes by [`DeadlineConnector`].
pub(crate) fn until<T>(deadline: Instant, call: impl FnOnce() -> T) -> T {
    DEADLINE.set(Some(deadline));
    let result = call();
    DEADLINE.set(None);
    result
}

/// A link in a chain of connectors: adds the deadline to the connection of the connectors before it.
#[derive(Debug)]
pub(crate) struct DeadlineConnector;

impl<In: Transport> Connector<In> for DeadlineConnector {
    type Out = Timed<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Timed<In>>, Error> {
        Ok(chained.map(Timed))
    }
}

/// A connection with the deadline.
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

/// `timeout`, or the time until the deadline if that is shorter.
fn within(mut timeout: NextTimeout) -> Result<NextTimeout, Error> {
    let Some(deadline) = DEADLINE.get() else { return Ok(timeout) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    timeout.after = timeout.after.min(left.into());
    Ok(timeout)
}
