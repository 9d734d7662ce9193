//! The bound of a list that grows with what pages do.

/// What a list may still take, so that a page that runs for long does not fill the memory.
#[derive(Debug)]
pub(crate) struct Room {
    items: usize,
    bytes: usize,
    /// How many items were left out.
    left_out: u64,
}

impl Room {
    /// Room for so many items, and for so many bytes in all of them.
    pub(crate) fn new(items: usize, bytes: usize) -> Self {
        Self { items, bytes, left_out: 0 }
    }

    /// Takes the room for an item of `bytes` bytes. Returns false, and counts the item as left out, if there is too little.
    pub(crate) fn take_item(&mut self, bytes: usize) -> bool {
        if self.items == 0 || !self.take(bytes) {
            self.left_out += 1;
            return false;
        }
        self.items -= 1;
        true
    }

    /// Takes the room for more bytes of an item. Returns false if there is too little.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let rest = self.bytes.checked_sub(bytes);
        self.bytes = rest.unwrap_or(self.bytes);
        rest.is_some()
    }

    /// How many items were left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_bytes_are_limited() {
        let mut room = Room::new(3, 10);
        assert!(room.take_item(4));
        assert!(!room.take_item(7), "there are 6 bytes left");
        assert!(room.take_item(5));
        assert!(room.take(1));
        assert!(!room.take(1));
        assert!(room.take_item(0));
        assert!(!room.take_item(0), "there are three items");
        assert_eq!(room.left_out(), 2);
    }
}
