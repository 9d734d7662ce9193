//! The log of [mutation records](https://dom.spec.whatwg.org/#mutationrecord): what has changed below the nodes that an
//! observer observes. `mutation_observer.js` has the observers, and takes the records.

use std::collections::HashSet;

use super::{Dom, NodeId};

/// The observed nodes of a document, and the records that no observer has yet.
#[derive(Debug, Default)]
pub(super) struct Mutations {
    /// The nodes whose [registered observer list](https://dom.spec.whatwg.org/#registered-observer-list) may have an item.
    observed: HashSet<NodeId>,
    records: Vec<MutationRecord>,
    /// Whether there are records that [`Dom::has_news_for_observers`] has not told of.
    is_news: bool,
}

/// A change of the tree or of a node.
#[derive(Debug)]
pub(in crate::page) struct MutationRecord {
    pub(in crate::page) target: NodeId,
    /// The observed nodes among the target and its ancestors, at the time of the change.
    pub(in crate::page) observed: Vec<NodeId>,
    pub(in crate::page) mutation: Mutation,
}

/// What has changed.
#[derive(Debug)]
pub(in crate::page) enum Mutation {
    Attribute { name: String, old: Option<String> },
    CharacterData { old: String },
    ChildList(ChildList),
}

#[derive(Debug)]
pub(in crate::page) struct ChildList {
    pub(in crate::page) added: Vec<NodeId>,
    pub(in crate::page) removed: Vec<NodeId>,
    pub(in crate::page) previous: Option<NodeId>,
    pub(in crate::page) next: Option<NodeId>,
}

impl Dom {
    /// Begins to write records of the changes of `node` and its descendants.
    pub(in crate::page) fn observe(&mut self, node: NodeId) {
        self.mutations.observed.insert(node);
    }

    pub(in crate::page) fn unobserve(&mut self, node: NodeId) {
        self.mutations.observed.remove(&node);
    }

    /// Whether records were written since the last call.
    pub(in crate::page) fn has_news_for_observers(&mut self) -> bool {
        std::mem::take(&mut self.mutations.is_news)
    }

    pub(in crate::page) fn mutation_count(&self) -> usize {
        self.mutations.records.len()
    }

    pub(in crate::page) fn take_mutations(&mut self) -> Vec<MutationRecord> {
        std::mem::take(&mut self.mutations.records)
    }

    /// [Queues a mutation record](https://dom.spec.whatwg.org/#queue-a-mutation-record), if `target` is observed. The change
    /// has not been made yet, if it removes nodes.
    pub(super) fn record(&mut self, target: NodeId, mutation: impl FnOnce(&Self) -> Mutation) {
        if self.mutations.observed.is_empty() {
            return;
        }
        let observed = &self.mutations.observed;
        let observed: Vec<_> =
            self.ancestors(target).filter(|node| observed.contains(node)).collect();
        if observed.is_empty() {
            return;
        }
        let mutation = mutation(self);
        if let Mutation::ChildList(change) = &mutation {
            // https://dom.spec.whatwg.org/#concept-node-remove, step 15: an observer of an ancestor goes on to observe a
            // removed node.
            self.mutations.observed.extend(&change.removed);
        }
        self.mutations.records.push(MutationRecord { target, observed, mutation });
        self.mutations.is_news = true;
    }

    /// Makes one record of all changes of the children of `target` since there were `since` records: replacing children is
    /// one change.
    pub(in crate::page) fn merge_mutations(&mut self, target: NodeId, since: usize) {
        let Some(recent) = self.mutations.records.get(since..) else { return };
        let is_of_target = |it: &MutationRecord| {
            it.target == target && matches!(it.mutation, Mutation::ChildList(_))
        };
        if recent.iter().filter(|it| is_of_target(it)).count() < 2 {
            return;
        }
        let mut merged: Option<MutationRecord> = None;
        for record in self.mutations.records.split_off(since) {
            let is_of_target = is_of_target(&record);
            match (record.mutation, &mut merged) {
                (Mutation::ChildList(change), Some(merged)) if is_of_target => {
                    if let Mutation::ChildList(all) = &mut merged.mutation {
                        all.added.extend(change.added);
                        all.removed.extend(change.removed);
                        all.next = change.next;
                    }
                }
                (mutation, merged @ None) if is_of_target => {
                    *merged = Some(MutationRecord { mutation, ..record });
                }
                (mutation, _) => {
                    self.mutations.records.push(MutationRecord { mutation, ..record });
                }
            }
        }
        self.mutations.records.extend(merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_below_an_observed_node_are_recorded() {
        let mut dom = Dom::default();
        let (outer, inner) = (dom.create_html_element("p"), dom.create_html_element("b"));
        dom.pre_insert(Dom::DOCUMENT, outer, None).expect("the document takes the node");
        dom.set_attribute(outer, "id", "a");
        assert_eq!(dom.mutation_count(), 0);

        dom.observe(outer);
        dom.pre_insert(outer, inner, None).expect("the element takes the node");
        dom.set_attribute(inner, "id", "b");
        dom.detach(inner);
        // The observer of `outer` may still observe what it contained.
        dom.set_attribute(inner, "id", "c");
        dom.set_attribute(Dom::DOCUMENT, "id", "d");
        let records = dom.take_mutations();
        let observed: Vec<_> = records.iter().map(|it| (it.target, it.observed.clone())).collect();
        let expected = [
            (outer, vec![outer]),
            (inner, vec![outer]),
            (outer, vec![outer]),
            (inner, vec![inner]),
        ];
        assert_eq!(observed, expected);
    }

    #[test]
    fn a_replacement_of_children_is_one_record() {
        let mut dom = Dom::default();
        let parent = dom.create_html_element("p");
        let children = [(); 3].map(|()| dom.create_html_element("b"));
        dom.pre_insert(parent, children[0], None).expect("the element takes the node");
        dom.observe(parent);
        dom.detach(children[0]);
        for child in &children[1..] {
            dom.pre_insert(parent, *child, None).expect("the element takes the node");
        }
        dom.merge_mutations(parent, 0);
        let records = dom.take_mutations();
        let [MutationRecord { mutation: Mutation::ChildList(change), .. }] = &*records else {
            panic!("{records:?}")
        };
        assert_eq!((&*change.added, &*change.removed), (&children[1..], &children[..1]));
    }
}
