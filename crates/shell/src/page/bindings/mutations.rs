//! The native functions of `MutationObserver`.

use std::rc::Rc;

use rquickjs::{Ctx, IntoJs, Object, Value};

use super::bare_object;
use crate::page::{
    dom::{ChildList, Mutation, MutationRecord, NodeId},
    window::Window,
};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "observeMutations" => |this, node: u32| this.document.dom_mut().observe(NodeId(node)),
        "unobserveMutations" => |this, node: u32| this.document.dom_mut().unobserve(NodeId(node)),
        "mutationCount" => |this| this.document.dom().mutation_count(),
        "mergeMutations" => |this, target: u32, since: usize| {
            this.document.dom_mut().merge_mutations(NodeId(target), since);
        },
        "takeMutations" => |this| {
            let records = this.document.dom_mut().take_mutations();
            records.into_iter().map(Record).collect::<Vec<_>>()
        },
    }
    Ok(())
}

/// A record in the form in which `mutation_observer.js` takes it.
struct Record(MutationRecord);

impl<'js> IntoJs<'js> for Record {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let numbers = |nodes: Vec<NodeId>| nodes.into_iter().map(|it| it.0).collect::<Vec<_>>();
        let MutationRecord { target, observed, mutation } = self.0;
        let object = bare_object(ctx)?;
        object.set("target", target.0)?;
        object.set("observed", numbers(observed))?;
        match mutation {
            Mutation::Attribute { name, old } => {
                object.set("type", "attributes")?;
                object.set("name", name)?;
                object.set("oldValue", old)?;
            }
            Mutation::CharacterData { old } => {
                object.set("type", "characterData")?;
                object.set("oldValue", old)?;
            }
            Mutation::ChildList(ChildList { added, removed, previous, next }) => {
                object.set("type", "childList")?;
                object.set("added", numbers(added))?;
                object.set("removed", numbers(removed))?;
                object.set("previous", previous.map(|it| it.0))?;
                object.set("next", next.map(|it| it.0))?;
            }
        }
        Ok(object.into_value())
    }
}
