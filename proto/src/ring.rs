//! What was committed and not acknowledged yet: session bytes by their numbers.
//!
//! ```text
//!   acknowledged        sent                committed
//!  ───────┬──────────────┬─────────────────────┬───────►  position
//!         └─ in flight ──┴── waits for link ───┘
//! ```

use alloc::vec;
use alloc::vec::Vec;

use crate::frame::{HEADER, Header, Kind};
use crate::violation::Violation;

/// A bounded ring of whole frames, addressed by position in the session.
#[derive(Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    acknowledged: u64,
    sent: u64,
    committed: u64,
    /// The first frame boundary at or after `acknowledged` and `sent`.
    acknowledged_boundary: u64,
    sent_boundary: u64,
}

impl Ring {
    /// `size` is rounded up to a power of two.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size.next_power_of_two()],
            acknowledged: 0,
            sent: 0,
            committed: 0,
            acknowledged_boundary: 0,
            sent_boundary: 0,
        }
    }

    /// Bytes on the heap.
    pub(crate) const fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) const fn committed(&self) -> u64 {
        self.committed
    }

    /// Committed and not sent yet.
    pub(crate) const fn unsent(&self) -> u64 {
        self.committed - self.sent
    }

    /// Committed and not acknowledged yet.
    pub(crate) const fn outstanding(&self) -> u64 {
        self.committed - self.acknowledged
    }

    pub(crate) fn free(&self) -> usize {
        self.bytes.len() - self.outstanding() as usize
    }

    /// Whether the next byte to send begins a frame.
    pub(crate) const fn at_boundary(&self) -> bool {
        self.sent == self.sent_boundary
    }

    fn offset(&self, position: u64) -> usize {
        position as usize & (self.bytes.len() - 1)
    }

    /// Room for the payload of a frame that `commit_data` may then commit: contiguous, at most `most`
    /// bytes, and empty when the ring has no room.
    pub(crate) fn payload_room(&mut self, most: usize) -> &mut [u8] {
        let room = self.free().saturating_sub(HEADER).min(most);
        let start = self.offset(self.committed + HEADER as u64);
        let end = self.bytes.len().min(start + room);
        &mut self.bytes[start..end]
    }

    /// The payload is in place: commits it behind its header.
    pub(crate) fn commit_data(&mut self, stream: u32, length: u16) {
        self.put(&Header { kind: Kind::Data, stream, length }.encode());
        self.committed += u64::from(length);
    }

    /// Commits a whole control frame; the caller made sure that it fits.
    pub(crate) fn push(&mut self, kind: Kind, stream: u32, payload: &[u8]) {
        debug_assert!(self.free() >= HEADER + payload.len());
        self.put(&Header { kind, stream, length: payload.len() as u16 }.encode());
        self.put(payload);
    }

    fn put(&mut self, bytes: &[u8]) {
        let start = self.offset(self.committed);
        let first = bytes.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.committed += bytes.len() as u64;
    }

    /// What waits for the link, up to the next frame boundary or all of it.
    pub(crate) fn waiting(&self, only_to_boundary: bool) -> [&[u8]; 2] {
        let end = if only_to_boundary { self.sent_boundary } else { self.committed };
        let length = (end - self.sent) as usize;
        let start = self.offset(self.sent);
        let first = length.min(self.bytes.len() - start);
        [&self.bytes[start..start + first], &self.bytes[..length - first]]
    }

    /// The link took `count` more bytes.
    pub(crate) fn advance_sent(&mut self, count: u64) {
        debug_assert!(count <= self.unsent());
        self.sent += count;
        self.sent_boundary = self.boundary_after(self.sent_boundary, self.sent);
    }

    /// The peer has received everything before `position`.
    pub(crate) fn acknowledge(&mut self, position: u64) -> Result<(), Violation> {
        if position < self.acknowledged || position > self.sent {
            return Err(Violation::BadAcknowledgement);
        }
        self.acknowledged_boundary = self.boundary_after(self.acknowledged_boundary, position);
        self.acknowledged = position;
        Ok(())
    }

    /// A new link goes on at `position`, which may lie within a frame.
    pub(crate) fn rewind(&mut self, position: u64) -> Result<(), Violation> {
        self.acknowledge(position).map_err(|_| Violation::BadResume)?;
        self.sent = self.acknowledged;
        self.sent_boundary = self.acknowledged_boundary;
        Ok(())
    }

    /// Walks from one frame boundary to the first that is not before `position`.
    fn boundary_after(&self, mut boundary: u64, position: u64) -> u64 {
        while boundary < position {
            let byte = |at| u16::from(self.bytes[self.offset(boundary + at)]);
            boundary += HEADER as u64 + u64::from(byte(4) << 8 | byte(5));
        }
        boundary
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn concat(slices: [&[u8]; 2]) -> Vec<u8> {
        slices.concat()
    }

    #[test]
    fn a_rewind_into_a_frame_repeats_its_rest_and_then_the_next() {
        let mut ring = Ring::new(64);
        ring.payload_room(10).fill(1);
        ring.commit_data(3, 10);
        ring.push(Kind::Finish, 3, &[]);
        ring.advance_sent(22);
        ring.rewind(9).unwrap();
        assert!(!ring.at_boundary());
        assert_eq!(concat(ring.waiting(true)), [1; 7]);
        assert_eq!(concat(ring.waiting(false)).len(), 13);
        ring.advance_sent(7);
        assert!(ring.at_boundary());
        assert_eq!(ring.rewind(8), Err(Violation::BadResume));
        assert_eq!(ring.acknowledge(17), Err(Violation::BadAcknowledgement));
    }

    proptest! {
        #[test]
        fn bytes_leave_as_they_came_and_boundaries_hold(
            steps in prop::collection::vec((0usize..3, 1usize..80), 1..200)
        ) {
            let mut ring = Ring::new(128);
            let (mut model, mut next) = (Vec::new(), 0u8);
            let mut boundaries = vec![0u64];
            for (what, amount) in steps {
                match what {
                    0 => {
                        let room = ring.payload_room(amount);
                        let length = room.len();
                        room.fill(next);
                        if length > 0 {
                            ring.commit_data(1, length as u16);
                            model.extend_from_slice(
                                &Header { kind: Kind::Data, stream: 1, length: length as u16 }.encode());
                            model.extend(core::iter::repeat_n(next, length));
                            next = next.wrapping_add(1);
                            boundaries.push(model.len() as u64);
                        }
                    }
                    1 => {
                        let count = (amount as u64).min(ring.unsent());
                        let from = ring.sent() as usize;
                        let waiting = concat(ring.waiting(false));
                        prop_assert_eq!(&waiting[..], &model[from..]);
                        ring.advance_sent(count);
                        prop_assert_eq!(ring.at_boundary(), boundaries.contains(&ring.sent()));
                    }
                    _ => {
                        let position = (ring.acknowledged() + amount as u64).min(ring.sent());
                        ring.acknowledge(position).unwrap();
                    }
                }
            }
        }
    }
}
