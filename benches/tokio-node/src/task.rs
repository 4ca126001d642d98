//! Tasks that end when whoever holds them lets go, as those of smol do and those of tokio do not.

use std::future::Future;

use tokio::task::{JoinHandle, spawn_local};

/// A task of this thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn start(future: impl Future<Output = ()> + 'static) -> Self {
        Task(spawn_local(future))
    }

    /// Ends it; what it held is gone when this is done.
    pub(crate) async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
