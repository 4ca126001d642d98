//! The crowds: each does one thing to one node, as fast as its core lets it, and says how often it did it.
//!
//! They run in a process of their own ([`run`] is its whole life), so that their memory and time are not the honest client's.
//! None expects anything of the node; what it does to them is what the bench is about.

#[path = "phones.rs"]
mod phones;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use herd_test_support::Dice;
pub(crate) use phones::{PHONE_ATTACKS, start_tls};

/// What a crowd does, and in the words of the table.
pub(crate) const ATTACKS: [(&str, &str, &str); 10] = [
    ("fuzz-clients", "fuzzed lines, client port", "lines"),
    ("fuzz-links", "garbage and forged lines, link port", "lines"),
    ("flood-clients", "connections, client port", "connections"),
    ("flood-links", "connections held, link port", "connections"),
    ("slow-readers", "clients that never read", "lines"),
    ("slow-writers", "clients that send a byte at a time", "bytes"),
    ("new-ids", "IAMATs, each of a new id", "lines"),
    ("plain-ids", "IAMATs, 8,192 ids", "lines"),
    ("fnv-ids", "IAMATs, 8,192 ids of one FNV-1a slot", "lines"),
    ("one-client", "IAMATs of one client, no pause", "lines"),
];

const LINES: u64 = 1_000_000;
const CONNECTIONS: u64 = 50_000;
/// Busy connections of a crowd. Each gets its turn, so an honest client waits for so many turns of others.
const BUSY: u64 = 8;
/// A node admits 4,096; some are left for the honest one.
const HELD: usize = 4_000;
/// Connections to the link port that say nothing.
const LINKS_HELD: usize = 1_500;
const HOLD: Duration = Duration::from_secs(8);
const IDS: usize = 8192;
/// Lines that go to the node in one piece, and are then read back.
const PIECE_LINES: usize = 64;
/// So many of the clients that never read send a piece each millisecond: half of what a node can do.
const READERS_A_MS: usize = 16;
/// Lines of a connection to the link port: it is cut after the first few.
const LINK_LINES: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the node is.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) clients: SocketAddr,
    pub(crate) links: SocketAddr,
    pub(crate) phones: SocketAddr,
}

/// Carries an attack out; gives how much of it there was. `None` if there is none of that name.
pub(crate) fn run(name: &str, at: Target) -> Option<u64> {
    Some(match name {
        "fuzz-clients" => {
            side_by_side(BUSY, |dice| talk(at.clients, LINES / BUSY, |_, text| fuzzed(dice, text)))
        }
        "fuzz-links" => side_by_side(BUSY, |dice| forge(at.links, LINES / BUSY, dice)),
        "flood-clients" => side_by_side(BUSY, |_| flood(at.clients, CONNECTIONS / BUSY)),
        "flood-links" => hold(at.links, LINKS_HELD, b""),
        "slow-readers" => slow_readers(at.clients),
        "slow-writers" => slow_writers(at.clients),
        "new-ids" => side_by_side(BUSY, |dice| {
            let crowd = dice.roll();
            talk(at.clients, LINES / BUSY, |n, text| iamat(text, format_args!("{crowd:x}-{n}"), n))
        }),
        "plain-ids" => cycle(at, &ids(|_| true)),
        "fnv-ids" => cycle(at, &ids(|id| fnv_1a(id).is_multiple_of(IDS as u64))),
        "one-client" => talk(at.clients, LINES, |n, text| iamat(text, format_args!("{}", n % 1000), n)),
        _ => return phones::run(name, at.phones),
    })
}

/// The same on as many threads, each with dice of its own; gives the sum.
fn side_by_side(count: u64, attack: impl Fn(&mut Dice) -> u64 + Sync) -> u64 {
    std::thread::scope(|scope| {
        let attack = &attack;
        let all: Vec<_> = (1..=count).map(|n| scope.spawn(move || attack(&mut Dice::new(n)))).collect();
        all.into_iter().map(|one| one.join().expect("an attack does not panic")).sum()
    })
}

/// Lines in pieces on one connection. The client reads the answers, because a node does not read from one that does not.
fn talk(at: SocketAddr, lines: u64, mut line: impl FnMut(u64, &mut Vec<u8>)) -> u64 {
    let mut stream = connect(at);
    let (mut text, mut answer) = (Vec::new(), vec![0; 1 << 16]);
    let mut sent = 0;
    while sent < lines {
        text.clear();
        let from = sent;
        while sent < lines && sent - from < PIECE_LINES as u64 {
            line(sent, &mut text);
            sent += 1;
        }
        stream.write_all(&text).expect("the node reads");
        let mut pending = text.iter().filter(|byte| **byte == b'\n').count();
        while pending > 0 {
            let count = stream.read(&mut answer).expect("the node answers");
            assert!(count > 0, "the node closed a client that reads its answers");
            pending = pending.saturating_sub(answer[..count].iter().filter(|byte| **byte == b'\n').count());
        }
    }
    sent
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).expect("the node lets clients in");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.set_nodelay(true).expect("a TCP option");
    stream
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An update of now, later the larger `n` is.
fn iamat(text: &mut Vec<u8>, id: std::fmt::Arguments, n: u64) {
    let _ = writeln!(text, "IAMAT client-{id} +34.068930-118.445127 {}.{n:09}", now_s());
}

/// A line of random bytes, a command with some bytes changed, a blank one, a very long one.
fn fuzzed(dice: &mut Dice, text: &mut Vec<u8>) {
    let from = text.len();
    match dice.below(64) {
        0..=15 => (0..dice.below(100)).for_each(|_| text.push(dice.roll().to_be_bytes()[0])),
        16..=23 => {}
        24 => text.resize(from + 1_000 + dice.below(3_000), b'x'),
        kind => {
            let valid: &[u8] = if kind % 2 == 0 {
                b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503"
            } else {
                b"WHATSAT unknown.cs.ucla.edu 10 5"
            };
            text.extend(valid);
            for _ in 0..1 + dice.below(4) {
                let at = from + dice.below(valid.len());
                text[at] = dice.roll().to_be_bytes()[0];
            }
        }
    }
    // One line is one answer, so that the crowd knows what to wait for; WHATSATs of known clients are others' matter.
    for byte in &mut text[from..] {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }
    text.push(b'\n');
}

/// Connections to the link port: garbage, or a hello of a neighbour with a proof and updates that are forged.
fn forge(at: SocketAddr, lines: u64, dice: &mut Dice) -> u64 {
    let mut sent = 0;
    let mut text = Vec::new();
    while sent < lines {
        text.clear();
        if dice.below(2) == 0 {
            let _ = write!(text, "HELLO 1 Smith 7 4096 {:032x}\nPROOF {:064x}\n", dice.roll(), dice.roll());
        }
        for n in 0..LINK_LINES {
            if dice.below(2) == 0 {
                fuzzed(dice, &mut text);
            } else {
                let _ =
                    writeln!(text, "U 1 AT Smith +0.1 forged-{n} +1-1 {}.5 ~{:016x}", now_s(), dice.roll());
            }
        }
        sent += LINK_LINES;
        let Ok(mut stream) = TcpStream::connect(at) else { continue };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.write_all(&text);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    sent
}

/// Connections that come and go.
fn flood(at: SocketAddr, count: u64) -> u64 {
    (0..count).filter(|_| TcpStream::connect(at).is_ok()).count() as u64
}

/// Connections that say this and stay, always as many; the oldest makes way for the next.
fn hold(at: SocketAddr, open_max: usize, request: &[u8]) -> u64 {
    let (begin, mut open, mut count) = (Instant::now(), VecDeque::new(), 0);
    while begin.elapsed() < HOLD {
        if let Ok(mut stream) = TcpStream::connect_timeout(&at, Duration::from_millis(50)) {
            let _ = stream.write_all(request);
            open.push_back(stream);
            count += 1;
        }
        if open.len() > open_max {
            open.pop_front();
        }
    }
    count
}

fn crowd(at: SocketAddr) -> Vec<TcpStream> {
    let crowd: Vec<TcpStream> = (0..HELD).map(|_| connect(at)).collect();
    crowd.iter().for_each(|stream| stream.set_nonblocking(true).expect("a socket's option"));
    crowd
}

/// All send for as long as they may, and none reads.
fn slow_readers(at: SocketAddr) -> u64 {
    let mut crowd = crowd(at);
    let mut text = Vec::new();
    (0..PIECE_LINES as u64).for_each(|n| iamat(&mut text, format_args!("unread-{n}"), n));
    let (begin, mut sent) = (Instant::now(), 0);
    while begin.elapsed() < HOLD {
        for some in crowd.chunks_mut(READERS_A_MS) {
            for stream in some {
                if let Ok(count) = stream.write(&text) {
                    sent += (count * PIECE_LINES / text.len()) as u64;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    sent
}

/// All send a line, a byte each at a time.
fn slow_writers(at: SocketAddr) -> u64 {
    let mut crowd = crowd(at);
    let mut line = Vec::new();
    iamat(&mut line, format_args!("slow"), 1);
    let (begin, mut sent) = (Instant::now(), 0);
    for byte in line.iter().cycle() {
        for stream in &mut crowd {
            match stream.write(&[*byte]) {
                Ok(count) => sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The node may close it; the others go on.
                Err(_) => {}
            }
            if begin.elapsed() > HOLD {
                return sent;
            }
        }
        if *byte == b'\n' {
            crowd.iter_mut().for_each(|stream| drop(stream.read(&mut [0; 256])));
        }
    }
    sent
}

/// Ids that fit.
fn ids(fits: impl Fn(&[u8]) -> bool) -> Vec<String> {
    (0_u64..).map(|n| format!("client-{n:x}")).filter(|id| fits(id.as_bytes())).take(IDS).collect()
}

/// The hash that a table without a key would use, and a stranger could compute.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Updates of these ids in turn, always newer.
fn cycle(at: Target, ids: &[String]) -> u64 {
    side_by_side(BUSY, |_| {
        talk(at.clients, LINES / BUSY, |n, text| {
            let id = &ids[usize::try_from(n).unwrap_or(0) % ids.len()];
            let _ = writeln!(text, "IAMAT {id} +34.068930-118.445127 {}.{n:09}", now_s());
        })
    })
}
