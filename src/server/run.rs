//! Runs a node: its listeners, its timer, its messages to the service manager, and its signals.

use std::future::{Future, pending};
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use futures_lite::future;
use log::{error, info};

use super::control::Control;
use super::counters::Refused;
use super::limits::{LISTEN_BACKLOG, STATUS_FIRST_MS};
use super::listen::{is_in_use, listen};
use super::runtime::Signal;
use super::service::{CLIENTS, LINKS, PHONES};
use super::shared::{NodeRuntime, Server};
use super::tls::Tls;
use super::{NodeConfig, ReloadFn, RunError, client, control, http, links, phones, snapshot};
use crate::config::Endpoint;

/// How often a port is tried that a stored listener had, and the pause before each. A loaded machine has taken half a second.
const STORED_TRIES: u32 = 100;
const STORED_PAUSE_MS: u64 = 20;

/// Runs the node until SIGTERM, SIGINT, or, for a supervised node, the end of standard input. On SIGHUP the node
/// applies the plan that `reread` returns.
///
/// # Errors
/// [`RunError`]: a listener that could not be bound, say. Nothing is left running then.
///
/// # Panics
/// If it is called twice in one process: there is one node's memory.
pub fn run<R: NodeRuntime>(plan: NodeConfig, reread: ReloadFn) -> Result<(), RunError> {
    let server = Server::<R>::start_node(plan, reread)?;
    R::run(server, life(server)).map_err(|error| RunError::System { what: "the runtime", error })?
}

/// Runs the node from its listeners to its last snapshot.
async fn life<R: NodeRuntime>(server: &'static Server<R>) -> Result<(), RunError> {
    let (me, links, supervised) = {
        let plan = server.plan.borrow();
        (plan.nodes[plan.me].clone(), plan.listen, plan.supervised)
    };
    snapshot::keep(server).await;
    server.driver.take_snapshot();
    server.listen(Some(me.clients), Some(links)).await?;
    let stopped = until_stopped(server, supervised)?;
    server.start(keep_time(server));
    server.start(keep_told(server));
    server.start(keep_map(server));
    // Removed when the node stops.
    let _control = server.control(&me.name);
    server.start_tls()?;
    server.listen_http(me.http).await?;
    server.listen_phones(me.phones).await?;
    let clients = server.reachable(me.clients);
    info!("{} listens to clients on {clients} and to its neighbours on {links}", me.name);
    server.work();
    server.service.ready(server.driver.status());
    let why = stopped.await;
    server.service.stopping();
    snapshot::last(server).await;
    info!("{} stops: {why}", me.name);
    Ok(())
}

/// Handles signals until the node must stop. Returns the reason. Signals are blocked from this call on.
fn until_stopped<R: NodeRuntime>(
    server: &'static Server<R>,
    supervised: bool,
) -> Result<impl Future<Output = &'static str>, RunError> {
    let system = |what| move |error| RunError::System { what, error };
    let mut wanted = vec![Signal::Terminate, Signal::Interrupt];
    // On a terminal, SIGHUP means that the terminal is closed, and ends the node.
    if !io::stderr().is_terminal() {
        wanted.push(Signal::Reload);
    }
    let mut signals = server.runtime.signals(&wanted).map_err(system("signals"))?;
    let input = supervised.then(|| server.runtime.input_end()).transpose();
    let input = input.map_err(system("standard input"))?;
    let signalled = async move {
        loop {
            match R::next_signal(&mut signals).await {
                Some(Signal::Reload) => server.reload_wake.wake(),
                Some(Signal::Interrupt) => return "received SIGINT",
                Some(Signal::Terminate) | None => return "received SIGTERM",
            }
        }
    };
    let abandoned = async move {
        match input {
            Some(end) => end.await,
            None => pending().await,
        }
        "its supervisor has ended"
    };
    Ok(future::or(signalled, abandoned))
}

/// Ends an acceptor. Its listener is closed when this is done, where dropping the task leaves that to the
/// executor's next turn.
async fn end<R: NodeRuntime>(acceptor: Option<R::Task>) {
    if let Some(acceptor) = acceptor {
        R::end(acceptor).await;
    }
}

impl<R: NodeRuntime> Server<R> {
    /// A listener of this runtime. A stored listener of another configuration may hold its port, as 192.168.1.11:9001 does for
    /// `[::]:9001`; it goes first, and the service manager takes a moment for that. So does the address of before a reload that
    /// failed.
    async fn listener(
        &'static self,
        member: &'static str,
        address: SocketAddr,
    ) -> Result<R::TcpListener, RunError> {
        let mut listener = listen(&self.service, member, address);
        if is_in_use(&listener) && self.service.let_go(member, address.port()) {
            for _ in 0..STORED_TRIES {
                self.sleep_ms(STORED_PAUSE_MS).await;
                listener = listen(&self.service, member, address);
                if !is_in_use(&listener) {
                    break;
                }
            }
        }
        self.runtime.listen(listener?).map_err(|error| RunError::Bind { member, address, error })
    }

    /// Listens on these addresses instead of the old ones.
    async fn listen(
        &'static self,
        clients: Option<SocketAddr>,
        links: Option<SocketAddr>,
    ) -> Result<(), RunError> {
        if let Some(address) = clients {
            // The old one goes first: the new address may hold the old one, as 0.0.0.0 holds them all.
            let old = self.listeners.borrow_mut().clients.take();
            end::<R>(old).await;
            let listener = self.listener(CLIENTS, address).await?;
            let task = self.runtime.spawn(client::accept(self, listener));
            self.listeners.borrow_mut().clients = Some(task);
        }
        if let Some(address) = links {
            let old = self.listeners.borrow_mut().links.take();
            end::<R>(old).await;
            let listener = self.listener(LINKS, address).await?;
            let task = self.runtime.spawn(links::accept(self, listener));
            self.listeners.borrow_mut().links = Some(task);
        }
        Ok(())
    }

    /// Answers on this address over HTTP, instead of the one before, if on any.
    async fn listen_http(&'static self, address: Option<SocketAddr>) -> Result<(), RunError> {
        let old = self.listeners.borrow_mut().http.take();
        end::<R>(old).await;
        let Some(address) = address else { return Ok(()) };
        let member = "http";
        let listener = TcpListener::bind(address).and_then(|listener| {
            rustix::net::listen(&listener, LISTEN_BACKLOG)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, self.runtime.listen(listener)?))
        });
        let (bound, listener) = listener.map_err(|error| RunError::Bind { member, address, error })?;
        let name =
            self.driver.with_node(|node| String::from_utf8_lossy(node.names().name(node.me())).into_owned());
        let (address, scheme) = (self.reachable(address), self.scheme());
        if cfg!(feature = "page") {
            info!("{name} serves its page at {scheme}://{address}/ and its metrics at /metrics");
        } else {
            info!("{name} serves its metrics at {scheme}://{address}/metrics");
        }
        let task = self.runtime.spawn(http::serve(self, bound, listener));
        self.listeners.borrow_mut().http = Some(task);
        Ok(())
    }

    /// Takes reports of phones on this address, instead of the one before, if on any.
    async fn listen_phones(&'static self, address: Option<SocketAddr>) -> Result<(), RunError> {
        let old = self.listeners.borrow_mut().phones.take();
        if old.is_some() && address.is_none() {
            self.service.drop_stored(PHONES);
        }
        end::<R>(old).await;
        let Some(address) = address else { return Ok(()) };
        let listener = self.listener(PHONES, address).await?;
        // A program without the feature refuses the configuration, and leaves this out: the branch has to be here, behind the await.
        if cfg!(feature = "phones") {
            info!("phones report to {}://{}", self.scheme(), self.reachable(address));
            let task = self.runtime.spawn(phones::serve(self, listener));
            self.listeners.borrow_mut().phones = Some(task);
        }
        Ok(())
    }

    /// Reads the certificate of `http` and `phones`, if they speak TLS.
    fn start_tls(&self) -> Result<(), RunError> {
        let loaded = Tls::load(self.plan.borrow().settings.tls.as_ref(), None);
        self.tls.replace(
            loaded.map_err(|error| RunError::System {
                what: "tls",
                error: io::Error::other(error.to_string()),
            })?,
        );
        Ok(())
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_on() { "https" } else { "http" }
    }

    /// The address that other machines open: a wildcard becomes the host of this node's links.
    fn reachable(&self, address: SocketAddr) -> Endpoint {
        let plan = self.plan.borrow();
        plan.nodes[plan.me].links.reach(address)
    }

    /// Answers status requests from this board.
    fn control(&'static self, name: &str) -> Option<Control> {
        let (control, listener) = Control::listen(name)?;
        self.start(control::serve(self, self.runtime.listen_unix(listener).ok()?));
        Some(control)
    }

    /// Applies the configuration as it is now. On an error the old one stays in force.
    async fn reload(&'static self) -> Result<(), String> {
        let mut plan = (self.reread)()?;
        let certificate = Tls::load(plan.settings.tls.as_ref(), self.tls.in_use())
            .map_err(|error| format!("tls: {error}"))?;
        let old_certificate = self.tls.replace(certificate);
        let (old, new, old_links) = {
            let old = self.plan.borrow();
            (old.nodes[old.me].clone(), plan.nodes[plan.me].clone(), old.listen)
        };
        let clients = (old.clients != new.clients).then_some(new.clients);
        let links = (old_links != plan.listen).then_some(plan.listen);
        let mut listening = self.listen(clients, links).await.map_err(|error| error.to_string());
        if listening.is_ok() && old.http != new.http {
            listening = self.listen_http(new.http).await.map_err(|error| error.to_string());
        }
        if listening.is_ok() && old.phones != new.phones {
            listening = self.listen_phones(new.phones).await.map_err(|error| error.to_string());
        }
        let taken = listening.and_then(|()| self.driver.reload(&mut plan).map_err(|error| error.to_string()));
        if let Err(why) = taken {
            self.tls.replace(old_certificate);
            let mut back = vec![self.listen(clients.map(|_| old.clients), links.map(|_| old_links)).await];
            if old.http != new.http {
                back.push(self.listen_http(old.http).await);
            }
            if old.phones != new.phones {
                back.push(self.listen_phones(old.phones).await);
            }
            let lost = back.into_iter().filter_map(Result::err);
            return Err(lost.fold(why, |why, error| format!("{why}; and then {error}")));
        }
        let snapshots_stay = self.plan.borrow().settings.snapshot_s == plan.settings.snapshot_s;
        *self.plan.borrow_mut() = plan;
        self.generation.set(self.generation.get().wrapping_add(1));
        // Subscribers get the new configuration before any other event.
        self.events.renew();
        self.work();
        if !snapshots_stay {
            snapshot::keep(self).await;
        }
        Ok(())
    }
}

/// Calls the node when its timers are due.
async fn keep_time<R: NodeRuntime>(server: &'static Server<R>) {
    loop {
        let at = server.driver.wake_at();
        server.timer_at.set(at);
        let due = async {
            match server.driver.clock().instant(at) {
                Some(instant) => server.runtime.sleep_until(instant).await,
                None => pending().await,
            };
        };
        future::or(due, server.timer_wake.wait()).await;
        server.driver.tick();
        server.work();
    }
}

/// Sends the service manager the watchdog message and the status.
async fn keep_told<R: NodeRuntime>(server: &'static Server<R>) {
    let service = &server.service;
    let Some(every) = service.every() else { return };
    // Links come up within the first second, so the first message is early.
    let mut pause = every.min(Duration::from_millis(STATUS_FIRST_MS));
    loop {
        server.runtime.sleep_until(Instant::now() + pause).await;
        service.tick(server.driver.status());
        pause = every;
    }
}

/// Reloads the configuration on SIGHUP.
async fn keep_map<R: NodeRuntime>(server: &'static Server<R>) {
    let service = &server.service;
    loop {
        server.reload_wake.wait().await;
        service.reloading();
        if let Err(why) = server.reload().await {
            server.driver.count(Refused::Reload);
            error!("reload failed, the old configuration stays in force: {why}");
        }
        service.ready(server.driver.status());
    }
}
