//! Sealing the parts of a record under the embedder's key.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sendbeacon_fetch::host::{RecordId, Sealer};

/// The first bytes of the associated data. The number changes when the associated data gets another form.
const SCHEMA: &[u8] = b"sendbeacon outbox 1";

/// The first byte of a part that is not sealed, and of one that is. An outbox without a key reads no sealed part, and one
/// with a key no other.
const OPEN: u8 = 0;
const SEALED: u8 = 1;

/// A part of a record. The parts of different records, or of one record, cannot be exchanged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    State = 0,
    Content = 1,
}

/// Seals and opens the parts of the records of one profile.
pub(super) struct Seal {
    pub(super) sealer: Option<Arc<dyn Sealer>>,
    pub(super) profile: String,
}

impl Seal {
    /// `None` if the sealer cannot seal at the moment.
    pub(super) fn seal(&self, id: RecordId, part: Part, plaintext: &[u8]) -> Option<Vec<u8>> {
        let (kind, bytes) = match &self.sealer {
            Some(sealer) => {
                let associated_data = self.associated_data(id, part);
                (SEALED, guarded(|| sealer.seal(&associated_data, plaintext))?)
            }
            None => (OPEN, plaintext.to_vec()),
        };
        Some(std::iter::once(kind).chain(bytes).collect())
    }

    /// `None` if the part is not what [`seal`](Self::seal) has made for this profile, record and part.
    pub(super) fn open(&self, id: RecordId, part: Part, bytes: &[u8]) -> Option<Vec<u8>> {
        match (&self.sealer, bytes.split_first()?) {
            (Some(sealer), (&SEALED, ciphertext)) => {
                let associated_data = self.associated_data(id, part);
                guarded(|| sealer.open(&associated_data, ciphertext))
            }
            (None, (&OPEN, plaintext)) => Some(plaintext.to_vec()),
            _ => None,
        }
    }

    fn associated_data(&self, id: RecordId, part: Part) -> Vec<u8> {
        let id = id.to_u64().to_be_bytes();
        [SCHEMA, &[part as u8], &id, self.profile.as_bytes()].concat()
    }
}

/// Calls the embedder's sealer. If it panics, it has done nothing.
fn guarded(call: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_default()
}
