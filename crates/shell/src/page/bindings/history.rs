//! The native functions of `history` and `location.reload()`.

use std::rc::Rc;

use rquickjs::Object;
use url::Url;

use crate::page::window::Window;

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "historyLength" => |this| this.navigable().map_or(0, |it| it.history_length()),
        "historyEntry" => |this| this.navigable().map(|it| it.entry_id()),
        "updateHistory" => |this, url: String, replace: bool| {
            let url = Url::parse(&url).ok()?;
            Some(this.navigable()?.update_url_and_history(this, &url, replace))
        },
        "traverse" => |this, delta: i32| {
            if let Some(navigable) = this.navigable() {
                navigable.traverse_by(delta);
            }
        },
        "reload" => |this| {
            if let Some(navigable) = this.navigable() {
                navigable.reload(this);
            }
        },
    }
    Ok(())
}
