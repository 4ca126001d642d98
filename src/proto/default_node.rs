//! The node at the size of this build, compiled in this package.
//!
//! [`Node`] is generic over its size. The crate that uses a generic compiles it: here the server, which is
//! compiled for size and would run the core at half the speed. So this file repeats the functions on the hot
//! paths for the one size of the build. They are not inlined, because the server would compile the inlined code
//! again.
//!
//! All other methods come from [`Node`] through `Deref`.

use core::ops::{Deref, DerefMut};

use super::limits::TABLE_SLOTS;
use super::names::NodeId;
use super::node::links::LinkEvent;
use super::node::secret::Message;
use super::node::{Answer, Node, SessionId};
use super::out::Out;
use super::quota::QuotaKey;
use super::session::Ended;
use super::time::{Mono, Now};
use super::update::Update;

/// A node with [`TABLE_SLOTS`].
#[derive(Debug)]
pub struct BoardNode(Node<TABLE_SLOTS>);

impl BoardNode {
    /// [`Node::new`].
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default value would be built on the stack, which is too small for it"
    )]
    pub const fn new() -> Self {
        BoardNode(Node::new())
    }

    /// [`Node::client_line`].
    #[inline(never)]
    pub fn client_line(&mut self, now: &Now, quota_key: QuotaKey, line: &[u8], out: &mut Out) -> Answer {
        self.0.client_line(now, quota_key, line, out)
    }

    /// [`Node::link_line`].
    #[inline(never)]
    pub fn link_line(&mut self, now: &Now, id: SessionId, line: &[u8]) -> LinkEvent {
        self.0.link_line(now, id, line)
    }

    /// [`Node::pull`].
    #[inline(never)]
    pub fn pull(&mut self, now: Mono, id: SessionId, out: &mut Out, sent: &mut dyn FnMut(&[u8])) -> bool {
        self.0.pull(now, id, out, sent)
    }

    /// [`Node::take_message`].
    #[inline(never)]
    pub fn take_message<'m>(&mut self, now: Mono, id: SessionId, input: &'m mut [u8]) -> Message<'m> {
        self.0.take_message(now, id, input)
    }

    /// [`Node::tick`].
    #[inline(never)]
    pub fn tick(&mut self, now: &Now) {
        self.0.tick(now);
    }

    /// [`Node::wake_at`].
    #[must_use]
    #[inline(never)]
    pub fn wake_at(&self) -> Mono {
        self.0.wake_at()
    }

    /// [`Node::restore_entry`].
    #[inline(never)]
    pub fn restore_entry(&mut self, now: &Now, update: &Update, age_s: u32) -> bool {
        self.0.restore_entry(now, update, age_s)
    }

    /// [`Node::take_cut`].
    #[inline(never)]
    pub fn take_cut(&mut self) -> Option<(SessionId, Ended)> {
        self.0.take_cut()
    }

    /// [`Node::take_dial`].
    #[inline(never)]
    pub fn take_dial(&mut self, now: Mono) -> Option<NodeId> {
        self.0.take_dial(now)
    }
}

impl Deref for BoardNode {
    type Target = Node<TABLE_SLOTS>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for BoardNode {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
