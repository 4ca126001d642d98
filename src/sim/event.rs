//! The events of a world: what its queue holds, in the order of (time, number).

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Start {
        host: usize,
    },
    Tick {
        host: usize,
    },
    /// The end may write its next line.
    Pump {
        conn: usize,
        end: usize,
    },
    /// Bytes have arrived for the end.
    Arrive {
        conn: usize,
        end: usize,
    },
    /// A dial has reached the other board.
    Connect {
        conn: usize,
    },
    Accept {
        conn: usize,
    },
    Dialled {
        conn: usize,
    },
    DialFailed {
        host: usize,
        epoch: u64,
        to: usize,
    },
    Client {
        host: usize,
    },
    /// An insider sends a line.
    Insider {
        conn: usize,
    },
    Mishap(Mishap),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mishap {
    /// One of the repeated faults.
    Strike,
    Flap {
        edge: usize,
    },
    /// The next node gets the new key, or loses the old one.
    Rotate {
        step: usize,
    },
}
