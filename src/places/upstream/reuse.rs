//! Tells whether a call used a connection of an earlier call, and whether its answer has begun.
//!
//! A server may end an idle connection at any moment, also when the next request is already on its way (RFC 9112, 9.3.1).
//! Such a request can be sent again on a fresh connection. [`ReuseConnector`] is the last link of the chain, above TLS, so
//! an alert of TLS does not count as an answer. This module must not know the purpose of a call. A call stays on its
//! thread, so a thread-local holds what it did.

use std::cell::Cell;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// What the call of this thread has done.
#[derive(Clone, Copy, Default)]
struct Call {
    has_connected: bool,
    has_sent: bool,
    has_answer: bool,
}

thread_local! {
    static CALL: Cell<Call> =
        const { Cell::new(Call { has_connected: false, has_sent: false, has_answer: false }) };
}

/// Begins a call on this thread.
pub(crate) fn begin() {
    CALL.set(Call::default());
}

/// Whether the call sent to an idle connection and got no byte of an answer.
pub(crate) fn is_unanswered_reuse() -> bool {
    let Call { has_connected, has_sent, has_answer } = CALL.get();
    has_sent && !has_connected && !has_answer
}

/// The last link in a chain of connectors.
#[derive(Debug)]
pub(crate) struct ReuseConnector;

impl<In: Transport> Connector<In> for ReuseConnector {
    type Out = Noted<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Noted<In>>, Error> {
        CALL.set(Call { has_connected: true, ..CALL.get() });
        Ok(chained.map(Noted))
    }
}

/// A connection that notes the first byte of an answer.
#[derive(Debug)]
pub(crate) struct Noted<T>(T);

impl<T: Transport> Transport for Noted<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        CALL.set(Call { has_sent: true, ..CALL.get() });
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let result = self.0.await_input(timeout);
        if !self.0.buffers().input().is_empty() {
            CALL.set(Call { has_answer: true, ..CALL.get() });
        }
        result
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
