//! The thread that computes the handshakes of all connections.
//!
//! A handshake costs a board as much as hundreds of lines of clients, so the node's own thread does not compute it. On a board
//! with one core the thread is not enough: its niceness lets the kernel give the core to the node at once when a client sends.
//! All handshakes together get one part in [`SHARE`] of the processor after a [`BURST`]. A flood of them makes new phones wait,
//! and no other client.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, bounded};
use rustix::time::{ClockId, clock_gettime};
use rustls::ServerConnection;

use crate::server::limits::HANDSHAKE_QUEUE_MAX;
use crate::threads::spawn;

/// One part in so many of the processor is for handshakes, in the long run: five a second on a Pi Zero (estimated), 120 on a PC.
const SHARE: u32 = 20;
/// So much time of the processor they may have at once, as a browser makes several handshakes for a page.
const BURST: Duration = Duration::from_millis(200);
/// The thread's stack, as address space: resident as reached.
const STACK_BYTES: usize = 256 * 1024;
/// The thread's niceness.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The next step of a handshake: what the client has sent, and then what it gets.
pub(super) struct Step {
    connection: ServerConnection,
    bytes: Vec<u8>,
    done: Sender<Stepped>,
}

/// The way to the thread. A connection is a kilobyte, so the queue has pointers.
pub(super) type Steps = Sender<Box<Step>>;

/// A step that was taken.
pub(super) struct Stepped {
    pub(super) connection: ServerConnection,
    /// For the client, also if the handshake failed.
    pub(super) bytes: Vec<u8>,
    pub(super) outcome: io::Result<()>,
}

/// Starts the thread, which ends when the sender is dropped.
pub(super) fn start() -> io::Result<Steps> {
    let (sender, steps) = bounded(HANDSHAKE_QUEUE_MAX);
    spawn("tls", STACK_BYTES, Box::new(move || work(&steps)))?;
    Ok(sender)
}

/// Takes a step on the thread. A caller that is dropped while it waits costs the thread nothing.
pub(super) async fn step(
    thread: &Steps,
    connection: ServerConnection,
    bytes: Vec<u8>,
) -> io::Result<Stepped> {
    let (done, stepped) = bounded(1);
    thread.send(Box::new(Step { connection, bytes, done })).await.map_err(io::Error::other)?;
    stepped.recv().await.map_err(io::Error::other)
}

fn work(steps: &Receiver<Box<Step>>) {
    // Of this thread alone. Where it is not allowed, handshakes compete with the node.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let mut share = Share::new(Instant::now());
    while let Ok(step) = steps.recv_blocking() {
        let Step { mut connection, bytes, done } = *step;
        thread::sleep(share.wait(Instant::now()));
        // The connection may have been evicted meanwhile.
        if done.is_closed() {
            continue;
        }
        let began = processor_time();
        let (bytes, outcome) = advance(&mut connection, &bytes);
        share.count(Instant::now(), processor_time().saturating_sub(began));
        let _ = done.try_send(Stepped { connection, bytes, outcome });
    }
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// What the client gets for these bytes, and whether the handshake can go on.
fn advance(connection: &mut ServerConnection, mut bytes: &[u8]) -> (Vec<u8>, io::Result<()>) {
    let mut outcome = Ok(());
    while !bytes.is_empty() && outcome.is_ok() {
        outcome = match connection.read_tls(&mut bytes) {
            // It takes nothing behind the client's last word.
            Ok(0) => Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(_) => connection.process_new_packets().map(drop).map_err(io::Error::other),
            Err(error) => Err(error),
        };
    }
    let mut answer = Vec::new();
    while connection.wants_write() && connection.write_tls(&mut answer).is_ok() {}
    (answer, outcome)
}

/// The part of the processor that handshakes have used.
struct Share {
    /// When the time of all steps so far is paid back: see [`BURST`].
    paid_at: Instant,
}

impl Share {
    fn new(now: Instant) -> Share {
        Share { paid_at: now }
    }

    /// The time until the next step may begin.
    fn wait(&self, now: Instant) -> Duration {
        self.paid_at.saturating_duration_since(now + BURST * SHARE)
    }

    /// Counts a step, which is paid back by time without one.
    fn count(&mut self, now: Instant, cost: Duration) {
        self.paid_at = self.paid_at.max(now) + cost * SHARE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herd_test_support::upstream::tls::{Ca, Versions};

    #[test]
    fn bytes_behind_the_last_word_end_the_step() {
        const VERSIONS: [Versions; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
        for version in VERSIONS {
            let ca = Ca::new();
            let mut server = ServerConnection::new(ca.server(2000, 4000).into()).expect("it is right");
            let mut client = ca.client(version).expect("it is right");
            let mut sent = Vec::new();
            while client.is_handshaking() {
                while client.wants_write() {
                    client.write_tls(&mut sent).expect("there is room");
                }
                let (answer, outcome) = advance(&mut server, &std::mem::take(&mut sent));
                outcome.expect("the handshake goes on");
                client.read_tls(&mut &answer[..]).expect("there is room");
                client.process_new_packets().expect("the handshake goes on");
            }
            // The closing alert (RFC 8446, 6.1).
            client.send_close_notify();
            while client.wants_write() {
                client.write_tls(&mut sent).expect("there is room");
            }
            assert!(advance(&mut server, &sent).1.is_ok());
            assert!(advance(&mut server, b"more").1.is_err());
        }
    }

    #[test]
    fn steps_wait_after_a_burst() {
        let now = Instant::now();
        let mut share = Share::new(now);
        share.count(now, BURST);
        assert_eq!(share.wait(now), Duration::ZERO);
        share.count(now, Duration::from_millis(10));
        assert_eq!(share.wait(now), Duration::from_millis(200));
        let later = now + Duration::from_millis(200);
        assert_eq!(share.wait(later), Duration::ZERO);
        share.count(later, Duration::from_millis(1));
        assert_eq!(share.wait(later), Duration::from_millis(20));
    }
}
