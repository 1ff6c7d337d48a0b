//! The two halves of one stream, and the table of all.
//!
//! Each half is open until its sender says that it ends; the agent releases a stream when both have:
//!
//! ```text
//!            finish                      our half and the peer's have ended,
//!   Open ───────────────► Finished ──┐   and the agent's application has all data
//!     │                      │       ├──────────────────────────────────────────► Release, free
//!     └──────── reset ───────┴─► Reset
//! ```

use alloc::vec::Vec;

use crate::credit::{Credit, Window};
use crate::reason::Reason;
use crate::target::Target;
use crate::time::Instant;

/// How far one half has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Open,
    Finished,
    Reset,
}

impl Half {
    pub(crate) const fn has_ended(self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// Control frames that wait to be written; each at most once, so that they need no queue of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) open: bool,
    pub(crate) accept: bool,
    pub(crate) credit: bool,
    pub(crate) finish: bool,
    pub(crate) reset: Option<Reason>,
    pub(crate) release: bool,
    /// Stands in the queue of streams with something pending.
    pub(crate) queued: bool,
}

/// One stream's state.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What we send: ended as soon as our driver said so.
    pub(crate) outgoing: Half,
    /// What the peer was told of that.
    pub(crate) told: Half,
    /// What the peer sends.
    pub(crate) incoming: Half,
    pub(crate) credit: Credit,
    pub(crate) window: Window,
    /// The application has something to send.
    pub(crate) ready: bool,
    /// The driver has forgotten the stream: it is told nothing more.
    pub(crate) forgotten: bool,
    /// The agent accepted.
    pub(crate) accepted: bool,
    /// The agent released (client only); free as soon as the driver has forgotten it too.
    pub(crate) released: bool,
    pub(crate) pending: Pending,
    /// Where to, until the open is written (client only).
    pub(crate) target: Option<Target>,
}

impl Stream {
    pub(crate) fn new(now: Instant, window: u32) -> Self {
        Self {
            outgoing: Half::Open,
            told: Half::Open,
            incoming: Half::Open,
            credit: Credit::default(),
            window: Window::new(window, now),
            ready: false,
            forgotten: false,
            accepted: false,
            released: false,
            pending: Pending::default(),
            target: None,
        }
    }

    /// Whether the peer can know of it: its open was written, and it is not released.
    pub(crate) const fn is_live(&self) -> bool {
        !self.pending.open && !self.released
    }

    /// Whether the agent may release it: it was told that our half ended, and its own has ended, or need
    /// not be any more.
    pub(crate) const fn is_releasable(&self) -> bool {
        self.told.has_ended() && (self.incoming.has_ended() || matches!(self.told, Half::Reset))
    }

    /// Whether it may and wants to send data.
    pub(crate) const fn is_active(&self) -> bool {
        self.ready && matches!(self.outgoing, Half::Open) && self.credit.left() > 0
    }

    /// Forgets the stream on the driver's behalf once both halves finished in order and the application
    /// has everything.
    pub(crate) fn settle(&mut self) {
        let ended = self.outgoing.has_ended() && self.incoming.has_ended();
        if ended && self.window.buffered() == 0 {
            self.forgotten = true;
        }
    }
}

/// All streams, by their dense ids; the client also chooses them here.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Option<Stream>>,
    /// Ids to use again (client only).
    free: Vec<u32>,
    open: u32,
    opened: u64,
}

impl Streams {
    /// Bytes that one stream takes in here.
    pub(crate) const ENTRY: usize = size_of::<Option<Stream>>() + size_of::<u32>();

    /// Bytes on the heap.
    pub(crate) const fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Stream>>() + self.free.capacity() * size_of::<u32>()
    }

    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    pub(crate) const fn opened(&self) -> u64 {
        self.opened
    }

    /// The client's next id; `None` when all below `limit` are taken.
    pub(crate) fn vacant(&mut self, limit: u32) -> Option<u32> {
        if let Some(id) = self.free.pop() {
            return Some(id);
        }
        u32::try_from(self.slots.len()).ok().filter(|&id| id < limit)
    }

    pub(crate) fn insert(&mut self, id: u32, stream: Stream) {
        let index = id as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(stream);
        self.open += 1;
        self.opened += 1;
    }

    pub(crate) fn remove(&mut self, id: u32, reuse: bool) -> Option<Stream> {
        let stream = self.slots.get_mut(id as usize)?.take()?;
        self.open -= 1;
        if reuse {
            self.free.push(id);
        }
        Some(stream)
    }

    pub(crate) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    /// A stream that the peer may name.
    pub(crate) fn find_live(&mut self, id: u32) -> Option<&mut Stream> {
        self.find(id).filter(|stream| stream.is_live())
    }
}
