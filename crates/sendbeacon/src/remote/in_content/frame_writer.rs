//! Writing frames in a content process: a write waits only a little for room, and can be taken back.

use std::{
    io::{ErrorKind, Write},
    thread,
    time::{Duration, Instant},
};

use crate::remote::frame::VOID;

/// How long a frame may wait for room.
const PATIENCE: Duration = Duration::from_millis(10);

/// The pause between two attempts to write.
pub(super) const INTERVAL: Duration = Duration::from_micros(100);

/// How many bytes may be owed. If there are more, the channel counts as broken.
const MAX_OWED: usize = 1 << 20;

/// Writes frames to a channel that may be full.
pub(super) struct FrameWriter {
    /// Its writes do not block. `None` once the channel is broken: the writer was dropped, so that the other side
    /// sees the end.
    writer: Option<Box<dyn Write + Send>>,
    /// Bytes that have to be written before any other frame: the rest of a frame that was taken back, and frames
    /// that must not be lost.
    owed: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer: Some(writer), owed: Vec::new() }
    }

    /// The deadline for a frame that is sent now.
    pub(super) fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Sends a frame before `deadline` or not at all. True if the kernel has every byte.
    pub(super) fn send(&mut self, mut frame: Vec<u8>, deadline: Instant) -> bool {
        self.settle(deadline);
        if self.is_broken() || !self.owed.is_empty() {
            return false;
        }
        let written = self.write(&frame, deadline);
        if written == frame.len() {
            return true;
        }
        if written > 0 && !self.is_broken() {
            // The rest of the frame has to follow, and its last byte says that it does not count.
            if let Some(last) = frame.last_mut() {
                *last = VOID;
            }
            frame.drain(..written);
            self.owed = frame;
        }
        false
    }

    /// Sends a frame that must not be lost. The bytes that find no room before `deadline` are owed.
    pub(super) fn send_surely(&mut self, frame: &[u8], deadline: Instant) {
        if self.is_broken() {
            return;
        }
        self.owed.extend_from_slice(frame);
        self.settle(deadline);
        if self.owed.len() > MAX_OWED {
            self.break_off();
        }
    }

    /// Writes as many of the owed bytes as find room before `deadline`.
    pub(super) fn settle(&mut self, deadline: Instant) {
        let owed = std::mem::take(&mut self.owed);
        let written = self.write(&owed, deadline);
        if !self.is_broken() {
            self.owed = owed;
            self.owed.drain(..written);
        }
    }

    /// Whether bytes are owed.
    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.writer.is_none()
    }

    /// Ends the channel. Nothing is written after this.
    pub(super) fn break_off(&mut self) {
        self.writer = None;
        self.owed = Vec::new();
    }

    /// Writes as many bytes as find room before `deadline`, and returns their number.
    fn write(&mut self, bytes: &[u8], deadline: Instant) -> usize {
        let mut written = 0;
        while written < bytes.len()
            && let Some(writer) = &mut self.writer
        {
            match writer.write(&bytes[written..]) {
                Ok(0) => self.break_off(),
                Ok(length) => written += length,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        if Instant::now() >= deadline {
                            break;
                        }
                        thread::sleep(INTERVAL);
                    }
                    _ => self.break_off(),
                },
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
    };

    use super::*;
    use crate::remote::{
        frame::{encode, read},
        protocol::ToContent,
    };

    /// Accepts as many bytes as `make_room` has made room for.
    #[derive(Clone, Default)]
    struct Narrow(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Narrow {
        fn make_room(&self, bytes: usize) {
            self.0.lock().unwrap().0 = bytes;
        }

        fn ids(&self) -> Vec<u64> {
            let written = self.0.lock().unwrap().1.clone();
            let mut reader = &*written;
            let mut ids = Vec::new();
            while let Some((ToContent::Done { id }, _)) = read(&mut reader).unwrap() {
                ids.push(id);
            }
            ids
        }
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, written) = &mut *self.0.lock().unwrap();
            let length = bytes.len().min(*room);
            if length == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            *room -= length;
            written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(id: u64) -> Vec<u8> {
        encode(&ToContent::Done { id }).unwrap()
    }

    #[test]
    fn a_frame_that_does_not_fit_is_taken_back() {
        let narrow = Narrow::default();
        let mut writer = FrameWriter::new(Box::new(narrow.clone()));
        for room in 0..frame(1).len() {
            narrow.make_room(room);
            assert!(!writer.send(frame(1), Instant::now()), "{room}");
            narrow.make_room(1 << 20);
            assert!(writer.send(frame(2), Instant::now()), "{room}");
        }
        assert!(narrow.ids().iter().all(|&id| id == 2));
        assert_eq!(narrow.ids().len(), frame(1).len());
    }

    /// Never has room, and counts the attempts to write.
    struct Full(Arc<AtomicUsize>);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Relaxed);
            Err(ErrorKind::WouldBlock.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_that_finds_no_room_is_refused_at_the_deadline() {
        let tries = Arc::new(AtomicUsize::new(0));
        let mut writer = FrameWriter::new(Box::new(Full(Arc::clone(&tries))));
        assert!(!writer.send(frame(1), Instant::now()));
        assert_eq!(tries.swap(0, Relaxed), 1);
        // Between two attempts there is a pause.
        assert!(!writer.send(frame(1), FrameWriter::deadline()));
        let most = PATIENCE.as_micros() / INTERVAL.as_micros() + 1;
        assert!((1..=most).contains(&(tries.load(Relaxed) as u128)));
        assert!(!writer.owes());
    }

    #[test]
    fn owed_bytes_are_written_before_later_frames() {
        let narrow = Narrow::default();
        let mut writer = FrameWriter::new(Box::new(narrow.clone()));
        writer.send_surely(&frame(1), Instant::now());
        narrow.make_room(2);
        assert!(!writer.send(frame(2), Instant::now()));
        assert!(writer.owes());
        narrow.make_room(1 << 20);
        assert!(writer.send(frame(3), Instant::now()));
        assert_eq!(narrow.ids(), [1, 3]);
    }

    #[test]
    fn a_channel_to_which_too_much_is_owed_is_given_up() {
        let mut writer = FrameWriter::new(Box::new(Narrow::default()));
        for _ in 0..=MAX_OWED / 4096 {
            writer.send_surely(&[0; 4096], Instant::now());
        }
        assert!(!writer.owes());
        assert!(!writer.send(frame(1), Instant::now()));
    }
}
