//! Asks the herd: the waiting of an [`Inquiry`].

use std::io;
use std::time::{Duration, Instant};

use super::{Inquiry, LOOK_EVERY_MS, ROUND_EVERY_MS};
use crate::server::control::Request;
use crate::server::shared::{NodeRuntime, Server};

/// Asks the herd, round after round, until it is in sync or the time is over.
pub(crate) async fn herd_answer<R: NodeRuntime>(
    server: &'static Server<R>,
    request: Request,
    ms: u64,
) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut inquiry = server.driver.inquiry().map_err(io::Error::other)?;
    loop {
        ask(server, &mut inquiry, until).await?;
        if server.driver.is_in_sync(&inquiry) || Instant::now() >= until {
            return Ok(server.driver.herd_answer(request, &inquiry));
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
