//! What the link is given: acknowledgements, then control frames, then data in its streams' turns.

use super::config::CONTROL_ROOM;
use super::{Connection, LINK_FRAMES, StreamId, Transmit};
use crate::Instant;
use crate::frame::{HEADER, Header, Kind};
use crate::stream::Half;
use crate::target::MAX_TARGET;

/// The most that one stream's pending control frames take.
const MOST_CONTROL: usize = HEADER + MAX_TARGET + 5 * (HEADER + 4);
/// A close's bytes: the ring always keeps room for one.
const CLOSE: usize = HEADER + 2;

impl Connection {
    /// The stream whose turn it is and room for its bytes; `None` when nobody may or wants to send now.
    pub fn reserve(&mut self, now: Instant) -> Option<(StreamId, &mut [u8])> {
        if self.ended.is_some() {
            return None;
        }
        self.write_control();
        let quantum = self.quantum();
        let link = self.link.as_mut()?;
        let limit = link.inflight.limit();
        if self.ring.unsent() >= link.inflight.unsent_limit() || self.ring.outstanding() >= limit {
            return None;
        }
        let Some(id) = self.schedule.turn(quantum) else {
            link.inflight.on_application_limited(self.ring.committed(), self.ring.outstanding());
            return None;
        };
        let next = link.inflight.next_send(now, self.ring.outstanding());
        if next > now {
            link.paced_until = Some(next);
            return None;
        }
        link.paced_until = None;
        let stream = self.streams.find(id)?;
        let room = self.ring.free().saturating_sub(CONTROL_ROOM);
        let most = room.min(stream.credit.left()).min(quantum as usize);
        let room = self.ring.payload_room(most);
        if room.is_empty() {
            return None;
        }
        self.reserved = Some((id, room.len()));
        Some((StreamId(id), room))
    }

    /// The buffer of the `reserve` just before holds this many bytes to send; what exceeds it is not sent.
    /// Zero: the stream is not ready any more.
    pub fn commit(&mut self, stream: StreamId, count: usize) {
        let room = self.reserved.take().filter(|&(id, _)| id == stream.0).map_or(0, |(_, room)| room);
        let Some(found) = self.known(stream) else { return };
        if count == 0 {
            found.ready = false;
        }
        let count = count.min(room);
        found.credit.spend(count as u32);
        if count > 0 {
            self.ring.commit_data(stream.0, count as u16);
            self.schedule.charge(stream.0, HEADER + count);
            if let Some(link) = &mut self.link {
                link.inflight.on_commit(HEADER + count);
            }
        }
        self.reschedule(stream.0);
    }

    /// What the link should be given next; `transmitted` moves on.
    pub fn transmit(&mut self, now: Instant) -> Transmit<'_> {
        self.write_control();
        let Some(link) = &mut self.link else { return [&[]; 3] };
        let at_boundary = self.ring.at_boundary();
        if link.written == link.filled && link.acknowledgement_due && at_boundary {
            link.write_acknowledgement(now, self.parser.position());
        }
        if link.written < link.filled {
            let [first, second] = self.ring.waiting(false);
            return [&link.frames[link.written..link.filled], first, second];
        }
        let [first, second] = self.ring.waiting(link.acknowledgement_due && !at_boundary);
        [first, second, &[]]
    }

    /// The link took this many bytes of what `transmit` gave.
    pub fn transmitted(&mut self, now: Instant, count: usize) {
        let Some(link) = &mut self.link else { return };
        let of_link = count.min(link.filled - link.written);
        link.written += of_link;
        let of_session = ((count - of_link) as u64).min(self.ring.unsent());
        if of_session > 0 {
            self.ring.advance_sent(of_session);
            link.inflight.on_sent(now, self.ring.sent());
        }
    }

    /// Writes pending control frames into the ring, as far as it has room; a close after them, or alone
    /// when the peer has broken the protocol.
    pub(super) fn write_control(&mut self) {
        self.reserved = None;
        while self.ended.is_none() && self.ring.free() >= MOST_CONTROL + CLOSE {
            let Some(id) = self.pending.pop_front() else { break };
            self.write_control_of(id);
        }
        if let Some(code) = self.close.take() {
            self.ring.push(Kind::Close, 0, &code.to_be_bytes());
            self.ended = self.ended.or(Some(None));
        }
    }

    fn write_control_of(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        let pending = &mut stream.pending;
        pending.queued = false;
        if core::mem::take(&mut pending.open)
            && let Some(target) = stream.target.take()
        {
            let mut wire = [0; MAX_TARGET];
            let length = target.encode(&mut wire);
            self.ring.push(Kind::Open, id, &wire[..length]);
        }
        if core::mem::take(&mut pending.accept) {
            self.ring.push(Kind::Accept, id, &[]);
        }
        if core::mem::take(&mut pending.credit) && stream.incoming == Half::Open {
            let count = stream.window.grant();
            if count > 0 {
                self.ring.push(Kind::Credit, id, &count.to_be_bytes());
            }
        }
        if core::mem::take(&mut pending.finish) {
            stream.told = Half::Finished;
            self.ring.push(Kind::Finish, id, &[]);
        }
        if let Some(reason) = pending.reset.take() {
            stream.told = Half::Reset;
            self.ring.push(Kind::Reset, id, &reason.code().to_be_bytes());
        }
        if core::mem::take(&mut pending.release) {
            self.ring.push(Kind::Release, id, &[]);
            self.forget(id, false);
        } else {
            self.release(id);
        }
    }
}

impl super::Link {
    fn write_acknowledgement(&mut self, now: Instant, position: u64) {
        let header = Header { kind: Kind::Ack, stream: 0, length: (LINK_FRAMES - HEADER) as u16 };
        self.frames[..HEADER].copy_from_slice(&header.encode());
        self.frames[HEADER..HEADER + 8].copy_from_slice(&position.to_be_bytes());
        self.frames[HEADER + 8..HEADER + 12].copy_from_slice(&(now.micros() as u32).to_be_bytes());
        // Nothing is held back today.
        self.frames[HEADER + 12..].copy_from_slice(&0u32.to_be_bytes());
        (self.filled, self.written) = (LINK_FRAMES, 0);
        self.acknowledgement_due = false;
    }
}
