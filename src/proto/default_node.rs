//! A node of the size that a board has, compiled in this package.
//!
//! [`Node`] is generic over its size, and a generic is compiled by whoever uses it: the server, for size, at half the
//! speed. So what each request or line goes through is said here once more for the one size there is, and stays here:
//! inlined into the server it would be the server's again.
//!
//! Everything else is [`Node`]'s own, by way of `Deref`.

use core::ops::{Deref, DerefMut};

use super::limits::TABLE_SLOTS;
use super::names::NodeId;
use super::node::links::LinkEvent;
use super::node::{Answer, Node, SessionId};
use super::out::Out;
use super::quota::Caller;
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
        reason = "a default would be built on a stack, which has no room for it"
    )]
    pub const fn new() -> Self {
        BoardNode(Node::new())
    }

    /// [`Node::client_line`].
    #[inline(never)]
    pub fn client_line(&mut self, now: &Now, caller: Caller, line: &[u8], out: &mut Out) -> Answer {
        self.0.client_line(now, caller, line, out)
    }

    /// [`Node::link_line`].
    #[inline(never)]
    pub fn link_line(&mut self, now: &Now, id: SessionId, line: &[u8]) -> LinkEvent {
        self.0.link_line(now, id, line)
    }

    /// [`Node::pull`].
    #[inline(never)]
    pub fn pull(&mut self, now: &Now, id: SessionId, out: &mut Out) -> bool {
        self.0.pull(now, id, out)
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

    /// [`Node::take_kept`].
    #[inline(never)]
    pub fn take_kept(&mut self, now: &Now, update: &Update, age_s: u32) -> bool {
        self.0.take_kept(now, update, age_s)
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
