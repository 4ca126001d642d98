//! The reactor against made-up events in any order, and against real sockets that misbehave.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use proptest::prelude::*;
use smol::LocalExecutor;

use super::super::readiness::Readiness;
use super::super::watched::Watched;
use super::*;

/// A crowd without clients.
struct Empty;

impl Crowd for Empty {
    fn ready(&self, key: u32, _flags: EventFlags) {
        panic!("unknown client {key}");
    }

    fn rung(&self) {}

    fn serve(&self) -> bool {
        false
    }
}

fn reactor() -> &'static Reactor {
    Box::leak(Box::new(Reactor::new().expect("the system has epoll")))
}

/// Runs tasks beside a future, as the node does.
fn run<T>(reactor: &Reactor, executor: &LocalExecutor, done: impl Future<Output = T>) -> T {
    reactor.run(executor.run(done), &Empty).expect("the arguments are right")
}

/// A socket as the kernel has it: what has come, an urgent mark or an end behind it, and whether an edge is due.
#[derive(Clone, Debug, Default)]
struct Kernel {
    bytes: usize,
    /// A read stops here once, whatever is behind it.
    mark: Option<usize>,
    has_ended: bool,
    has_edge: bool,
}

impl Kernel {
    fn flags(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.bytes > 0 || self.has_ended);
        flags.set(EventFlags::RDHUP, self.has_ended);
        flags.set(EventFlags::PRI, self.mark.is_some());
        flags
    }

    /// `None` when it would block, 0 at the end.
    fn read(&mut self, room: usize) -> Option<usize> {
        let until = self.mark.map_or(self.bytes, |mark| if mark == 0 { self.bytes } else { mark });
        let read = room.min(until);
        if read == 0 {
            return self.has_ended.then_some(0);
        }
        self.bytes -= read;
        self.mark = self.mark.and_then(|mark| mark.checked_sub(read)).filter(|_| self.bytes > 0);
        Some(read)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Come(usize),
    Urgent,
    End,
    /// The loop takes the edge, if there is one.
    Tell,
    /// The client has a turn with so much room.
    Turn(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..20_usize).prop_map(Step::Come),
        1 => Just(Step::Urgent),
        1 => Just(Step::End),
        4 => Just(Step::Tell),
        4 => (1..16_usize).prop_map(Step::Turn),
    ]
}

/// Reads once, as a connection does; says whether it has met the end.
fn turn(kernel: &mut Kernel, readiness: &mut Readiness, room: usize) -> bool {
    if !readiness.can_read {
        return false;
    }
    match kernel.read(room) {
        None => readiness.can_read = false,
        Some(0) => return true,
        Some(read) if read < room => readiness.was_drained(),
        Some(_) => {}
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// In any order of events, all bytes are read when all edges have been delivered: no wake-up is lost.
    #[test]
    fn no_wake_up_is_lost(steps in proptest::collection::vec(any_step(), 0..60)) {
        let (mut kernel, mut readiness) = (Kernel::default(), Readiness::default());
        let mut met_end = false;
        for step in steps {
            match step {
                Step::Come(bytes) if !kernel.has_ended => {
                    kernel.bytes += bytes;
                    kernel.has_edge = true;
                }
                Step::Urgent if !kernel.has_ended => {
                    (kernel.mark, kernel.has_edge) = (Some(kernel.bytes), true);
                }
                Step::End => (kernel.has_ended, kernel.has_edge) = (true, true),
                Step::Tell if std::mem::take(&mut kernel.has_edge) => readiness.add(kernel.flags()),
                Step::Turn(room) => met_end |= turn(&mut kernel, &mut readiness, room),
                Step::Come(_) | Step::Urgent | Step::Tell => {}
            }
        }
        // No more input: the last edge is delivered, and all ready clients have turns.
        if std::mem::take(&mut kernel.has_edge) {
            readiness.add(kernel.flags());
        }
        for _ in 0..500 {
            met_end |= turn(&mut kernel, &mut readiness, 7);
        }
        prop_assert_eq!(kernel.bytes, 0, "{:?} {:?}", kernel, readiness);
        prop_assert_eq!(met_end, kernel.has_ended, "{:?} {:?}", kernel, readiness);
    }
}

/// Where each of the two is, step by step: the loop goes to sleep, and another thread rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Doorway {
    sleeper: u8,
    ringer: u8,
    was_rung: bool,
    sleeps: bool,
    /// The descriptor has an edge.
    has_edge: bool,
    /// What the ringer found.
    found_sleeper: bool,
    /// What the sleeper decided.
    may_sleep: bool,
}

/// Every interleaving of `Bell::wake_by_ref` and of a turn of the loop, as both are written: none ends with a loop that
/// sleeps for ever although it was rung.
#[test]
fn no_ring_is_missed() {
    let start = Doorway {
        sleeper: 0,
        ringer: 0,
        was_rung: false,
        sleeps: false,
        has_edge: false,
        found_sleeper: false,
        may_sleep: false,
    };
    let (mut seen, mut open) = (HashSet::new(), vec![start]);
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
            continue;
        }
        let mut next = Vec::new();
        match at.ringer {
            // `was_rung.swap(true)`: a thread that finds it rung leaves the rest to the one that rang.
            0 => next.push(Doorway { ringer: if at.was_rung { 3 } else { 1 }, was_rung: true, ..at }),
            1 => next.push(Doorway { ringer: 2, found_sleeper: at.sleeps, ..at }),
            2 => next.push(Doorway { ringer: 3, has_edge: at.has_edge | at.found_sleeper, ..at }),
            _ => {}
        }
        match at.sleeper {
            0 => next.push(Doorway { sleeper: 1, sleeps: true, ..at }),
            1 => next.push(Doorway { sleeper: 2, may_sleep: !at.was_rung, ..at }),
            // It waits, unless it may not or there is an edge.
            2 if !at.may_sleep || at.has_edge => {
                next.push(Doorway { sleeper: 3, sleeps: false, has_edge: false, ..at });
            }
            _ => {}
        }
        let is_stuck = next.is_empty() && at.sleeper == 2;
        assert!(!is_stuck, "it sleeps though it was rung: {at:?}");
        open.extend(next);
    }
    assert!(seen.len() > 10, "both have gone their ways");
}

/// The order of sleeps due in the same turn is not defined: on a slow machine all can be due at once.
#[test]
fn no_sleep_ends_early_and_a_dropped_timer_wakes_no_task() {
    let ended = RefCell::new(Vec::new());
    let (reactor, executor, start) = (reactor(), LocalExecutor::new(), Instant::now());
    let sleep = |ms: u64| {
        let ended = &ended;
        async move {
            reactor.sleep_until(start + Duration::from_millis(ms)).await;
            assert!(start.elapsed() >= Duration::from_millis(ms), "it slept its time");
            ended.borrow_mut().push(ms);
        }
    };
    let sleepers: Vec<_> = [30, 10, 20, 10].map(|ms| executor.spawn(sleep(ms))).into();
    let dropped = executor.spawn(sleep(5));
    drop(dropped);
    run(reactor, &executor, async {
        for sleeper in sleepers {
            sleeper.await;
        }
    });
    ended.borrow_mut().sort_unstable();
    assert_eq!(*ended.borrow(), [10, 10, 20, 30]);
}

#[test]
fn other_threads_wake_tasks() {
    let (reactor, executor) = (reactor(), LocalExecutor::new());
    let (sender, receiver) = async_channel::bounded(1);
    let others: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || (0..500).for_each(|n| sender.send_blocking(n).expect("it is received")))
        })
        .collect();
    drop(sender);
    let sum = run(reactor, &executor, async {
        let mut sum = 0;
        while let Ok(n) = receiver.recv().await {
            sum += n;
        }
        sum
    });
    assert_eq!(sum, 4 * 499 * 500 / 2);
    others.into_iter().for_each(|other| other.join().expect("it has sent all"));
}

/// No byte of the data is this one.
const URGENT: u8 = b'!';

/// What a peer of the stress test does with its connection.
fn misbehave(address: SocketAddr, seed: usize) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let bytes: Vec<u8> =
        (0..20_000_u32).map(|n| b'a' + u8::try_from(n * n % 23).expect("a letter")).collect();
    if seed.is_multiple_of(5) {
        // Gone before anybody has looked, with a reset where something was sent.
        let _ = stream.write(&bytes[..seed % 3]);
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("it is a socket");
        return;
    }
    let mut reader = stream.try_clone().expect("it is open");
    let expected = bytes.clone();
    let back = thread::spawn(move || {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("it is sent back");
        // An urgent byte that another one follows at once is left in the data.
        got.retain(|byte| *byte != URGENT);
        assert!(got == expected, "what comes back is what was sent");
    });
    let (mut left, mut size) = (&bytes[..], seed % 1_500 + 1);
    while !left.is_empty() {
        let (piece, rest) = left.split_at(size.min(left.len()));
        stream.write_all(piece).expect("it is read");
        if seed.is_multiple_of(3) {
            // An urgent byte parts the data.
            rustix::net::send(&stream, &[URGENT], rustix::net::SendFlags::OOB).expect("it is read");
        }
        if seed.is_multiple_of(7) {
            thread::yield_now();
        }
        left = rest;
        size = size * 7 % 3_001 + 1;
    }
    stream.shutdown(Shutdown::Write).expect("it is open");
    back.join().expect("all came back");
}

/// Sends back what comes, until the end.
async fn echo(mut stream: Watched<TcpStream>) {
    let mut bytes = [0; 700];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
}

/// Two hundred peers, twenty at once: partial reads and writes, both directions at once, half-closed, reset, with urgent
/// bytes, gone while they are ready; and descriptors that are used again and again.
#[test]
fn what_is_sent_comes_back_whatever_peers_do() {
    const PEERS: usize = 200;
    let served = Cell::new(0);
    let served = &served;
    let (reactor, executor) = (reactor(), LocalExecutor::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = reactor.watch(listener).expect("it can be watched");
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await.expect("a peer connects");
            let stream = reactor.watch(stream).expect("it can be watched");
            let serve = async move {
                echo(stream).await;
                served.set(served.get() + 1);
            };
            executor.spawn(serve).detach();
            reactor.next_turn().await;
        }
    };
    let peers = thread::spawn(move || {
        for round in 0..PEERS / 20 {
            let some = (0..20).map(|n| thread::spawn(move || misbehave(address, round * 20 + n)));
            let some: Vec<_> = some.collect();
            some.into_iter().for_each(|one| one.join().expect("it is right"));
        }
    });
    // The reset may be reported only after all peers have gone; a failure ends the test, too.
    let done = async {
        let mut looks_left = 1_000;
        while served.get() < PEERS && looks_left > 0 {
            looks_left -= u32::from(peers.is_finished());
            reactor.sleep_until(Instant::now() + Duration::from_millis(5)).await;
        }
    };
    run(reactor, &executor, future::or(accept, done));
    peers.join().expect("all came back");
    assert_eq!(
        (served.get(), reactor.sources.borrow().len()),
        (PEERS, 1),
        "all were served, and only the listener is left"
    );
}
