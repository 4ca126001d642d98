//! Paths through a herd: its pieces, and what is lost with a node.
//!
//! Works on indices alone. At the largest herd (1,024 nodes of 16 neighbours) all of it takes some 20 million steps.

/// The neighbours of each node.
pub(super) struct Graph(Vec<Vec<usize>>);

impl Graph {
    /// A herd of this many nodes and these edges, all within range.
    pub(super) fn new(nodes: usize, edges: &[(usize, usize)]) -> Graph {
        let mut neighbours = vec![Vec::new(); nodes];
        for &(a, b) in edges {
            neighbours[a].push(b);
            neighbours[b].push(a);
        }
        Graph(neighbours)
    }

    /// The pieces between which there is no path, each as its nodes in ascending order, the largest piece first and of
    /// equal ones that with the smallest node. `without` is a node that is down, and then in no piece.
    pub(super) fn pieces(&self, without: Option<usize>) -> Vec<Vec<usize>> {
        let mut is_seen = vec![false; self.0.len()];
        if let Some(down) = without {
            is_seen[down] = true;
        }
        let mut pieces = Vec::new();
        for start in 0..self.0.len() {
            if std::mem::replace(&mut is_seen[start], true) {
                continue;
            }
            let mut piece = vec![start];
            let mut next = 0;
            while let Some(&node) = piece.get(next) {
                next += 1;
                for &neighbour in &self.0[node] {
                    if !std::mem::replace(&mut is_seen[neighbour], true) {
                        piece.push(neighbour);
                    }
                }
            }
            piece.sort_unstable();
            pieces.push(piece);
        }
        pieces.sort_by_key(|piece| (std::cmp::Reverse(piece.len()), piece[0]));
        pieces
    }

    /// The nodes whose loss alone cuts a herd that is in one piece: each with the nodes that are then cut off from the
    /// larger part, ascending.
    pub(super) fn cut_nodes(&self) -> Vec<(usize, Vec<usize>)> {
        let mut cuts = Vec::new();
        for node in 0..self.0.len() {
            let mut cut_off = self.pieces(Some(node)).into_iter().skip(1).flatten().collect::<Vec<_>>();
            if !cut_off.is_empty() {
                cut_off.sort_unstable();
                cuts.push((node, cut_off));
            }
        }
        cuts
    }

    /// How many neighbours a node has.
    pub(super) fn degree(&self, node: usize) -> usize {
        self.0[node].len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_cuts_are_found() {
        let line = Graph::new(4, &[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(line.pieces(None), [[0, 1, 2, 3]]);
        assert_eq!(line.cut_nodes(), [(1, vec![0]), (2, vec![3])]);
        let ring = Graph::new(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        assert!(ring.cut_nodes().is_empty());
        let two = Graph::new(5, &[(3, 4), (1, 3)]);
        assert_eq!(two.pieces(None), [vec![1, 3, 4], vec![0], vec![2]]);
        let star = Graph::new(4, &[(0, 1), (0, 2), (0, 3)]);
        assert_eq!(star.cut_nodes(), [(0, vec![2, 3])]);
    }
}
