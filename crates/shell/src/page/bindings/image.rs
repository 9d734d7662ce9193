//! The native function by which an `img` element loads its image.

use std::rc::Rc;

use rquickjs::{Ctx, Object, convert::List};
use sendbeacon::{Destination, InitiatorType};

use super::{bytes_from_base64, fetch::fetch_request, to_number};
use crate::page::{FetchRequest, FetchedImage, RealmId, TaskQueue, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "loadImage" => |this, ctx: Ctx<'js>, request: Object<'js>| {
            let request = FetchRequest {
                destination: Destination::Image,
                initiator_type: InitiatorType::Img,
                ..fetch_request(&ctx, this, &request)?
            };
            rquickjs::Result::Ok(start(this, request))
        },
        "imageSize" => |_this, ctx: Ctx<'js>, base64: String, type_: Option<String>| {
            let body = bytes_from_base64(&ctx, &base64)?.into();
            let size = FetchedImage { type_, body }.natural_size();
            rquickjs::Result::Ok(size.map(|(width, height)| List((width, height))))
        },
    }
    Ok(())
}

/// Starts the fetch of an image, and returns its number.
fn start(window: &Window, request: FetchRequest) -> f64 {
    let id = to_number(request.id);
    let shared = window.shared();
    shared.fetches.set(shared.fetches.get() + 1);
    let mut end = ImageEnd { queue: Some(shared.queue.clone()), realm: window.id, id };
    window.host().load_image(
        request,
        Box::new(move |result| {
            end.settle(result.ok().and_then(|image| image.natural_size()));
        }),
    );
    id
}

/// Posts the natural size of an image once, or nothing for a broken image. If it is dropped before, the image is broken.
///
/// While it lives, the page is not idle.
struct ImageEnd {
    queue: Option<TaskQueue>,
    realm: RealmId,
    id: f64,
}

impl ImageEnd {
    fn settle(&mut self, size: Option<(u32, u32)>) {
        let id = self.id;
        let (width, height) = size.unzip();
        if let Some(queue) = self.queue.take() {
            queue.post_fetch_end(self.realm, move |realm| {
                realm.call("imageLoaded", (id, width, height));
            });
        }
    }
}

impl Drop for ImageEnd {
    fn drop(&mut self) {
        self.settle(None);
    }
}
