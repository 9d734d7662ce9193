//! Changes of honest bytes.

use arbitrary::Arbitrary;

/// A change at a place, which wraps around at the end of the bytes.
#[derive(Arbitrary, Debug)]
pub(crate) enum Change<'a> {
    Replace { at: u16, byte: u8 },
    Insert { at: u16, bytes: &'a [u8] },
    Remove { at: u16, length: u8 },
    Repeat { at: u16, length: u8 },
}

/// Makes the changes, one after the other.
pub(crate) fn change(bytes: &mut Vec<u8>, changes: Vec<Change<'_>>) {
    for change in changes {
        let within = |at: u16| usize::from(at) % (bytes.len() + 1);
        match change {
            Change::Replace { at, byte } => {
                let at = within(at);
                bytes.get_mut(at).into_iter().for_each(|it| *it = byte);
            }
            Change::Insert { at, bytes: inserted } => {
                let at = within(at);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Change::Remove { at, length } => {
                let at = within(at);
                let end = (at + usize::from(length)).min(bytes.len());
                bytes.drain(at..end);
            }
            Change::Repeat { at, length } => {
                let at = within(at);
                let end = (at + usize::from(length)).min(bytes.len());
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}
