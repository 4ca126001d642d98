//! The nodes of the herd: a sorted list of names gives each node a small number.
//!
//! The list is that of the configuration, so two nodes with the same configuration compare origins alike.
//! Invariant: the order of the numbers is the order of the names. The list only changes with the configuration.

use super::limits::{NODE_NAME_BYTES_MAX, NODES_MAX};

/// A node of the configuration: its place in the sorted list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u16);

impl NodeId {
    /// The place in the sorted list of names, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The same as a number.
    pub(super) fn number(self) -> u16 {
        self.0
    }

    /// The node at this place of a list that need not be this node's current list.
    pub(super) fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().filter(|_| index < NODES_MAX).map(NodeId)
    }
}

type Name = heapless::Vec<u8, NODE_NAME_BYTES_MAX, u8>;

/// The names of all nodes of the configuration, sorted.
#[derive(Debug)]
pub struct Names(heapless::Vec<Name, NODES_MAX>);

/// Why a list of names is rejected. The checks of the configuration are stricter and run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesError {
    /// The list has more than [`NODES_MAX`] names.
    TooMany,
    /// A name is empty, longer than [`NODE_NAME_BYTES_MAX`], or not printable ASCII.
    NotAToken,
    /// The names are not in rising order, or a name occurs twice.
    NotSorted,
}

impl Names {
    /// No names: the state before a node is started.
    pub(super) const fn new() -> Self {
        Names(heapless::Vec::new())
    }

    /// Checks a list of names: it must rise.
    pub(super) fn check<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), NamesError> {
        let mut last: Option<&str> = None;
        for (i, name) in names.enumerate() {
            let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_token || name.len() > NODE_NAME_BYTES_MAX {
                return Err(NamesError::NotAToken);
            }
            if last.is_some_and(|last| last >= name) {
                return Err(NamesError::NotSorted);
            }
            if i >= NODES_MAX {
                return Err(NamesError::TooMany);
            }
            last = Some(name);
        }
        Ok(())
    }

    /// Stores the names in an empty list.
    pub(super) fn fill<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), NamesError> {
        debug_assert!(self.0.is_empty(), "the caller clears the old list first");
        Self::check(names.clone())?;
        for name in names {
            let bytes = Name::from_slice(name.as_bytes()).map_err(|_| NamesError::NotAToken)?;
            self.0.push(bytes).map_err(|_| NamesError::TooMany)?;
        }
        Ok(())
    }

    /// Forgets all names.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All names, rising.
    pub(super) fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(heapless::Vec::as_slice)
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the list is empty, as before the start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of `node`.
    #[must_use]
    pub fn name(&self, node: NodeId) -> &[u8] {
        &self.0[node.index()]
    }

    /// The node called `name`, if the configuration lists it.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<NodeId> {
        let place = self.0.binary_search_by(|other| other.as_slice().cmp(name)).ok()?;
        u16::try_from(place).ok().map(NodeId)
    }

    /// The node at `index` of the sorted list.
    #[must_use]
    pub fn id(&self, index: usize) -> Option<NodeId> {
        if index < self.0.len() { u16::try_from(index).ok().map(NodeId) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(list: &[&str]) -> Result<Names, NamesError> {
        let mut names = Names::new();
        names.fill(list.iter().copied()).map(|()| names)
    }

    #[test]
    fn numbers_follow_the_order_of_the_names() {
        let names = filled(&["Campbell", "Hill", "Jaquez"]).expect("sorted tokens");
        let [campbell, hill] = ["Campbell", "Hill"].map(|name| names.find(name.as_bytes()).expect("listed"));
        assert!(campbell < hill);
        assert_eq!(names.name(hill), b"Hill");
        assert_eq!(names.find(b"Hil"), None);
        assert_eq!(names.id(3), None);
    }

    #[test]
    fn unsorted_and_invalid_lists_are_rejected() {
        let long = "x".repeat(NODE_NAME_BYTES_MAX + 1);
        assert_eq!(filled(&["b", "a"]).err(), Some(NamesError::NotSorted));
        assert_eq!(filled(&["a", "a"]).err(), Some(NamesError::NotSorted));
        assert_eq!(filled(&["a b"]).err(), Some(NamesError::NotAToken));
        assert_eq!(filled(&[""]).err(), Some(NamesError::NotAToken));
        assert_eq!(filled(&[&long]).err(), Some(NamesError::NotAToken));
    }
}
