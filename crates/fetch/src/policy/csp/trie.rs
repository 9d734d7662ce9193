//! A tree of labels, to look up hosts and paths in a policy of any size.

use std::collections::HashMap;

/// Values at sequences of labels: the labels of a host from the right, or the pieces of a path from the left.
///
/// A look-up takes as long as the sequence has bytes, whatever the trie holds. The nodes stand in one list, so
/// that a long sequence does not make a deep recursion when the trie is dropped.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    /// The root is the first.
    nodes: Vec<Node<V>>,
}

#[derive(Clone, Debug, Default)]
struct Node<V> {
    value: V,
    /// The index of the node for each next label.
    children: HashMap<Box<[u8]>, usize>,
}

impl<V: Default> Trie<V> {
    /// The value at a sequence of labels. A new sequence gets the default value.
    pub(super) fn entry<'a>(&mut self, labels: impl Iterator<Item = &'a [u8]>) -> &mut V {
        let mut at = 0;
        for label in labels {
            at = if let Some(next) = self.nodes[at].children.get(label) {
                *next
            } else {
                let next = self.nodes.len();
                self.nodes[at].children.insert(label.into(), next);
                self.nodes.push(Node { value: V::default(), children: HashMap::new() });
                next
            };
        }
        &mut self.nodes[at].value
    }

    /// The values at the prefixes of a sequence, as far as the trie has them, the shortest first. The flag
    /// beside a value says whether the prefix is the whole sequence.
    pub(super) fn walk<'a, L: AsRef<[u8]>>(
        &'a self,
        labels: impl Iterator<Item = L> + 'a,
    ) -> impl Iterator<Item = (&'a V, bool)> + 'a {
        let mut labels = labels.peekable();
        let mut at = Some(0);
        std::iter::from_fn(move || {
            let label = labels.next()?;
            let node = &self.nodes[at?];
            at = node.children.get(label.as_ref()).copied();
            Some((&self.nodes[at?].value, labels.peek().is_none()))
        })
    }
}

impl<V: Default> Default for Trie<V> {
    fn default() -> Self {
        Self { nodes: vec![Node { value: V::default(), children: HashMap::new() }] }
    }
}
