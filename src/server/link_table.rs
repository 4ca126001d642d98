//! The link connections there are, by the number of their session.

use std::rc::Rc;

use super::notify::Notify;
use super::runtime::Runtime;
use crate::proto::limits::SESSIONS_MAX;
use crate::proto::node::SessionId;

pub(crate) struct Links<R: Runtime> {
    slots: [Option<Slot<R>>; SESSIONS_MAX],
}

struct Slot<R: Runtime> {
    id: SessionId,
    writer: Rc<Notify>,
    /// Dropping the task closes its socket.
    _task: R::Task,
}

impl<R: Runtime> Links<R> {
    pub(crate) fn new() -> Self {
        Links { slots: [const { None }; SESSIONS_MAX] }
    }

    /// Keeps the task of a connection, and what wakes its writer.
    pub(crate) fn open(&mut self, id: SessionId, writer: Rc<Notify>, task: R::Task) {
        self.slots[usize::from(id.index)] = Some(Slot { id, writer, _task: task });
    }

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
