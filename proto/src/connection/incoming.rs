//! What the link brings: every frame checked, then turned into an event.

use core::time::Duration;

use super::{Connection, Event, Side, StreamId};
use crate::frame::{Frame, Header, Kind};
use crate::stream::{Half, Stream};
use crate::{Instant, Reason, Target, Violation};

/// An event before its data is borrowed from the caller's bytes again.
type Outcome = Result<Option<Event<'static>>, Violation>;

impl Connection {
    /// Takes some bytes from the link: how many, and what they mean. Call it again with the rest
    /// until it has taken all. An error ends the session: write what `transmit` still gives, then stop.
    pub fn handle<'a>(
        &mut self,
        now: Instant,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), Violation> {
        match self.ended {
            Some(Some(violation)) => return Err(violation),
            Some(None) => return Ok((bytes.len(), None)),
            None => {}
        }
        let outcome = self.handle_frame(now, bytes);
        if let Err(violation) = outcome {
            self.ended = Some(Some(violation));
            self.close = Some(violation.code());
        }
        outcome
    }

    fn handle_frame<'a>(
        &mut self,
        now: Instant,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), Violation> {
        let before = self.parser.position();
        let (taken, frame) = self.parser.parse(bytes)?;
        let event = match frame {
            None => None,
            // The piece is the end of what was taken; borrowed from the caller's bytes, not the parser's.
            Some(Frame::Data { stream, bytes: piece }) => {
                let piece = &bytes[taken - piece.len()..taken];
                self.handle_data(stream, piece.len())?
                    .then_some(Event::Data { stream: StreamId(stream), bytes: piece })
            }
            Some(Frame::Control { header, payload }) => {
                let mut copy = [0; crate::target::MAX_TARGET];
                let payload = {
                    let length = payload.len();
                    copy[..length].copy_from_slice(payload);
                    &copy[..length]
                };
                self.handle_control(now, header, payload)?
            }
        };
        if self.parser.position() != before
            && let Some(link) = &mut self.link
        {
            link.acknowledgement_due = true;
        }
        Ok((taken, event))
    }

    /// Whether the application should have it.
    fn handle_data(&mut self, id: u32, length: usize) -> Result<bool, Violation> {
        let stream = self.streams.find_live(id).ok_or(Violation::UnknownStream)?;
        if stream.incoming != Half::Open {
            return Err(Violation::WrongState);
        }
        stream.window.receive(length)?;
        Ok(!stream.forgotten)
    }

    fn handle_control(&mut self, now: Instant, header: Header, payload: &[u8]) -> Outcome {
        let id = header.stream;
        let stream = StreamId(id);
        match header.kind {
            Kind::Open => self.handle_open(now, id, payload),
            Kind::Accept => {
                let found = self.opened_by_us(id)?;
                if found.accepted || found.incoming.has_ended() {
                    return Err(Violation::WrongState);
                }
                found.accepted = true;
                Ok((!found.forgotten).then_some(Event::Accepted { stream }))
            }
            Kind::Credit => {
                let Some(found) = self.streams.find_live(id) else { return self.stale(id) };
                found.credit.grant(be32(payload))?;
                self.reschedule(id);
                Ok(None)
            }
            Kind::Finish => {
                let found = self.streams.find_live(id).ok_or(Violation::UnknownStream)?;
                if found.incoming.has_ended() {
                    return Err(Violation::WrongState);
                }
                found.incoming = Half::Finished;
                found.pending.credit = false;
                let event = (!found.forgotten).then_some(Event::Finished { stream });
                found.settle();
                self.release(id);
                Ok(event)
            }
            Kind::Reset => self.handle_reset(id, Reason::from_code(be16(payload))),
            Kind::Release => self.handle_release(id),
            Kind::Close => {
                let code = be16(payload);
                self.ended = Some(None);
                Ok(Some(Event::Closed {
                    violation: Violation::from_code(code).or((code != 0).then_some(Violation::Malformed)),
                }))
            }
            Kind::Ack => self.handle_ack(now, payload),
            Kind::Probe => {
                if let Some(link) = &mut self.link {
                    link.acknowledgement_due = true;
                }
                Ok(None)
            }
            Kind::Data => unreachable!("the parser gives data in pieces"),
        }
    }

    fn handle_open(&mut self, now: Instant, id: u32, payload: &[u8]) -> Outcome {
        if self.config.side == Side::Client {
            return Err(Violation::StreamTaken);
        }
        if id >= self.stream_limit() {
            return Err(Violation::TooManyStreams);
        }
        if self.streams.find(id).is_some() {
            return Err(Violation::StreamTaken);
        }
        let mut stream = Stream::new(now, self.config.window);
        stream.credit = self.initial_credit();
        self.streams.insert(id, stream);
        let stream = StreamId(id);
        let Some(target) = Target::decode(payload) else {
            // From a newer client, perhaps: it learns that we cannot, and the session goes on.
            self.reset(stream, Reason::Unsupported);
            return Ok(None);
        };
        Ok(Some(Event::Opened { stream, target }))
    }

    fn handle_reset(&mut self, id: u32, reason: Reason) -> Outcome {
        let side = self.config.side;
        let Some(found) = self.streams.find_live(id) else { return self.stale(id) };
        if found.incoming == Half::Reset {
            return Err(Violation::WrongState);
        }
        found.incoming = Half::Reset;
        let event = (!found.forgotten).then_some(Event::Reset { stream: StreamId(id), reason });
        found.forgotten = true;
        found.pending.credit = false;
        found.pending.accept = false;
        if side == Side::Client && found.outgoing == Half::Open {
            // The agent releases only after our half has ended too.
            found.pending.reset = Some(Reason::Reset);
            self.queue_control(id);
        }
        if let Some(found) = self.streams.find(id)
            && found.outgoing == Half::Open
        {
            found.outgoing = Half::Reset;
        }
        self.reschedule(id);
        self.release(id);
        Ok(event)
    }

    fn handle_release(&mut self, id: u32) -> Outcome {
        let found = self.opened_by_us(id)?;
        if !found.is_releasable() {
            return Err(Violation::WrongState);
        }
        found.released = true;
        // A reset that the agent need not hear any more.
        found.pending.reset = None;
        self.release(id);
        Ok(None)
    }

    fn handle_ack(&mut self, now: Instant, payload: &[u8]) -> Outcome {
        let mut position = [0; 8];
        position.copy_from_slice(&payload[..8]);
        let position = u64::from_be_bytes(position);
        let held = Duration::from_micros(u64::from(be32(&payload[12..])));
        let advanced = position > self.ring.acknowledged();
        self.ring.acknowledge(position)?;
        let outstanding = self.ring.outstanding();
        if let Some(link) = &mut self.link
            && advanced
        {
            link.inflight.on_acknowledged(now, position, held, outstanding);
        }
        Ok(None)
    }

    /// A frame that only the agent may send.
    fn opened_by_us(&mut self, id: u32) -> Result<&mut Stream, Violation> {
        if self.config.side == Side::Agent {
            return Err(Violation::WrongState);
        }
        self.streams.find_live(id).ok_or(Violation::UnknownStream)
    }

    /// A credit or reset for a free id: the client may have sent it before it heard of our release.
    fn stale(&self, id: u32) -> Outcome {
        if self.config.side == Side::Agent && id < self.stream_limit() {
            Ok(None)
        } else {
            Err(Violation::UnknownStream)
        }
    }
}

fn be16(payload: &[u8]) -> u16 {
    u16::from_be_bytes([payload[0], payload[1]])
}

fn be32(payload: &[u8]) -> u32 {
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}
