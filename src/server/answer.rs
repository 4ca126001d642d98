//! Waits for an answer of the places' threads.

/// Starts a question, and waits for its answer. `None` if it is dropped without one.
pub(super) async fn answer_of<T>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> Option<T>
where
    T: Send + 'static,
{
    let (sender, receiver) = async_channel::bounded(1);
    ask(Box::new(move |answer| {
        // A client that has gone meanwhile needs no answer.
        let _ = sender.try_send(answer);
    }));
    receiver.recv().await.ok()
}
