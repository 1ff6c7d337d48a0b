//! Who sends next: deficit round robin over streams, those that just became active first.
//!
//! As in fq_codel (RFC 8290, section 4.2): a stream that becomes active enters the list of new ones,
//! which is served first; once it has used up its quantum it moves to the old ones and takes its turn.

use alloc::vec::Vec;

/// End of a list, or a stream in no list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Idle,
    New,
    Old,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    place: Place,
    /// Wants to send; a stream may stand in a list without, until its turn comes.
    active: bool,
    deficit: i32,
}

const IDLE: Node = Node { next: NONE, place: Place::Idle, active: false, deficit: 0 };

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl List {
    const EMPTY: Self = Self { first: NONE, last: NONE };

    fn push(&mut self, nodes: &mut [Node], stream: u32) {
        nodes[stream as usize].next = NONE;
        if self.first == NONE {
            self.first = stream;
        } else {
            nodes[self.last as usize].next = stream;
        }
        self.last = stream;
    }

    fn pop(&mut self, nodes: &[Node]) -> Option<u32> {
        let stream = self.first;
        if stream == NONE {
            return None;
        }
        self.first = nodes[stream as usize].next;
        Some(stream)
    }
}

/// The order in which streams send; no allocation but for the table of streams.
#[derive(Debug)]
pub struct Schedule {
    nodes: Vec<Node>,
    new: List,
    old: List,
}

impl Schedule {
    /// Bytes that one stream takes in here.
    pub(crate) const ENTRY: usize = size_of::<Node>();

    /// Bytes on the heap.
    pub(crate) const fn memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }

    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), new: List::EMPTY, old: List::EMPTY }
    }

    /// The stream has something to send, and may.
    pub(crate) fn activate(&mut self, stream: u32, quantum: i32) {
        let index = stream as usize;
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, IDLE);
        }
        let node = &mut self.nodes[index];
        node.active = true;
        if node.place == Place::Idle {
            node.place = Place::New;
            node.deficit = quantum;
            self.new.push(&mut self.nodes, stream);
        }
    }

    /// The stream has nothing to send now, or may not.
    pub(crate) fn deactivate(&mut self, stream: u32) {
        if let Some(node) = self.nodes.get_mut(stream as usize) {
            node.active = false;
        }
    }

    /// Whose turn it is; stays the same until `charge` or `deactivate`.
    pub(crate) fn turn(&mut self, quantum: i32) -> Option<u32> {
        loop {
            let from_new = self.new.first != NONE;
            let list = if from_new { &mut self.new } else { &mut self.old };
            let stream = list.first;
            let node = self.nodes.get_mut(stream as usize)?;
            if node.active && node.deficit > 0 {
                return Some(stream);
            }
            list.pop(&self.nodes);
            let node = &mut self.nodes[stream as usize];
            if node.active {
                node.deficit += quantum;
            } else if !from_new {
                // An idle new one passes through the old list once, or a stream could stay new for ever.
                node.place = Place::Idle;
                continue;
            }
            node.place = Place::Old;
            self.old.push(&mut self.nodes, stream);
        }
    }

    /// The stream sent this many bytes.
    pub(crate) fn charge(&mut self, stream: u32, count: usize) {
        if let Some(node) = self.nodes.get_mut(stream as usize) {
            node.deficit = node.deficit.saturating_sub(i32::try_from(count).unwrap_or(i32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTUM: i32 = 1000;

    fn send(schedule: &mut Schedule, count: usize) -> Option<u32> {
        let stream = schedule.turn(QUANTUM)?;
        schedule.charge(stream, count);
        Some(stream)
    }

    #[test]
    fn busy_streams_share_equally_whatever_their_frame_sizes() {
        let mut schedule = Schedule::new();
        let sizes = [100usize, 1000, 730];
        let mut sent = [0usize; 3];
        for stream in 0..3 {
            schedule.activate(stream, QUANTUM);
        }
        for _ in 0..30_000 {
            let stream = schedule.turn(QUANTUM).unwrap() as usize;
            schedule.charge(stream as u32, sizes[stream]);
            sent[stream] += sizes[stream];
        }
        let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
        assert!(most - least <= 2 * QUANTUM as usize, "{sent:?}");
    }

    #[test]
    fn a_stream_that_becomes_active_is_served_before_those_that_are_busy() {
        let mut schedule = Schedule::new();
        for stream in 0..8 {
            schedule.activate(stream, QUANTUM);
        }
        for _ in 0..50 {
            send(&mut schedule, 1000).unwrap();
        }
        schedule.activate(8, QUANTUM);
        assert_eq!(send(&mut schedule, 10), Some(8));
    }

    #[test]
    fn flapping_between_idle_and_active_gains_nothing() {
        let mut schedule = Schedule::new();
        schedule.activate(0, QUANTUM);
        schedule.activate(1, QUANTUM);
        let mut sent = [0usize; 2];
        for _ in 0..10_000 {
            let stream = send(&mut schedule, 500).unwrap();
            sent[stream as usize] += 500;
            if stream == 1 {
                schedule.deactivate(1);
                schedule.activate(1, QUANTUM);
            }
        }
        assert!(sent[1] <= sent[0] + 2000, "{sent:?}");
    }

    #[test]
    fn nobody_active_means_nobody() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.turn(QUANTUM), None);
        schedule.activate(5, QUANTUM);
        schedule.deactivate(5);
        assert_eq!(schedule.turn(QUANTUM), None);
        schedule.activate(5, QUANTUM);
        assert_eq!(schedule.turn(QUANTUM), Some(5));
    }
}
