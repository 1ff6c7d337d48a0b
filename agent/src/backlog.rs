//! What a socket would not take yet: a queue of bytes in pieces that are given back as they empty.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Bytes that a piece may grow to.
const PIECE: usize = 16 << 10;

/// Bytes that wait for a socket; bounded by what the protocol grants.
#[derive(Default)]
pub(crate) struct Backlog {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are gone already.
    taken: usize,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.pieces.back().map_or(0, |piece| PIECE - piece.len());
            if room == 0 {
                self.pieces.push_back(Vec::with_capacity(bytes.len().next_power_of_two().min(PIECE)));
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(piece) = self.pieces.back_mut() {
                piece.extend_from_slice(now);
            }
            bytes = later;
        }
    }

    /// The bytes that come next; empty when there are none.
    pub(crate) fn front(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| &piece[self.taken..])
    }

    /// The first bytes of `front` are delivered.
    pub(crate) fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.pieces.front().is_some_and(|piece| piece.len() == self.taken) {
            self.pieces.pop_front();
            self.taken = 0;
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }

    /// Throws everything away, and says how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        let held = self.pieces.iter().map(Vec::len).sum::<usize>() - self.taken;
        *self = Self::default();
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut backlog = Backlog::default();
        let (mut sent, mut seen) = (0_u32, 0_u32);
        for round in 1..200_usize {
            let bytes: Vec<u8> = (0..round * 37).map(|_| (sent, sent += 1).0.to_le_bytes()[0]).collect();
            backlog.push(&bytes);
            while seen + 1_000 < sent {
                let count = backlog.front().len().min(round * 11);
                for byte in &backlog.front()[..count] {
                    assert_eq!(*byte, seen.to_le_bytes()[0]);
                    seen += 1;
                }
                backlog.advance(count);
            }
        }
        assert_eq!(backlog.clear(), (sent - seen) as usize);
        assert!(backlog.is_empty() && backlog.front().is_empty());
    }

    #[test]
    fn an_empty_one_holds_no_memory() {
        let mut backlog = Backlog::default();
        backlog.push(&[1; 100_000]);
        while !backlog.is_empty() {
            backlog.advance(backlog.front().len());
        }
        assert_eq!(backlog.pieces.capacity(), 0);
    }
}
