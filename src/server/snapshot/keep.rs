//! The snapshot task: it runs only if the configuration has `snapshot_s`.

use std::time::{Duration, Instant};

use futures_lite::future::yield_now;
use log::warn;

use crate::server::limits::SNAPSHOT_STOP_MS_MAX;
use crate::server::shared::{NodeRuntime, Server};

/// Starts, restarts or ends the task, as the configuration requires.
pub(crate) async fn keep<R: NodeRuntime>(server: &'static Server<R>) {
    end(server).await;
    let (between_s, name, is_one_of_many) = {
        let plan = server.plan.borrow();
        (plan.settings.snapshot_s, plan.nodes[plan.me].name.clone(), plan.supervised)
    };
    server.driver.set_snapshots(between_s, &name, is_one_of_many);
    if let Some(between_s) = server.driver.snapshot_s() {
        let pause = Duration::from_secs(u64::from(between_s));
        *server.snapshots.borrow_mut() = Some(server.runtime.spawn(now_and_then(server, pause)));
    }
}

async fn now_and_then<R: NodeRuntime>(server: &'static Server<R>, pause: Duration) {
    loop {
        server.runtime.sleep_until(Instant::now() + pause).await;
        write(server, false).await;
    }
}

async fn end<R: NodeRuntime>(server: &'static Server<R>) {
    let earlier = server.snapshots.borrow_mut().take();
    if let Some(earlier) = earlier {
        R::end(earlier).await;
    }
}

/// The last snapshot, before the node ends.
pub(crate) async fn last<R: NodeRuntime>(server: &'static Server<R>) {
    let written = async {
        end(server).await;
        write(server, true).await;
        Ok(())
    };
    if server.in_time(SNAPSHOT_STOP_MS_MAX, written).await.is_err() {
        warn!(
            "the last snapshot took longer than {SNAPSHOT_STOP_MS_MAX} ms and is cancelled; the one before remains"
        );
    }
}

async fn write<R: NodeRuntime>(server: &'static Server<R>, stops: bool) {
    let Some(mut walk) = server.driver.begin_snapshot(stops) else { return };
    let mut failed = None;
    while let Some(chunk) = server.driver.next_chunk(&mut walk) {
        if let Err(error) = walk.put(chunk).await {
            failed = Some(error);
            break;
        }
        // Clients and links have a turn.
        yield_now().await;
    }
    server.driver.end_snapshot(walk, failed).await;
}
