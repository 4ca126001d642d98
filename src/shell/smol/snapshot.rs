//! The waiting between snapshots: a task, which is there only where the map asks for one.

use std::time::Duration;

use futures_lite::future::{self, yield_now};
use log::warn;

use super::{Shell, end};
use crate::shell::limits::SNAPSHOT_STOP_MS_MAX;

/// Does as the map says from now on.
pub(super) async fn keep(shell: &'static Shell) {
    let earlier = shell.snapshots.borrow_mut().take();
    end(earlier).await;
    let (minutes, name, is_one_of_many) = {
        let plan = shell.plan.borrow();
        (plan.snapshot_minutes, plan.nodes[plan.me].name.clone(), plan.supervised)
    };
    shell.driver.set_snapshots(minutes, &name, is_one_of_many);
    if let Some(minutes) = shell.driver.snapshot_minutes() {
        let pause = Duration::from_secs(60 * u64::from(minutes));
        *shell.snapshots.borrow_mut() = Some(shell.spawn(now_and_then(shell, pause)));
    }
}

async fn now_and_then(shell: &'static Shell, pause: Duration) {
    loop {
        shell.reactor.sleep(pause).await;
        write(shell, false).await;
    }
}

/// The last one, before the node ends. The tasks run on meanwhile, as it takes one to end one.
pub(super) async fn last(shell: &'static Shell) {
    let written = async {
        let earlier = shell.snapshots.borrow_mut().take();
        end(earlier).await;
        write(shell, true).await;
        Ok(())
    };
    let others = async {
        loop {
            shell.executor.tick().await;
            yield_now().await;
        }
    };
    if future::or(shell.in_time(SNAPSHOT_STOP_MS_MAX, written), others).await.is_err() {
        warn!("the table could not be kept within {SNAPSHOT_STOP_MS_MAX} ms: what was kept before stays");
    }
}

async fn write(shell: &'static Shell, stops: bool) {
    let Some(mut walk) = shell.driver.begin_snapshot(stops) else { return };
    let mut failed = None;
    while let Some(chunk) = shell.driver.next_chunk(&mut walk) {
        if let Err(error) = walk.put(chunk).await {
            failed = Some(error);
            break;
        }
        // Clients and links have a turn.
        yield_now().await;
    }
    shell.driver.end_snapshot(walk, failed).await;
}
