//! The native function of `crypto`: random bytes.

use rquickjs::{ArrayBuffer, Ctx, Exception, Function, Object};

use super::buffer;

pub(super) fn install(native: &Object<'_>) -> rquickjs::Result<()> {
    native.set("randomBytes", Function::new(native.ctx().clone(), random_bytes)?)
}

fn random_bytes(ctx: Ctx<'_>, length: usize) -> rquickjs::Result<ArrayBuffer<'_>> {
    // https://w3c.github.io/webcrypto/#Crypto-method-getRandomValues
    const QUOTA: usize = 65_536;
    let mut bytes = vec![0; length.min(QUOTA)];
    getrandom::fill(&mut bytes)
        .map_err(|error| Exception::throw_internal(&ctx, &error.to_string()))?;
    buffer(&ctx, bytes)
}
