//! The permissions policy of a document in a frame, and the deferred-fetch quota that its container reserves for it.

use http::{HeaderMap, HeaderName, HeaderValue};
use sendbeacon::{ContainerPolicy, Nonce, Origin};
use url::Url;

use super::{Navigable, create::creation_sandboxing_flags, settings::opaque_origin};
use crate::page::{dom::NodeId, environment::Environment, realm::Realm, window::Window};

impl Navigable {
    /// [Reserve deferred-fetch quota](https://fetch.spec.whatwg.org/#reserve-deferred-fetch-quota), if the container's
    /// document is the source of the navigation.
    pub(in crate::page) fn reserve_deferred_fetch_quota(&self, source: &Window, url: &Url) {
        let (Some(container), Some(quota)) = (self.container, &self.quota) else { return };
        if container.realm != source.id || url.scheme() == "javascript" {
            return;
        }
        let Some(source) = source.active_realm() else { return };
        let origin = if creation_sandboxing_flags(&source, container.node).origin {
            opaque_origin()
        } else {
            origin_of(&source, url)
        };
        quota.reserve_deferred_fetch_quota(&container_policy(&source, container.node), &origin);
    }
}

/// [Create a permissions policy for a navigable from response](https://w3c.github.io/webappsec-permissions-policy/#algo-create-from-response)
/// for the document of `environment` in `container`. `header` is the document's `Permissions-Policy` header.
pub(super) fn create_a_permissions_policy(
    parent: &Realm,
    container: NodeId,
    environment: &mut Environment,
    header: &str,
) {
    let policy = container_policy(parent, container);
    let value = HeaderValue::from_str(header).ok().filter(|value| !value.is_empty());
    let name = HeaderName::from_static("permissions-policy");
    let headers: HeaderMap = value.map(|value| (name, value)).into_iter().collect();
    let client = &mut environment.client;
    client.permissions_policy = policy.permissions_policy(&client.origin, &headers);
}

/// The policy that `parent`'s document and the attributes of its element `container` set for a document in the element.
fn container_policy(parent: &Realm, container: NodeId) -> ContainerPolicy {
    let window = parent.window();
    let attribute = |name: &str| {
        let dom = window.document.dom();
        dom.attribute(container, name).map(str::to_owned)
    };
    let client = window.client();
    // https://w3c.github.io/webappsec-permissions-policy/#declared-origin
    let declared_origin = if creation_sandboxing_flags(parent, container).origin {
        opaque_origin()
    } else if attribute("srcdoc").is_some() {
        client.origin.clone()
    } else {
        let src = attribute("src").and_then(|src| window.document.parse_url(&src).ok());
        src.map_or_else(|| client.origin.clone(), |url| origin_of(parent, &url))
    };
    let allow = attribute("allow").unwrap_or_default();
    ContainerPolicy::new(&client.permissions_policy, &client.origin, &allow, &declared_origin)
}

/// The origin of a document at `url` in a frame of `parent`'s document.
fn origin_of(parent: &Realm, url: &Url) -> Origin {
    match url.scheme() {
        "about" => parent.window().client().origin,
        "http" | "https" => Origin::of(url, Nonce::random()),
        _ => opaque_origin(),
    }
}
