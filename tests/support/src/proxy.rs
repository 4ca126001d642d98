//! What can stand on an edge: passes lines between two nodes, or does to them what a bad network does.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use super::free_addresses;

/// What happens to one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One bit of a byte in its middle is another.
    FlipByte,
    /// It comes a second time.
    Replay,
    /// It does not come.
    Drop,
}

/// A listener that the dialling node takes for its neighbour.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    is_frozen: bool,
    is_split: bool,
    /// It passes bytes on as they come.
    is_secret: bool,
    /// For the next line of this end (0 is the dialler's) that begins so.
    fault: Option<(usize, &'static str, Fault)>,
    /// Connections that pass: the dialler's end and the acceptor's.
    pairs: Vec<Arc<[TcpStream; 2]>>,
    /// Connections whose acceptor does not know that the dialler has gone.
    half_open: Vec<Arc<[TcpStream; 2]>>,
    accepted: usize,
    /// All that the dialler and the other end have sent, each up to [`RECORD_BYTES_MAX`].
    records: [Vec<u8>; 2],
}

/// The most that is written down of a link.
const RECORD_BYTES_MAX: usize = 1 << 20;

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }
}

fn close(pair: &[TcpStream; 2]) {
    for stream in pair {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Proxy {
    /// A proxy that passes everything to this address.
    pub fn to(target: SocketAddr, is_secret: bool) -> Proxy {
        let listener = TcpListener::bind(free_addresses(1)[0]).expect("the port is held for it");
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(State { is_secret, ..State::default() }),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Proxy { address, shared }
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        state.is_cut = true;
        let state = &mut *state;
        for pair in state.pairs.drain(..).chain(state.half_open.drain(..)) {
            close(&pair);
        }
    }

    /// Passes nothing on, and closes nothing.
    pub fn freeze(&self) {
        self.shared.state().is_frozen = true;
    }

    /// Passes everything again.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.is_cut = false;
        state.is_frozen = false;
        self.shared.changed.notify_all();
    }

    /// Every byte is a write of its own from now on.
    pub fn split_every_byte(&self) {
        self.shared.state().is_split = true;
    }

    /// Ends the connections towards the dialler, and lets the acceptor believe that they are still there.
    pub fn half_open(&self) {
        let mut state = self.shared.state();
        let pairs = std::mem::take(&mut state.pairs);
        for pair in pairs {
            let _ = pair[0].shutdown(Shutdown::Both);
            state.half_open.push(pair);
        }
    }

    /// Does this to the next line that begins so, of the dialler or of the other end.
    pub fn harm_next(&self, of_dialler: bool, beginning: &'static str, fault: Fault) {
        self.shared.state().fault = Some((usize::from(!of_dialler), beginning, fault));
    }

    /// Whether the fault that was asked for has happened.
    pub fn has_harmed(&self) -> bool {
        self.shared.state().fault.is_none()
    }

    /// What the dialling node has sent, over all its connections.
    pub fn recorded(&self) -> Vec<u8> {
        self.shared.state().records[0].clone()
    }

    /// What both nodes have sent.
    pub fn capture(&self) -> Vec<u8> {
        self.shared.state().records.concat()
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
        self.heal();
        // The accepting thread wakes, sees that it has ended, and goes.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for dialler in listener.incoming() {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(dialler) = dialler else { continue };
        shared.state().accepted += 1;
        if shared.state().is_cut {
            continue;
        }
        let Ok(acceptor) = TcpStream::connect(shared.target) else { continue };
        let _ = dialler.set_nodelay(true);
        let _ = acceptor.set_nodelay(true);
        let pair = Arc::new([dialler, acceptor]);
        let mut state = shared.state();
        if state.is_cut {
            close(&pair);
            continue;
        }
        state.pairs.push(pair.clone());
        drop(state);
        for from in [0, 1] {
            let (shared, pair) = (shared.clone(), pair.clone());
            thread::spawn(move || pump(&shared, &pair, from));
        }
    }
}

/// The next line, or what has come of a secret link. Whether there was anything.
fn next(lines: &mut impl BufRead, is_secret: bool, line: &mut Vec<u8>) -> bool {
    if !is_secret {
        return lines.read_until(b'\n', line).is_ok_and(|count| count > 0);
    }
    line.extend_from_slice(lines.fill_buf().unwrap_or_default());
    lines.consume(line.len());
    !line.is_empty()
}

/// Passes lines one way until either end closes.
fn pump(shared: &Shared, pair: &Arc<[TcpStream; 2]>, from: usize) {
    let mut lines = BufReader::new(&pair[from]);
    let mut line = Vec::new();
    let is_secret = shared.state().is_secret;
    while next(&mut lines, is_secret, &mut line) {
        let fault = {
            let mut state = shared.state();
            while state.is_frozen {
                state = shared.changed.wait(state).expect("no thread panics with the lock");
            }
            let record = &mut state.records[from];
            if record.len() + line.len() <= RECORD_BYTES_MAX {
                record.extend_from_slice(&line);
            }
            let is_meant = |(end, beginning, _): &(usize, &str, Fault)| {
                *end == from && line.starts_with(beginning.as_bytes())
            };
            state.fault.take_if(|fault| is_meant(fault)).map(|(.., fault)| fault)
        };
        let copies = match fault {
            Some(Fault::Drop) => 0,
            Some(Fault::Replay) => 2,
            Some(Fault::FlipByte) => {
                let middle = line.len() / 2;
                line[middle] ^= 1;
                1
            }
            None => 1,
        };
        if (0..copies).any(|_| pass(shared, &pair[1 - from], &line).is_err()) {
            break;
        }
        line.clear();
    }
    let mut state = shared.state();
    let is_half_open = state.half_open.iter().any(|other| Arc::ptr_eq(other, pair));
    if !is_half_open {
        close(pair);
        state.pairs.retain(|other| !Arc::ptr_eq(other, pair));
    }
}

fn pass(shared: &Shared, mut to: &TcpStream, line: &[u8]) -> std::io::Result<()> {
    let piece = if shared.state().is_split { 1 } else { line.len().max(1) };
    line.chunks(piece).try_for_each(|bytes| to.write_all(bytes))
}
