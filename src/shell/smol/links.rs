//! Connections between nodes: accept, dial, read lines, pull lines.
//!
//! Lines are pulled from the node only when the socket has taken the ones before, so a slow link gets
//! the newest state of an entry and costs no memory. The core says when a connection must end.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Instant;

use futures_lite::future::{or, poll_fn, yield_now};
use log::{debug, warn};
use smol::Task;

use super::Shell;
use super::watched::{For, Watched};
use crate::proto::limits::SESSIONS_MAX;
use crate::proto::names::NodeId;
use crate::proto::node::SessionId;
use crate::proto::out::Out;
use crate::shell::limits::{ACCEPT_PAUSE_MS, CONNECT_MS_MAX, LINK_SEND_BUFFER_BYTES};
use crate::shell::wake::Wake;

/// The link connections there are, by the number of their session.
#[derive(Default)]
pub(super) struct Links {
    slots: [Option<Slot>; SESSIONS_MAX],
}

struct Slot {
    id: SessionId,
    writer: Rc<Wake>,
    /// Dropping the task closes its socket.
    _task: Task<()>,
}

impl Links {
    /// Closes a connection that the node has ended.
    pub(super) fn close(&mut self, id: SessionId) {
        let slot = &mut self.slots[usize::from(id.index)];
        if slot.as_ref().is_some_and(|slot| slot.id == id) {
            *slot = None;
        }
    }

    /// Wakes the writers of the sessions whose bits are set.
    pub(super) fn wake(&self, wakes: u32) {
        if wakes == 0 {
            return;
        }
        for (i, slot) in self.slots.iter().enumerate() {
            if let Some(slot) = slot
                && wakes & (1 << i) != 0
            {
                slot.writer.wake();
            }
        }
    }
}

/// Accepts neighbours, and whoever else knocks, for ever.
pub(super) async fn accept(shell: &'static Shell, listener: Watched<TcpListener>) {
    loop {
        if let Some(instant) = shell.driver.clock().instant(shell.driver.accept_at())
            && instant > Instant::now()
        {
            shell.reactor.sleep_until(instant).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                debug!("a link connection from {peer}");
                // One that cannot be watched is closed.
                if let Ok(stream) = shell.reactor.watch(stream) {
                    start(shell, stream, None);
                }
                // Those who came before have their turn before the next one: a crowd that waits to be
                // accepted must not push out whoever has not even been read from.
                shell.reactor.next_turn().await;
            }
            Err(error) => {
                shell.accept_failed("links", &error);
                shell.reactor.sleep_ms(ACCEPT_PAUSE_MS).await;
            }
        }
    }
}

/// Dials a neighbour once.
pub(super) async fn dial(shell: &'static Shell, node: NodeId) {
    let generation = shell.generation.get();
    let address = shell.plan.borrow().nodes[node.index()].links;
    if address.ip().is_unspecified() {
        // It listens on every address of its board, and nobody says which: it has to dial.
        shell.driver.dial_failed(node, &"the map does not say where it listens");
        shell.work();
        return;
    }
    let in_time = async {
        shell.reactor.sleep_ms(CONNECT_MS_MAX).await;
        Err(io::Error::new(ErrorKind::TimedOut, "no answer"))
    };
    let connected = or(shell.reactor.connect(address), in_time).await;
    if shell.generation.get() != generation {
        // The map was read again meanwhile: the number is another node's now, or none's.
        return;
    }
    match connected {
        Ok(stream) => start(shell, stream, Some(node)),
        Err(error) => {
            shell.driver.dial_failed(node, &error);
            shell.work();
        }
    }
}

/// Hands a connection to the node and gives it a task.
fn start(shell: &'static Shell, stream: Watched<TcpStream>, dialled: Option<NodeId>) {
    let _ = stream.get().set_nodelay(true);
    // Best effort: with a larger buffer reports are a little older when they arrive, and that is all.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream.get(), LINK_SEND_BUFFER_BYTES);
    let peer = stream.get().peer_addr().ok().map(|peer| peer.ip());
    match shell.driver.open_link(dialled, peer) {
        Ok(None) => debug!("a dialled connection is closed: the link came up meanwhile"),
        Ok(Some(id)) => {
            // An old connection may have had to make way for this one.
            shell.work();
            let writer = Rc::new(Wake::default());
            writer.wake();
            let task = shell.spawn(serve(shell, stream, id, writer.clone()));
            shell.links.borrow_mut().slots[usize::from(id.index)] = Some(Slot { id, writer, _task: task });
        }
        Err(error) => {
            warn!("a link could not be opened: {error}");
            if let Some(node) = dialled {
                shell.driver.dial_failed(node, &error);
            }
            shell.work();
        }
    }
}

/// Why a connection ended without the core's doing.
enum Ended {
    ByPeer,
    ByError(io::Error),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ended::ByPeer => f.write_str("the other end closed it"),
            Ended::ByError(error) => write!(f, "{error}"),
        }
    }
}

async fn serve(shell: &'static Shell, stream: Watched<TcpStream>, id: SessionId, writer: Rc<Wake>) {
    let ended = or(read_lines(shell, &stream, id), write_lines(shell, &stream, id, &writer)).await;
    shell.driver.link_closed(id, &ended);
    shell.work();
    shell.links.borrow_mut().close(id);
}

async fn read_lines(shell: &'static Shell, stream: &Watched<TcpStream>, id: SessionId) -> Ended {
    let mut rest: Box<[u8]> = Box::default();
    loop {
        poll_fn(|context| stream.poll_ready(For::Reading, context)).await;
        match read_turn(shell, stream, id, &mut rest) {
            Ok(true) => {
                shell.work();
                if stream.is_ready(For::Reading) {
                    // A neighbour that always has more must not hold up the others.
                    yield_now().await;
                }
            }
            Ok(false) => return Ended::ByPeer,
            Err(error) => return Ended::ByError(error),
        }
    }
}

/// Reads once and works off whole lines; `false` at the end of input.
fn read_turn(
    shell: &Shell,
    stream: &Watched<TcpStream>,
    id: SessionId,
    rest: &mut Box<[u8]>,
) -> io::Result<bool> {
    let mut buffers = shell.driver.buffers();
    let held = rest.len();
    buffers.input[..held].copy_from_slice(rest);
    let room = buffers.input.len() - held;
    match stream.get().read(&mut buffers.input[held..]) {
        Ok(0) => Ok(false),
        Ok(read) => {
            if read < room {
                stream.was_drained();
            }
            let input = &buffers.input[..held + read];
            let done = shell.driver.link_input(id, input);
            // A part that is longer than any line belongs to a connection that was just cut.
            let keep = shell.driver.is_open(id);
            *rest = if keep { input[done..].into() } else { Box::default() };
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            stream.clear(For::Reading);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

async fn write_lines(
    shell: &'static Shell,
    stream: &Watched<TcpStream>,
    id: SessionId,
    writer: &Wake,
) -> Ended {
    let mut unwritten: Box<[u8]> = Box::default();
    loop {
        match write_turn(shell, stream, id, &mut unwritten) {
            Ok(Turn::Again) => {}
            Ok(Turn::Idle) => {
                // What was sent may have moved the time of the next ping or digest.
                shell.work();
                writer.wait().await;
            }
            Ok(Turn::Full) => {
                poll_fn(|context| stream.poll_ready(For::Writing, context)).await;
            }
            Err(error) => return Ended::ByError(error),
        }
    }
}

enum Turn {
    /// There may be more to pull.
    Again,
    /// There is nothing to pull.
    Idle,
    /// The socket takes no more for now.
    Full,
}

/// Writes what was left, or else pulls lines and writes them in one piece.
fn write_turn(
    shell: &Shell,
    stream: &Watched<TcpStream>,
    id: SessionId,
    unwritten: &mut Box<[u8]>,
) -> io::Result<Turn> {
    if !unwritten.is_empty() {
        let written = write_some(stream, unwritten)?;
        *unwritten = unwritten[written..].into();
        return Ok(if unwritten.is_empty() { Turn::Again } else { Turn::Full });
    }
    let mut buffers = shell.driver.buffers();
    let mut output = Out::new(&mut buffers.output[..]);
    shell.driver.pull_link(id, &mut output);
    if output.is_empty() {
        return Ok(Turn::Idle);
    }
    let written = write_some(stream, output.written())?;
    *unwritten = output.written()[written..].into();
    Ok(if unwritten.is_empty() { Turn::Again } else { Turn::Full })
}

fn write_some(stream: &Watched<TcpStream>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.get().write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.clear(For::Writing);
                return Ok(0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
