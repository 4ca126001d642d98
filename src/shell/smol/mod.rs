//! The half of the shell that waits: one thread, one executor, one owner of the node.
//!
//! `smol::LocalExecutor` is all that is used of smol itself: `smol::spawn` would start a thread. Every
//! task is one of a short list: two acceptors, a timer, a task a client, a task a link, a task a
//! dial. The root future only waits for the signal to stop, because the root is polled at every wake.
//!
//! Invariant: no borrow of the node or of the shared buffers is held over an `.await`.

mod clients;
mod links;
mod signal;
mod wake;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use async_io::Timer;
use async_net::TcpListener;
use futures_lite::future;
use log::{info, warn};
use smol::LocalExecutor;
use static_cell::ConstStaticCell;

use super::budget::Budget;
use super::driver::{Driver, Memory, Work};
use super::limits::{CLIENTS_MAX, DESCRIPTORS_BESIDE_CLIENTS, LISTEN_BACKLOG, UNREAD_BYTES_MAX};
use super::{Plan, RunError};
use crate::proto::time::Mono;
use clients::Clients;
use links::Links;
use wake::Wake;

/// The node's memory: all zero, so it is no part of the program file, and resident only as touched.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

/// Everything that the tasks share. It lives as long as the process.
struct Shell {
    driver: Driver,
    plan: Plan,
    executor: LocalExecutor<'static>,
    clients: RefCell<Clients>,
    links: RefCell<Links>,
    /// Answers that clients have not read yet.
    unread: Budget,
    /// When the timer task wakes next, and what wakes it before that.
    timer_at: Cell<Mono>,
    timer_wake: Wake,
}

/// Runs the node until it is told to stop: by SIGTERM, SIGINT, or the end of standard input where the
/// plan says that it is supervised.
///
/// # Errors
/// [`RunError`]: a listener that could not be bound, say. Nothing is left running then.
///
/// # Panics
/// If it is called twice in one process: there is one node's memory.
pub fn run(plan: Plan) -> Result<(), RunError> {
    let clients_max = raise_descriptor_limit();
    let driver = Driver::start(MEMORY.take(), &plan)?;
    let me = plan.nodes[plan.me].clone();
    let supervised = plan.supervised;
    let shell: &'static Shell = Box::leak(Box::new(Shell {
        driver,
        plan,
        executor: LocalExecutor::new(),
        clients: RefCell::new(Clients::new(clients_max)),
        links: RefCell::new(Links::default()),
        unread: Budget::new(UNREAD_BYTES_MAX),
        timer_at: Cell::new(Mono::NEVER),
        timer_wake: Wake::default(),
    }));
    async_io::block_on(shell.executor.run(async {
        let clients = listen("clients", me.clients).await?;
        let links = listen("links", me.links).await?;
        let stop = signal::Stop::new(supervised)?;
        shell.executor.spawn(clients::accept(shell, clients)).detach();
        shell.executor.spawn(links::accept(shell, links)).detach();
        shell.executor.spawn(keep_time(shell)).detach();
        info!("{} listens to clients on {} and to its neighbours on {}", me.name, me.clients, me.links);
        shell.work();
        let why = stop.wait().await;
        info!("{} stops: {why}", me.name);
        Ok(())
    }))
}

async fn listen(member: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| RunError::Bind { member, address, error })?;
    // std listens with a backlog of 128; to listen again changes nothing but that (listen(2)).
    if let Err(error) = rustix::net::listen(&listener, LISTEN_BACKLOG) {
        warn!("{member}: the listen backlog stays at 128: {error}");
    }
    Ok(listener)
}

/// Asks for a descriptor a client; gives how many clients there is room for.
///
/// Service managers start programs with a soft limit of 1024 for the sake of `select`, which nothing
/// here uses.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = CLIENTS_MAX as u64 + DESCRIPTORS_BESIDE_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    let granted =
        limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(limit.current.unwrap_or(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum: limit.maximum });
    let descriptors = if raised.is_ok() { granted } else { limit.current.unwrap_or(wanted) };
    let clients = descriptors.saturating_sub(DESCRIPTORS_BESIDE_CLIENTS).max(1);
    let clients = usize::try_from(clients).unwrap_or(CLIENTS_MAX).min(CLIENTS_MAX);
    if clients < CLIENTS_MAX {
        warn!(
            "{descriptors} descriptors are allowed, so at most {clients} clients: raise LimitNOFILE for {CLIENTS_MAX}"
        );
    }
    clients
}

impl Shell {
    /// Carries out what the node has decided about links, and keeps the timer right.
    fn work(&'static self) {
        while let Some(work) = self.driver.take_work() {
            match work {
                Work::Cut(id) => self.links.borrow_mut().close(id),
                Work::Dial(node) => self.executor.spawn(links::dial(self, node)).detach(),
                Work::Wake(wakes) => self.links.borrow().wake(wakes),
            }
        }
        if self.driver.wake_at() < self.timer_at.get() {
            self.timer_wake.wake();
        }
    }
}

/// Calls the node when the clock says so; wakes for nothing else.
async fn keep_time(shell: &'static Shell) {
    loop {
        let at = shell.driver.wake_at();
        shell.timer_at.set(at);
        let due = async {
            match shell.driver.clock().instant(at) {
                Some(instant) => Timer::at(instant).await,
                None => future::pending().await,
            };
        };
        future::or(due, shell.timer_wake.wait()).await;
        shell.driver.tick();
        shell.work();
    }
}
