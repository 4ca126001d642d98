//! A node's clients on bare epoll, edge-triggered, one thread: the least that the same core, driver and protocol cost.
//!
//! It is there to be measured beside the node, and shows what of the node's figures is a runtime's. What it leaves out, and
//! a node could not: links, places, timers, signals to stop, room for newcomers when it is full, waiting for a client that
//! does not read (it is closed). A WHATSAT for no places is answered; one for places is answered with none.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::ExitCode;

use herd::proto::out::Out;
use herd::server::client::{Client, whatsat_answer};
use herd::server::driver::{Driver, Memory};
use herd::server::listen::{listen, raise_descriptor_limit};
use herd::server::service::{CLIENTS, Service};
use herd::server::{NodeConfig, ReloadFn, RunError};
use rustix::event::epoll::{self, EventData, EventFlags};
use slab::Slab;

static MEMORY: static_cell::ConstStaticCell<Memory> = static_cell::ConstStaticCell::new(Memory::new());

/// Events that are taken from the kernel at once.
const EVENTS: usize = 64;
const LISTENER: u64 = u64::MAX;
/// After these a read that leaves room does not prove that the end is not behind it.
const UNSURE: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

struct Connection {
    stream: TcpStream,
    client: Client,
}

fn main() -> ExitCode {
    herd::cli::run(std::env::args_os().skip(1), run)
}

fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> RunError {
    move |error| RunError::System { what, error: error.into() }
}

fn run(mut plan: NodeConfig, _reread: ReloadFn) -> Result<(), RunError> {
    let _ = raise_descriptor_limit();
    let driver = Driver::start(MEMORY.take(), &mut plan)?;
    let service = Service::of_this_process();
    let listener = listen(&service, CLIENTS, plan.nodes[plan.me].clients)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("epoll"))?;
    let edge = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), edge).map_err(system("epoll"))?;
    let connections = RefCell::new(Slab::<Connection>::new());
    let mut events = [MaybeUninit::uninit(); EVENTS];
    loop {
        let (ready, _) = epoll::wait(&poll, &mut events, None).map_err(system("epoll"))?;
        for event in ready {
            match event.data.u64() {
                LISTENER => accept(&listener, |stream, peer| {
                    let mut connections = connections.borrow_mut();
                    let entry = connections.vacant_entry();
                    let key = EventData::new_u64(entry.key() as u64);
                    // One that cannot be watched is closed.
                    if epoll::add(&poll, &stream, key, edge).is_ok() {
                        entry.insert(Connection {
                            stream,
                            client: Client::of(driver.quota_key(peer), driver.lane(peer)),
                        });
                    }
                }),
                key => {
                    let key = usize::try_from(key).expect("a key of the slab");
                    let flags = event.flags;
                    let is_unsure = flags.intersects(UNSURE);
                    let open = serve(&driver, &mut connections.borrow_mut()[key], is_unsure);
                    if open.is_none() {
                        connections.borrow_mut().remove(key);
                    }
                }
            }
        }
    }
}

/// Takes in all that wait.
fn accept(listener: &TcpListener, mut begin: impl FnMut(TcpStream, IpAddr)) {
    while let Ok((stream, peer)) = listener.accept() {
        let _ = stream.set_nodelay(true);
        if stream.set_nonblocking(true).is_ok() {
            begin(stream, peer.ip());
        }
    }
}

/// Reads until nothing is left, and answers; `None` when the connection is to be closed.
fn serve(driver: &Driver, connection: &mut Connection, is_unsure: bool) -> Option<()> {
    let Connection { stream, client } = connection;
    loop {
        let query = {
            let mut buffers = driver.buffers();
            let buffers = &mut *buffers;
            let mut len = client.rest.len();
            buffers.input[..len].copy_from_slice(&client.rest);
            let room = buffers.input.len() - len;
            let mut short = false;
            if !client.backlog && !client.ended {
                match stream.read(&mut buffers.input[len..]) {
                    Ok(0) => client.ended = true,
                    Ok(read) => {
                        len += read;
                        // Less than there was room for: the next edge says when there is more.
                        short = read < room && !is_unsure;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                    Err(_) => return None,
                }
            }
            let mut output = Out::new(&mut buffers.output[..]);
            let (done, query) = driver.client_input(client, &buffers.input[..len], &mut output);
            client.rest = if done == len { Box::default() } else { buffers.input[done..len].into() };
            stream.write_all(output.written()).ok()?;
            if query.is_none() && !client.backlog {
                if client.ended {
                    return None;
                }
                if short {
                    return Some(());
                }
            }
            query
        };
        if let Some(query) = query {
            let nothing = br#"{"html_attributions":[],"results":[],"status":"ZERO_RESULTS"}"#;
            stream.write_all(&whatsat_answer(&query, &nothing.to_vec().into())).ok()?;
        }
    }
}
