//! Connections between nodes, on tokio: the same as `herd::shell::smol` does, with `readable` and `try_read`.

use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use herd::proto::limits::SESSIONS_MAX;
use herd::proto::names::NodeId;
use herd::proto::node::SessionId;
use herd::proto::out::Out;
use herd::shell::limits::{ACCEPT_PAUSE_MS, CONNECT_MS_MAX, LINK_SEND_BUFFER_BYTES};
use herd::shell::wake::Wake;
use log::{debug, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until, timeout};

use crate::node::Shell;
use crate::task::Task;

/// The link connections there are, by the number of their session.
#[derive(Default)]
pub(crate) struct Links {
    slots: [Option<Slot>; SESSIONS_MAX],
}

struct Slot {
    id: SessionId,
    writer: Rc<Wake>,
    /// Dropping the task closes its socket.
    _task: Task,
}

impl Links {
    /// Closes a connection that the node has ended.
    pub(crate) fn close(&mut self, id: SessionId) {
        let slot = &mut self.slots[usize::from(id.index)];
        if slot.as_ref().is_some_and(|slot| slot.id == id) {
            *slot = None;
        }
    }

    /// Wakes the writers of the sessions whose bits are set.
    pub(crate) fn wake(&self, wakes: u32) {
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
pub(crate) async fn accept(shell: &'static Shell, listener: TcpListener) {
    loop {
        if let Some(instant) = shell.driver.clock().instant(shell.driver.accept_at())
            && instant > Instant::now()
        {
            sleep_until(instant.into()).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                debug!("a link connection from {peer}");
                start(shell, stream, None);
                // Those who came before have their turn before the next one: a crowd that waits to be
                // accepted must not push out whoever has not even been read from.
                yield_now().await;
            }
            Err(error) => {
                shell.driver.accept_failed("links", &error);
                shell.warned();
                sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// Dials a neighbour once.
pub(crate) async fn dial(shell: &'static Shell, node: NodeId) {
    let generation = shell.generation.get();
    let address = shell.plan.borrow().nodes[node.index()].links;
    if address.ip().is_unspecified() {
        // It listens on every address of its board, and nobody says which: it has to dial.
        shell.driver.dial_failed(node, &"the map does not say where it listens");
        shell.work();
        return;
    }
    let connecting = timeout(Duration::from_millis(CONNECT_MS_MAX), TcpStream::connect(address));
    let connected =
        connecting.await.unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "no answer")));
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
fn start(shell: &'static Shell, stream: TcpStream, dialled: Option<NodeId>) {
    let _ = stream.set_nodelay(true);
    // Best effort: with a larger buffer reports are a little older when they arrive, and that is all.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, LINK_SEND_BUFFER_BYTES);
    let peer = stream.peer_addr().ok().map(|peer| peer.ip());
    match shell.driver.open_link(dialled, peer) {
        Ok(None) => debug!("a dialled connection is closed: the link came up meanwhile"),
        Ok(Some(id)) => {
            // An old connection may have had to make way for this one.
            shell.work();
            let writer = Rc::new(Wake::default());
            writer.wake();
            let task = Task::start(serve(shell, stream, id, writer.clone()));
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

async fn serve(shell: &'static Shell, stream: TcpStream, id: SessionId, writer: Rc<Wake>) {
    let ended = or(read_lines(shell, &stream, id), write_lines(shell, &stream, id, &writer)).await;
    shell.driver.link_closed(id, &ended);
    shell.work();
    shell.links.borrow_mut().close(id);
}

async fn read_lines(shell: &'static Shell, stream: &TcpStream, id: SessionId) -> Ended {
    let mut rest: Box<[u8]> = Box::default();
    loop {
        if let Err(error) = stream.readable().await {
            return Ended::ByError(error);
        }
        match read_turn(shell, stream, id, &mut rest) {
            Ok(true) => shell.work(),
            Ok(false) => return Ended::ByPeer,
            Err(error) => return Ended::ByError(error),
        }
    }
}

/// Reads once and works off whole lines; `false` at the end of input.
fn read_turn(shell: &Shell, stream: &TcpStream, id: SessionId, rest: &mut Box<[u8]>) -> io::Result<bool> {
    let mut buffers = shell.driver.buffers();
    let held = rest.len();
    buffers.input[..held].copy_from_slice(rest);
    match stream.try_read(&mut buffers.input[held..]) {
        Ok(0) => Ok(false),
        Ok(read) => {
            let input = &buffers.input[..held + read];
            let done = shell.driver.link_input(id, input);
            // A part that is longer than any line belongs to a connection that was just cut.
            let keep = shell.driver.is_open(id);
            *rest = if keep { input[done..].into() } else { Box::default() };
            Ok(true)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn write_lines(shell: &'static Shell, stream: &TcpStream, id: SessionId, writer: &Wake) -> Ended {
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
                if let Err(error) = stream.writable().await {
                    return Ended::ByError(error);
                }
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
    stream: &TcpStream,
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

fn write_some(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
