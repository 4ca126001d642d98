//! Asks the herd: the waiting of an [`Inquiry`].

use std::io;
use std::time::{Duration, Instant};

use super::{INQUIRY_MS_MAX, Inquiry, LOOK_EVERY_MS, ROUND_EVERY_MS, ROUND_MS_MIN};
use crate::proto::census::Sum;
use crate::proto::facts::Version;
use crate::proto::limits::CENSUS_HOP_MS;
use crate::server::RunError;
use crate::server::control::Request;
use crate::server::driver::Driver;
use crate::server::random::random_words;
use crate::server::shared::{NodeRuntime, Server};
use crate::server::status::private_kb;

/// Asks the herd, round after round, until it is in sync or the time is over. One round lists the nodes.
pub(crate) async fn herd_answer<R: NodeRuntime>(
    server: &'static Server<R>,
    request: Request,
    ms: u64,
) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(ms);
    let [salt, ..] = random_words().map_err(io::Error::other)?;
    let new = || Inquiry::new(salt, request == Request::Nodes);
    let (mut inquiry, mut generation) = (new(), server.generation.get());
    loop {
        // With another configuration the numbers of nodes have another meaning.
        if server.generation.get() != generation {
            (inquiry, generation) = (new(), server.generation.get());
        }
        ask(server, &mut inquiry, until).await?;
        let is_over = Instant::now() >= until;
        if server.generation.get() == generation {
            if is_over || inquiry.facts || server.driver.is_in_sync(&inquiry) {
                return Ok(server.driver.herd_answer(request, &inquiry));
            }
        } else if is_over {
            return Ok(server.driver.herd_answer(request, &new()));
        }
        server.sleep_ms(ROUND_EVERY_MS).await;
    }
}

async fn ask<R: NodeRuntime>(
    server: &'static Server<R>,
    inquiry: &mut Inquiry,
    until: Instant,
) -> io::Result<()> {
    let number = server.driver.ask_herd(inquiry).map_err(io::Error::other)?;
    server.work();
    while Instant::now() < until {
        if let Some(sum) = server.driver.take_sum(number) {
            inquiry.take(sum);
            break;
        }
        server.sleep_ms(LOOK_EVERY_MS).await;
    }
    Ok(())
}

impl Driver {
    /// Begins a round of an inquiry about the herd. Returns the number of its census.
    fn ask_herd(&self, inquiry: &Inquiry) -> Result<u64, RunError> {
        let [number, ..] = random_words()?;
        if inquiry.facts {
            self.tell_facts();
        }
        let mut node = self.node.borrow_mut();
        // An answer from the farthest node of a line passes through all the others.
        let within_ms = ROUND_MS_MIN + CENSUS_HOP_MS * node.names().len() as u64;
        let within_ms = within_ms.min(INQUIRY_MS_MAX / 2);
        let (now, floor) = (self.clock.steady(), inquiry.floor.clone());
        node.ask_herd(now, (number, inquiry.salt), within_ms, inquiry.facts, floor);
        Ok(number)
    }

    /// Gives the node the facts that it sends in a census.
    pub(in crate::server) fn tell_facts(&self) {
        let private_kb = private_kb().map_or(0, |kb| u32::try_from(kb).unwrap_or(u32::MAX));
        let version = Version::of(env!("CARGO_PKG_VERSION"));
        self.node.borrow_mut().set_facts(self.clock.steady(), version, private_kb);
    }

    /// The result of a census, when it is complete.
    fn take_sum(&self, number: u64) -> Option<Sum> {
        self.node.borrow_mut().take_sum(number)
    }

    /// Whether the herd is in sync, by the rounds so far.
    fn is_in_sync(&self, inquiry: &Inquiry) -> bool {
        inquiry.is_in_sync(self.node.borrow().names().len())
    }

    /// The answer to a request about the herd.
    fn herd_answer(&self, request: Request, inquiry: &Inquiry) -> String {
        let outcome = inquiry.outcome(&self.node.borrow(), &self.file);
        match request {
            Request::HerdText => outcome.text(),
            Request::Nodes => outcome.nodes_json(),
            _ => outcome.json(),
        }
    }
}
